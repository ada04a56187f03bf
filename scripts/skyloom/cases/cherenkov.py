"""Gamma-ray sources in counts maps of Cherenkov telescopes: where are they, and are they real, within milliseconds?"""

import glob
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ..config.schema import Count, Fraction, LocalArchive, Name, Scale, SearchSettings, Section, _rising, unit
from ..errors import UserError

PERFORMANCE = "cherenkov/lst4.ecsv"
KEYWORD, OTHER_KEYWORD = "Gamma-ray sources", "Calibration of the array"
REGIONS = ((83.6, 22.0), (166.1, 38.2), (187.7, 12.4), (253.5, 39.8), (305.0, 40.0))
"""Around the Crab Nebula, Mrk 421, M87, Mrk 501 and in Cygnus [deg]; all come near the zenith of La Palma."""
# Every seventh list of the embedded archive was observed for something else, and every ninth is not public.
_OTHER, _PRIVATE = 7, 9
_LONGEST = 100.0
"""Exposure of a list of the embedded archive at most [s], of some 4 MB."""
Range = Annotated[tuple[Scale, Scale], AfterValidator(_rising)]


def _files(names: list[str]) -> list[str]:
    """Return the files that names of files, folders and patterns stand for."""
    found = []
    for name in names:
        folder = Path(name).is_dir()
        if Path(name).is_file() or not (folder or set(name) & set("*?[")):
            found.append(name)
            continue
        matching = glob.glob(str(Path(glob.escape(name), "**", "*.fits*")) if folder else name, recursive=True)
        inside = sorted(path for path in matching if Path(path).is_file())
        if not inside:
            raise ValueError(f"names '{name}', where there is no FITS file")
        found += inside
    if not found:
        raise ValueError("should name a file; null takes the array in resources/cherenkov")
    return found


class Sky(Section):
    """What the simulated maps hold; the published setting is one source of one Crab, seen for 100 s."""

    sources: Annotated[tuple[Annotated[int, Field(ge=0)], Count], AfterValidator(_rising)] = Field(
        (0, 5), description="Sources in a map, at least and at most."
    )
    time: Annotated[Range, unit("s")] = Field(
        (10.0, 3600.0), description="Range of the exposures, drawn by their logarithm."
    )
    flux: Range = Field(
        (0.05, 10.0),
        description="Range of the fluxes at 0.3 TeV in units of the Crab Nebula's, drawn by their logarithm.",
    )
    index: Range = Field((1.8, 3.2), description="Range of the spectral indices.")
    offset: Annotated[tuple[Annotated[float, Field(ge=0)], Scale], AfterValidator(_rising), unit("deg")] = Field(
        (0.0, 2.0), description="Range of the distances from the pointing."
    )
    apart: Annotated[float, Field(ge=0), unit("deg")] = Field(0.3, description="Sources are at least this far apart.")
    scale: Fraction = Field(0.2, description="By which share the background may be larger or smaller.")
    gradient: Annotated[
        tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0, lt=0.4)]],
        AfterValidator(_rising),
        unit("1/deg"),
    ] = Field((0.0, 0.1), description="Range of the relative change of the background.")
    night_sky: Fraction = Field(0.1, description="By which share patches of night sky may change the background.")


class Observation(Section):
    """What the simulated maps are observed with."""

    zenith: list[Annotated[float, Field(ge=0, lt=70)]] = Field(
        [20.0, 40.0, 60.0], description="Zenith angles [deg] of the array in resources/cherenkov.", min_length=1
    )
    irfs: Annotated[list[str], AfterValidator(_files)] | Literal["archive"] | None = Field(
        None,
        description="DL3 files whose instrument response is taken instead, each as likely, or folders and patterns of "
        "such; `archive` stands for the files of the local archive, null for none.",
    )
    energy: Annotated[Range, unit("TeV")] = Field((0.03, 5.0), description="Range of the reconstructed energies.")
    side: Annotated[int, Field(ge=64, le=1000, multiple_of=8), unit("pix")] = Field(200, description="Side of the map.")
    pixel: Annotated[float, Field(gt=0), unit("deg")] = Field(0.025, description="Side of a pixel.")


PUBLISHED = {
    "sources": (1, 1),
    "time": (100.0, 100.0),
    "flux": (1.0, 1.0),
    "index": (2.48, 2.48),
    "scale": 0.0,
    "gradient": (0.0, 0.0),
    "night_sky": 0.0,
}
"""What differs in the setting in which the original was measured."""
_STEEPEST = 0.4
"""Gradient beyond which there would be no background at all in a part of the field [1/deg]."""


class Simulate(Section):
    """The simulated maps; each has its truth."""

    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Jobs that simulate the maps of one split.")
    train: Count = Field(1000, description="Maps whose candidates train the network of positions.")
    validation: Count = Field(300, description="Maps that calibrate the chain and choose the threshold.")
    test: Count = Field(300, description="Maps that are only measured on.")
    published: Count = Field(
        300, description="Others, in the published setting: one source of one Crab for 100 s, an even background."
    )
    unseen_zenith: Count = Field(
        200, description="Others, at zenith angles half way between those of `observation.zenith`."
    )
    unseen_gradient: Count = Field(
        200, description="Others, with a background up to twice as steep as that of `sky.gradient`."
    )
    sky: Sky = Sky()
    observation: Observation = Observation()


class Examples(Section):
    """How many simulated examples train the networks that see whole maps."""

    maps: Count = Field(800, description="Maps with the photons of sources that are in them.")
    published: Count = Field(1200, description="Maps in the published setting, for the published networks.")
    validation: Fraction = Field(0.15, description="As many more, as a share, choose the epoch.")


class EmbeddedMaps(Section):
    """The simulated archive that the project brings."""

    fields: Count = Field(6, description="How many photon lists it holds.")
    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Number of jobs that simulate them.")


class Search(Section):
    """How a map is searched."""

    lowest_score: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Least photons of a candidate over the noise of what is counted."
    )
    false_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="False candidates in a map, of those above the threshold, on the validation maps."
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.68, description="Level of all intervals.")
    energy: Annotated[Range, unit("TeV")] = Field((0.03, 5.0), description="Range of the energies that are counted.")
    side: Annotated[int, Field(ge=64, le=1000, multiple_of=8), unit("pix")] = Field(
        200, description="Side of the map of a photon list."
    )
    pixel: Annotated[float, Field(gt=0), unit("deg")] = Field(0.025, description="Side of its pixels.")
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Threads of the backend; part of the result's identity, hence never taken from `--cores`."
    )


class Stack(Section):
    """Which photon lists are also searched together."""

    within: Annotated[float, Field(gt=0, le=180), unit("deg")] | None = Field(
        None,
        description="Photon lists of one telescope, of which no two pointings are farther apart, are also searched "
        "together; null for none.",
    )


class Settings(SearchSettings):
    """The settings of the search for gamma-ray sources."""

    simulate: Simulate = Simulate()
    examples: Examples = Examples()
    embedded: EmbeddedMaps = EmbeddedMaps()
    search: Search = Search()
    stack: Stack = Stack()
    estimators: list[Literal["excess_map", "ts_map", "likelihood_fit", "aperture_photometry", "astroai"]] = Field(
        ["excess_map", "ts_map", "likelihood_fit", "aperture_photometry", "astroai"],
        description="Other ways to find sources in maps that `peers.csv` compares, a target outside `all`.",
    )
    slow_shards: Count | None = Field(
        1, description="Shards of a split that those of them search which take seconds a map; null for all."
    )
    astroai: Annotated[list[Name], Field(min_length=2, max_length=2)] = Field(
        ["astroai_cleaner", "astroai_regressor"], description="The published cleaner and regressor among them."
    )
    SLOW: ClassVar[tuple[str, ...]] = ("ts_map", "aperture_photometry")

    @model_validator(mode="after")
    def _responses_of_the_archive(self):
        observation = self.simulate.observation
        if observation.irfs == "archive":
            try:
                local = LocalArchive.model_validate(self.archive.get("local", {}))
            except ValidationError:
                return self  # the archive's own settings are wrong, which is told where they are read
            try:
                if self.archive.get("service") != "local" or not local.folder:
                    raise ValueError("needs `archive.service: local` with a folder")
                observation.irfs = _files([str(Path(glob.escape(local.folder), local.pattern))])
            except ValueError as error:
                raise UserError(
                    f"`cases.cherenkov.simulate.observation.irfs` is `archive`, which {error}; "
                    "set `archive.local.folder`, or name files."
                ) from None
        return self


def instrument_files(settings):
    """Return the files that the simulations read."""
    return settings.simulate.observation.irfs or [f"resources/{PERFORMANCE}"]


def store():
    """Return the module that keeps simulated maps on disk."""
    from ..images import map_store

    return map_store


def figures():
    """Return the figures that a run makes of the search, first the one that docs/measured shows."""
    return ("sources", "location", "bias")


def responses_of(observation, instruments):
    """Return the responses to draw from, by zenith angle [deg], or by number where they are of DL3 files."""
    from ..instruments import cherenkov, counts_maps

    frame = counts_maps.Frame(observation.side, observation.pixel)
    lowest, highest = observation.energy
    if observation.irfs:
        files = [cherenkov.read_irfs(path) for path in observation.irfs]
        return {number: counts_maps.respond(irfs, frame, (lowest, highest)) for number, irfs in enumerate(files)}
    performance = cherenkov.read_performance(Path(instruments) / PERFORMANCE)
    return {
        zenith: counts_maps.respond(
            cherenkov.make_irfs(performance, zenith),
            frame,
            (max(lowest, cherenkov.threshold(performance, zenith)), highest),
        )
        for zenith in observation.zenith
    }


def simulate(settings, split, shard, seed, instruments):
    """Yield number, map and rows of truth of every map of a shard (`skyloom.images.counts.CountsMap`)."""
    from ..detect.simulated_maps import observe

    responses = responses_of(_split_observation(settings.observation, split), instruments)
    for number in range(shard, getattr(settings, split), settings.shards):
        field, rng = drawn_field(settings, split, number, seed, list(responses))
        yield number, *observe(field, responses[field.response], rng)


def drawn_field(settings, split, number, seed, responses):
    """Return the field of a simulated map (`skyloom.sky.transients.Field`) and the random numbers that follow it."""
    from ..seeds import generator
    from ..sky.transients import draw_field

    rng = generator(seed, "cherenkov", "simulate", split, number)
    return draw_field(rng, _split_sky(settings.sky, split), responses), rng


def other_splits(settings):
    """Return the splits that are scored besides ``test``: the published setting, and what no training has seen."""
    splits = ["published"]
    if not settings.observation.irfs and len(settings.observation.zenith) > 1:
        splits.append("unseen_zenith")
    return [*splits, *(["unseen_gradient"] if settings.sky.gradient[1] > 0 else [])]


def _split_sky(sky, split):
    """Return what the maps of a split hold."""
    if split == "published":
        return sky.model_copy(update=PUBLISHED)
    if split == "unseen_gradient":
        steepest = sky.gradient[1]
        return sky.model_copy(update={"gradient": (steepest, min(2 * steepest, _STEEPEST))})
    return sky


def _split_observation(observation, split):
    """Return what the maps of a split are observed with."""
    if split != "unseen_zenith":
        return observation
    known = sorted(observation.zenith)
    between = [(one + other) / 2 for one, other in zip(known[:-1], known[1:], strict=True)]
    return observation.model_copy(update={"zenith": between})


def truth_table(rows):
    """Return rows of truth as a table with units."""
    from ..detect.simulated_maps import truth_table

    return truth_table(rows)


def roles():
    """Return the role of a network by the examples that it is trained on; on others, it has that of its target."""
    return {"maps": "map", "heatmaps": "heatmap"}


def searching_roles():
    """Return the roles that no search of a map can do without."""
    return ("map",)


def roles_before(dataset):
    """Return the roles of the networks that the examples of a dataset are made with."""
    from ..learn import chains

    return chains.roles_before(dataset, {"maps": (), "candidates": ("map",), "heatmaps": (), "places": ("heatmap",)})


def example_search():
    """Return the settings of the search that the examples depend on."""
    return ("lowest_score", "threads")


def true_examples(settings, dataset, split, seed, instruments, networks):
    """Yield the simulated examples of a dataset for one split (`skyloom.learn.datasets.Samples`)."""
    from ..learn import heatmaps, map_examples
    from ..seeds import generator

    if dataset == "candidates":
        return
    count = settings.examples.maps if dataset == "maps" else settings.examples.published
    count = count if split == "train" else max(16, round(count * settings.examples.validation))
    yield from map_examples.map_examples(
        responses_of(settings.simulate.observation, instruments),
        settings.simulate.sky if dataset == "maps" else _split_sky(settings.simulate.sky, "published"),
        count,
        lambda number: generator(seed, "cherenkov", "examples", dataset, split, number),
        split,
        {"maps": map_examples.cleaned, "heatmaps": heatmaps.cleaned}.get(dataset) or heatmaps.placed(networks),
    )


def predicted_examples(settings, dataset, observed, truth, networks, name):
    """Return the examples that the chain so far makes of a map, or None."""
    from ..learn import map_examples

    if dataset != "candidates":
        return None

    return map_examples.predicted_positions(observed, truth, networks, settings.search, name)


def example_targets(dataset):
    """Return the names of the quantities in the examples' targets; none for a map."""
    return {"candidates": ("position",), "places": ("place",)}.get(dataset, ())


def search_observation(observed, networks, settings, seconds):
    """Search a map and return one row a candidate; the seconds of each stage are added to `seconds`."""
    from ..learn import map_search, running

    return map_search.search_map(observed, networks, settings, running.Stages(seconds))


def detection_table(rows, observed):
    """Return rows of the search as a table with units, with all columns even if there is no row."""
    from ..learn import map_search

    table = map_search.detection_table(rows)
    table.meta["pixel"] = observed.pixel
    return table


def table_needs():
    """Return the columns that truth and detections must have, entries of the latter's header, and parts of scores."""
    place = ["cube", "x", "y"]
    return {
        "truth": [*place, "snr"],
        "detections": [*place, "score", "snr", "photons"],
        "header": ["pixel"],
        "scores": ["found", "residuals", "false_rate", "photon_bias"],
    }


def calibrate(truth, detections, settings):
    """Return the calibration of the chain, of the candidates in the validation maps."""
    from ..learn import map_calibration

    return map_calibration.calibrate(truth, detections, settings)


def score(truth, detections, calibration, settings, random):
    """Return scores, residuals, summary, its Markdown and one sentence of the candidates in the test maps."""
    from ..learn import map_calibration, map_scores

    detections = map_calibration.apply(calibration, detections)
    scores, residuals = map_scores.scores(truth, detections, calibration["threshold"], settings.confidence, random)
    summary = map_scores.summary(scores)
    return scores, residuals, summary, map_scores.as_markdown(summary, scores), map_scores.said(scores)


def compare_splits(scores, residuals):
    """Return the scores of several splits, by their names, as a table and in Markdown; residuals are not needed."""
    from ..learn import map_scores

    table = map_scores.splits_table(scores)
    return table, map_scores.splits_markdown(table)


def archived(settings, numbers, seed, instruments):
    """Yield number, files by name, name of the searched one, archive entries and truth of the archive's lists."""
    from dataclasses import replace

    from ..detect import simulated_photons
    from ..instruments import counts_maps, photon_products, products
    from ..seeds import generator
    from ..sky.fields import draw_position
    from ..sky.transients import draw_field

    observation, sky = settings.simulate.observation, settings.simulate.sky
    frame, known = counts_maps.Frame(observation.side, observation.pixel), {}
    for number in numbers:
        rng = generator(seed, "cherenkov", "archive", number)
        keyword = OTHER_KEYWORD if number % _OTHER == _OTHER - 1 else KEYWORD
        public = number % _PRIVATE != _PRIVATE - 1
        observed, released = products.draw_dates(rng, False, public)
        ra, dec = draw_position(rng, REGIONS, 5.0)
        field = draw_field(rng, sky, list(range(len(observation.irfs))) if observation.irfs else observation.zenith)
        field = replace(field, time=min(field.time, _LONGEST))
        if field.response not in known:
            irfs, energies, array = _instrument_of(observation, instruments, field.response)
            known[field.response] = irfs, energies, array, counts_maps.respond(irfs, frame, energies)
        irfs, energies, array, response = known[field.response]
        pointing = simulated_photons.Pointing(
            target=f"SIMGAMMA_{number:04d}",
            array=array,
            number=number + 1,
            ra=ra,
            dec=dec,
            zenith=float("nan") if observation.irfs else float(field.response),
            night=observed,
            energies=energies,
        )
        dataset = simulated_photons.dataset_of(field, pointing, irfs, frame.side * frame.pixel)
        events = simulated_photons.draw_events(dataset, rng)
        content = simulated_photons.as_dl3(events, field, pointing, irfs)
        entry = photon_products.Entry(
            target=pointing.target,
            number=number,
            array=array,
            ra=ra,
            dec=dec,
            time=field.time,
            energies=energies,
            field=frame.side * frame.pixel,
            resolution=photon_products.resolution_of(irfs),
            keyword=keyword,
            released=released,
            public=public,
        )
        row = photon_products.obscore_row(entry, len(content))
        truth = simulated_photons.truth_of(field, pointing, response, events)
        yield number, {entry.filename: content}, entry.filename, [row], truth


def _instrument_of(observation, instruments, name):
    """Return the instrument that a field names: its response, the energies it observes [TeV], and what it is."""
    from ..instruments import cherenkov

    lowest, highest = observation.energy
    if observation.irfs:
        path = observation.irfs[int(name)]
        return cherenkov.read_irfs(path), (lowest, highest), f"response of {Path(path).name}"[:68]
    performance = cherenkov.read_performance(Path(instruments) / PERFORMANCE)
    threshold = cherenkov.threshold(performance, name)
    array = f"{performance.meta['array']}, {name:g} deg from the zenith"
    return cherenkov.make_irfs(performance, name), (max(lowest, threshold), highest), array


def search_file(path, networks, calibration, settings):
    """Search a photon list; return what the table of files says of it, and one row a source.

    Raises `skyloom.images.fits.UnusableImage` if the file cannot be searched.
    """
    from ..learn import photon_search

    return photon_search.search_photons(path, networks, calibration, settings)


def search_incoming(path, networks, calibration, settings, seconds):
    """Search a photon list or a counts map that came just now; return its facts and one row a candidate.

    The seconds of each stage are added to `seconds`. Raises `skyloom.images.fits.UnusableImage` if it cannot be
    searched.
    """
    from ..learn import photon_search, running

    return photon_search.search_incoming(path, networks, calibration, settings, running.Stages(seconds))


def warm_up(networks, calibration, settings):
    """Make all that `search_incoming` needs."""
    from ..learn import photon_search

    photon_search.warm_up(networks, calibration, settings)


def field_columns():
    """Return what the table of files says of a searched one: whole numbers, and others with their units."""
    units = {**dict.fromkeys(("ra", "dec", "zenith"), "deg"), "radius": "arcsec", "livetime": "s"}
    return ("events", "width", "height"), units


def object_units():
    """Return the units of what is told of a source, by column; None is a pure number, `str` a text."""
    from ..learn.photon_search import UNITS

    return UNITS
