"""Diffuse emission of galaxy clusters in radio images: is there a halo or a relic, where, and how bright?"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ..config.schema import NAME, Count, Fraction, Name, Scale, SearchSettings, Section, _rising, unit

KEYWORDS, OTHER_KEYWORD = ("Clusters of galaxies", "Diffuse radio emission"), "Transients"
# Every seventh image of the embedded archive was observed for something else, and every ninth is not public.
_OTHER, _PRIVATE = 7, 9
Range = Annotated[tuple[Scale, Scale], AfterValidator(_rising)]
Number = Annotated[float, Field(ge=0)]


class Sky(Section):
    """What the simulated fields hold (`skyloom.detect.simulated_fields.Sky`)."""

    mass: Annotated[Range, unit("Msun")] = Field((2e14, 1.6e15), description="Range of the clusters' M500.")
    redshift: Range = Field((0.05, 0.6), description="Range of their redshifts.")
    absent: Fraction = Field(0.03, description="Share of the fields without a cluster.")
    none: Fraction = Field(
        0.46, description="Share of the clusters without diffuse emission, as of the Planck clusters in LoTSS."
    )
    halo: Fraction = Field(0.7, description="Probability of a halo where there is diffuse emission.")
    relic: Fraction = Field(0.3, description="That of relics.")
    bridge: Fraction = Field(0.05, description="That of a bridge.")
    fossil: Fraction = Field(0.15, description="That of fossil plasma.")
    offset: Annotated[float, Field(ge=0, le=0.5), unit("side of the image")] = Field(
        0.15, description="The cluster is at most this far from the middle, along each axis."
    )
    members: Number = Field(12.0, description="Compact radio sources of a cluster, on average.")
    tails: Number = Field(1.2, description="Extended radio galaxies of a cluster, on average.")
    galaxies: Annotated[Number, unit("1/deg2")] = Field(4.0, description="Extended radio galaxies besides, on average.")
    spirals: Annotated[Number, unit("1/deg2")] = Field(0.4, description="Spiral galaxies, on average.")
    brightest: Annotated[Scale, unit("Jy")] = Field(5.0, description="Flux of the brightest point that may be drawn.")
    subtracted: Fraction = Field(
        0.2, description="Share of the fields of which compact sources were subtracted, not perfectly."
    )
    artefacts: Range = Field(
        (1e-4, 1e-3), description="Range of the level of artefacts over the peaks of bright sources."
    )


PLAIN = {"galaxies": 0.0, "tails": 0.0, "spirals": 0.0}
"""What differs in fields without radio galaxies, as the original's training had them."""


class Survey(Section):
    """How images of one survey are made (`skyloom.instruments.radio_surveys.Survey`)."""

    array: Annotated[str, Field(pattern=NAME)] = Field(
        "lofar_hba", description="Table of its stations in resources/arrays, without the ending."
    )
    weight: Scale = Field(1.0, description="How many of the images are of this survey, relative to the others.")
    frequency: Annotated[Scale, unit("MHz")] = Field(144.0, description="Frequency.")
    beam: Annotated[Scale, unit("arcsec")] = Field(20.0, description="FWHM of the round restoring beam.")
    pixel: Annotated[Scale, unit("arcsec")] = Field(4.5, description="Side of a pixel.")
    rms: Annotated[Range, unit("Jy/beam")] = Field((80e-6, 300e-6), description="Range of the noise.")
    side: Annotated[int, Field(ge=128, le=10000, multiple_of=2), unit("pix")] = Field(
        640, description="Side of an image."
    )
    declination: Annotated[float, Field(ge=-90, le=90), unit("deg")] = Field(
        45.0, description="Of the images; it sets the coverage of the uv plane."
    )
    hours: Annotated[Scale, unit("h")] = Field(8.0, description="Length of an observation.")
    bandwidth: Annotated[float, Field(gt=0, lt=1)] = Field(0.33, description="As a share of the frequency.")
    shortest: Annotated[Number, unit("m")] = Field(100.0, description="Baselines below are left out.")
    robust: Annotated[float, Field(ge=-2, le=2)] = Field(
        -1.0, description="Of Briggs' weighting, before the taper that makes the beam."
    )


LOFAR_20 = {}
LOFAR_6 = {"beam": 6.0, "pixel": 1.5, "rms": (60e-6, 120e-6), "side": 1280, "weight": 0.3}
MEERKAT = {
    **{"array": "meerkat", "frequency": 1280.0, "beam": 8.0, "pixel": 2.0, "rms": (3e-6, 10e-6), "side": 1280},
    **{"declination": -30.0, "bandwidth": 0.5, "shortest": 30.0},
}
VLA = {
    **{"array": "vla_d", "frequency": 1500.0, "beam": 40.0, "pixel": 8.0, "rms": (30e-6, 80e-6), "side": 384},
    **{"declination": 20.0, "hours": 4.0, "bandwidth": 0.5, "shortest": 35.0, "robust": 0.0},
}


class Simulate(Section):
    """The simulated fields; each has its truth."""

    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Jobs that simulate the fields of one split.")
    train: Count = Field(100, description="Fields whose maps train the network that tells kinds of fields.")
    validation: Count = Field(60, description="Fields that calibrate the chain and choose the thresholds.")
    test: Count = Field(60, description="Fields that are only measured on.")
    other_surveys: Count = Field(20, description="Others, of surveys that no network was trained on.")
    train_side: Annotated[int, Field(ge=64, le=2048, multiple_of=32), unit("networks' pixel")] = Field(
        192, description="Side of the fields of `train` and of those that examples are cut from."
    )
    sky: Sky = Sky()
    surveys: list[Survey] = Field(
        [Survey(**LOFAR_20), Survey(**LOFAR_6)], description="Surveys that images are of.", min_length=1
    )
    unseen: list[Survey] = Field(
        [Survey(**MEERKAT), Survey(**VLA)], description="Surveys of the images of `other_surveys`; may be empty."
    )


class Examples(Section):
    """How many simulated examples train the network that sees whole images."""

    fields: Count = Field(240, description="Fields that tiles are cut from.")
    validation: Fraction = Field(0.15, description="As many more, as a share, choose the epoch.")
    tile: Annotated[int, Field(ge=64, le=1024, multiple_of=32), unit("networks' pixel")] = Field(
        192, description="Side of a tile."
    )
    empty: Annotated[int, Field(ge=0)] = Field(
        1, description="Tiles without emission that are kept of a field at most: those with the most light, and others."
    )
    none: Fraction = Field(0.25, description="As `simulate.sky.none`: what is rare on the sky is to be learnt as well.")
    relic: Fraction = Field(0.45, description="As `simulate.sky.relic`.")
    bridge: Fraction = Field(0.1, description="As `simulate.sky.bridge`.")
    fossil: Fraction = Field(0.3, description="As `simulate.sky.fossil`.")
    turns: Annotated[int, Field(ge=1, le=64)] = Field(
        8, description="Examples that are made of a field for the network that tells kinds of fields."
    )


class EmbeddedFields(Section):
    """The simulated archive that the project brings."""

    fields: Count = Field(6, description="How many images it holds.")
    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Number of jobs that simulate them.")


class Clusters(Section):
    """A list of clusters: an image's cluster is the one in it that is nearest to its middle, if its header names none.

    The script fetch_clusters.py makes one of the Planck clusters.
    """

    file: str | None = Field(None, description="A table in FITS, VOTable, ECSV or CSV; null for none.")
    name: str = Field("name", description="Its column of names.")
    ra: str = Field("ra", description="Its column of right ascensions (ICRS), in degrees if it has no unit.")
    dec: str = Field("dec", description="Its column of declinations.")
    redshift: str = Field("redshift", description="Its column of redshifts.")
    mass: str = Field("mass", description="Its column of M500, in 1e14 solar masses if it has no unit.")
    r500: str = Field("r500", description="Its column of R500, in arcmin if it has no unit; made of M500 if absent.")


class Search(Section):
    """How an image is searched."""

    pixel: Annotated[Scale, unit("arcsec")] = Field(
        9.0, description="About the side of the pixels that networks see, so that emission has as many in any survey."
    )
    stretch: Literal["asinh", "log"] = Field(
        "asinh",
        description="What networks see: the inverse hyperbolic sine of the S/N, or, as published, the logarithm of the "
        "surface brightness between 1e-7 and 1e-2 Jy/beam.",
    )
    subtract: bool = Field(False, description="Remove compact sources from the image before networks see it.")
    tile: Annotated[int, Field(ge=64, le=4096, multiple_of=32), unit("networks' pixel")] = Field(
        768, description="Side of the tiles that an image is seen in."
    )
    margin: Annotated[int, Field(ge=0), unit("networks' pixel")] = Field(
        144, description="What is thrown away at the edges of a tile; 144 is as far as `diffuse_net` sees."
    )
    blend: Annotated[int, Field(ge=0), unit("networks' pixel")] = Field(
        32, description="Over how many pixels two tiles are blended."
    )
    level: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="Probability of the pixels of an island.")
    least_area: Annotated[float, Field(gt=0), unit("beam")] = Field(4.0, description="Area of an island at least.")
    flux_scale: Fraction = Field(0.1, description="Error of the flux scale, which is part of that of a flux.")
    purity: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.9, description="Purity that thresholds shall have on the validation fields: of islands, and of fields."
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.68, description="Level of all intervals.")
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Threads of the backend; part of the result's identity, hence never taken from `--cores`."
    )
    clusters: Clusters = Clusters()

    @model_validator(mode="after")
    def _tiles_have_a_middle(self):
        if (self.tile - 2 * self.margin - self.blend) // 32 * 32 < max(2 * self.blend, 1):
            raise ValueError("has a `tile` of which `margin` and `blend` leave nothing; make it larger")
        return self


class Variant(Section):
    """The chain with something exchanged, for one row of `chains.csv`."""

    models: dict[Name, Name] = Field({}, description="Which model stands in for which one of the chain.")
    stretch: Literal["asinh", "log"] | None = Field(None, description="Stands in for `search.stretch`.")
    subtract: bool | None = Field(None, description="Stands in for `search.subtract`.")
    tile: Annotated[int, Field(ge=64, le=4096, multiple_of=32)] | None = Field(
        None, description="Stands in for `search.tile`."
    )
    margin: Annotated[int, Field(ge=0)] | None = Field(None, description="Stands in for `search.margin`.")
    blend: Annotated[int, Field(ge=0)] | None = Field(None, description="Stands in for `search.blend`.")


class FineTuning(Section):
    """The network for maps, trained a little more on few labelled fields of another survey, a target outside `all`."""

    survey: Survey = Field(Survey(**VLA), description="That survey.")
    labelled: Annotated[int, Field(ge=4)] = Field(24, description="Fields with labels: a quarter chooses the epoch.")
    test: Count = Field(60, description="Other fields of the survey, that are only measured on.")
    trained: Annotated[float, Field(gt=0, le=1)] = Field(
        0.2, description="Share of the layers that go on learning, the last ones; the others are frozen."
    )
    epochs: Count = Field(12, description="Epochs at most.")
    batch_size: Count = Field(4, description="Tiles a step.")
    loss: Literal["cross_entropy", "dice", "dice_cross_entropy", "focal_cross_entropy"] = Field(
        "dice_cross_entropy", description="What the training makes small; best the network's own."
    )
    learning_rates: list[Scale] = Field(
        [3e-4, 1e-3, 3e-3], min_length=1, description="Learning rates that are tried; the validation loss chooses."
    )


class Settings(SearchSettings):
    """The settings of the search for diffuse emission."""

    simulate: Simulate = Simulate()
    examples: Examples = Examples()
    embedded: EmbeddedFields = EmbeddedFields()
    search: Search = Search()
    variants: dict[Name, Variant] = Field(
        {}, description="Other chains to compare this one with, a target outside `all`."
    )
    finders: list[Literal["pybdsf", "smoothed_residual", "photutils"]] = Field(
        ["smoothed_residual", "photutils", "pybdsf"],
        description="Classical finders to compare the chain with, a target outside `all`.",
    )
    slow_fields: Count = Field(
        40, description="Fields a shard that `pybdsf` searches at most, as it takes the better part of a minute each."
    )
    fine_tuning: FineTuning = FineTuning()


def instrument_files(settings):
    """Return the files that the simulations read."""
    surveys = [*settings.simulate.surveys, *settings.simulate.unseen, settings.fine_tuning.survey]
    return sorted({f"resources/arrays/{survey.array}.ecsv" for survey in surveys})


def store():
    """Return the module that keeps simulated fields on disk."""
    from ..images import field_store

    return field_store


def figures():
    """Return the figures that a run makes of the search, first the one that docs/measured shows."""
    return ("fields", "verdicts", "brightness")


def instrument_of(survey, instruments, side=None):
    """Return the response of a survey (`skyloom.instruments.radio_surveys.Instrument`).

    Its images have its own side, or `side` networks' pixels of `Search.pixel`.
    """
    from dataclasses import fields
    from pathlib import Path

    from ..instruments import radio_surveys

    values = survey.model_dump()
    given = {field.name: values[field.name] for field in fields(radio_surveys.Survey)}
    if side:
        given["side"] = side * max(1, round(max(Search().pixel, survey.beam / 2.2) / survey.pixel))
    array = radio_surveys.read_array(Path(instruments) / "arrays" / f"{survey.array}.ecsv")
    return radio_surveys.prepare(radio_surveys.Survey(**given), array)


def simulated_field(sky, surveys, rng, instruments, side=None):
    """Return a simulated field of one of the surveys (`skyloom.images.radio_fields.RadioField`), and its truth."""
    from ..detect import simulated_fields

    weights = [survey.weight for survey in surveys]
    number = int(rng.choice(len(surveys), p=[weight / sum(weights) for weight in weights]))
    instrument = instrument_of(surveys[number], instruments, side)
    field, truth = simulated_fields.observe(simulated_fields.draw_field(rng, sky, instrument.survey), instrument, rng)
    more = {"pixel": field.pixel, "frequency": field.frequency, "survey": number}
    more["megapixels"] = field.image.size / 1e6
    return field, [row | more for row in truth]


def simulate(settings, split, shard, seed, instruments):
    """Yield number, field and rows of truth of every field of a shard (`skyloom.images.radio_fields.RadioField`)."""
    from ..seeds import generator

    surveys = settings.unseen if split == "other_surveys" else settings.surveys
    side = settings.train_side if split == "train" else None
    for number in range(shard, getattr(settings, split), settings.shards):
        rng = generator(seed, "diffuse_radio", "simulate", split, number)
        yield number, *simulated_field(settings.sky, surveys, rng, instruments, side)


def fine_tuning_fields(settings, part, seed, instruments):
    """Yield number, field and rows of truth of the fields ``labelled`` or ``test`` of the survey to fine-tune for."""
    from ..seeds import generator

    tuning = settings.fine_tuning
    for number in range(getattr(tuning, part)):
        rng = generator(seed, "diffuse_radio", "fine_tune", part, number)
        yield number, *simulated_field(settings.simulate.sky, [tuning.survey], rng, instruments)


def other_splits(settings):
    """Return the splits that are scored besides ``test``: surveys that no training has seen."""
    return ["other_surveys"] if settings.unseen else []


def truth_table(rows):
    """Return rows of truth as a table with units."""
    from ..detect.simulated_fields import truth_table

    return truth_table(rows)


def roles():
    """Return the role of a network by the examples that it is trained on; on others, it has that of its target."""
    return dict.fromkeys(("tiles", "tiles_plain", "tiles_log", "tiles_subtracted"), "map") | {"fields": "kind"}


def searching_roles():
    """Return the roles that no search of an image can do without."""
    return ("map",)


def roles_before(dataset):
    """Return the roles of the networks that the examples of a dataset are made with."""
    from ..learn import chains

    return chains.roles_before(dataset, dict.fromkeys(roles(), ()) | {"fields": ("map",)})


def example_search():
    """Return the settings of the search that the examples depend on."""
    return ("pixel", "stretch", "subtract", "tile", "margin", "blend", "least_area", "threads")


def true_examples(settings, dataset, split, seed, instruments, networks):
    """Yield the simulated examples of a dataset for one split (`skyloom.learn.datasets.Samples`)."""
    from ..learn import field_examples
    from ..seeds import generator

    if dataset == "fields":
        return
    examples = settings.examples
    changes = {"tiles_log": {"stretch": "log"}, "tiles_subtracted": {"subtract": True}}.get(dataset, {})
    search = settings.search.model_copy(update=changes)
    rare = {name: getattr(examples, name) for name in ("none", "relic", "bridge", "fossil")}
    sky = settings.simulate.sky.model_copy(update=rare | (PLAIN if dataset == "tiles_plain" else {}))
    count = examples.fields if split == "train" else max(4, round(examples.fields * examples.validation))

    def fields():
        for number in range(count):
            rng = generator(seed, "diffuse_radio", "examples", split, number)
            side = max(settings.simulate.train_side, examples.tile)
            yield number, simulated_field(sky, settings.simulate.surveys, rng, instruments, side)[0]

    def tiles(field, number, name):
        rng = generator(seed, "diffuse_radio", "tiles", split, number)
        return field_examples.tiles(field, search, examples.tile, examples.empty, rng, name)

    yield from field_examples.simulated_tiles(fields(), split, tiles)


def predicted_examples(settings, dataset, observed, truth, networks, name):
    """Return the examples that the chain so far makes of a field, or None."""
    from ..learn import field_examples
    from ..seeds import generator

    if dataset != "fields" or not observed.cluster:
        return None
    rng = generator(0, "diffuse_radio", "fields", name)
    return field_examples.field_examples(observed, truth, networks, settings.search, settings.examples.turns, rng, name)


def example_targets(dataset):
    """Return the names of the quantities in the examples' targets; none for a map."""
    return ()


def search_observation(observed, networks, settings, seconds):
    """Search a simulated field; return it and its islands, one row each, and add to the seconds of each stage.

    What pixels have in common with the truth is counted afterwards, as no map is kept.
    """
    from ..learn import field_search, field_tables, running

    found = field_search.search_field(observed, networks, settings, running.Stages(seconds))
    return field_tables.with_truth(found, observed.mask)


def detection_table(rows, observed):
    """Return rows of the search as a table with units, with all columns even if there is no row."""
    from ..learn import field_tables

    return field_tables.detection_table(rows)


def table_needs():
    """Return the columns that truth and detections must have, entries of the latter's header, and parts of scores."""
    place = ["cube", "x", "y"]
    detections = [*place, "island", "snr", "las", "region_mean", "true_share", "overlap"]
    return {
        "truth": [*place, "kind", "visible", "snr", "smoothed_snr", "size", "flux", "pixel"],
        "detections": detections,
        "header": [],
        "scores": ["fields", "pixels", "components", "islands", "flux", "kinds"],
    }


def calibrate(truth, detections, settings):
    """Return the calibration of the chain, of its detections in the validation fields."""
    from ..learn import field_calibration

    return field_calibration.calibrate(truth, detections, settings)


def score(truth, detections, calibration, settings, random):
    """Return scores, residuals, summary, its Markdown and one sentence of the detections in the test fields."""
    from ..learn import field_calibration, field_scores

    detections = field_calibration.apply(calibration, detections)
    scores, residuals = field_scores.scores(truth, detections, calibration, settings.level, settings.confidence, random)
    summary = field_scores.summary(scores)
    return scores, residuals, summary, field_scores.as_markdown(summary, scores), field_scores.said(scores)


def compare_splits(scores, residuals):
    """Return the scores of several splits, by their names, as a table and in Markdown; residuals are not needed."""
    from ..learn import field_scores

    table = field_scores.comparison_table(scores, "split")
    return table, field_scores.comparison_markdown(table)


def archived(settings, numbers, seed, instruments):
    """Yield number, files by name, name of the searched one, archive entries and truth of the archive's images."""
    from ..instruments import products, radio_products
    from ..seeds import generator

    simulate = settings.simulate
    for number in numbers:
        rng = generator(seed, "diffuse_radio", "archive", number)
        keyword = OTHER_KEYWORD if number % _OTHER == _OTHER - 1 else KEYWORDS[int(rng.integers(len(KEYWORDS)))]
        public = number % _PRIVATE != _PRIVATE - 1
        observed, released = products.draw_dates(rng, False, public)
        ra = float(rng.uniform(0, 360))
        field, truth = simulated_field(simulate.sky, simulate.surveys, rng, instruments)
        survey = simulate.surveys[truth[0]["survey"]]
        entry = radio_products.Entry(
            target=f"SIMCLUSTER_{number:04d}",
            array=survey.array,
            number=number,
            ra=ra,
            dec=survey.declination,
            hours=survey.hours,
            keyword=keyword,
            observed=observed,
            released=released,
            public=public,
        )
        content = radio_products.as_fits(field, entry)
        row = radio_products.obscore_row(field, entry, len(content))
        yield number, {entry.filename: content}, entry.filename, [row], radio_products.on_the_sky(truth, field, entry)


def search_file(path, networks, calibration, settings):
    """Search a radio image; return what the table of files says of it, and one row an island.

    Raises `skyloom.images.fits.UnusableImage` if the file cannot be searched.
    """
    from ..learn import field_files

    return field_files.search_file(path, networks, calibration, settings)


def field_columns():
    """Return what the table of files says of a searched one: whole numbers, and others with their units."""
    units = {
        **dict.fromkeys(("ra", "dec"), "deg"),
        "radius": "arcsec",
        "rms": "Jy/beam",
        **dict.fromkeys(("beam_major", "beam_minor"), "arcsec"),
        "r500": "arcmin",
        **dict.fromkeys(("redshift", "region_mean", "emission", "halo", "relic", "other"), None),
    }
    return ("width", "height"), units


def object_units():
    """Return the units of what is told of an island, by column; None is a pure number, `str` a text."""
    from ..learn.field_files import UNITS

    return UNITS
