"""Sources in dirty ALMA cubes: where are they in position and frequency, and what are they like?"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ..config.schema import Count, Fraction, Name, Scale, SearchSettings, Section, _rising, unit
from ..errors import UserError

KEYWORDS = ("Sub-mm Galaxies (SMG)", "Lyman Break Galaxies (LBG)", "Active Galactic Nuclei (AGN)/Quasars (QSO)")
OTHER_KEYWORDS = ("Debris disks", "Exo-planets")
# Every seventh cube of the embedded archive was observed for something else, and every ninth is not public.
_OTHER, _PRIVATE = 7, 9
Range = Annotated[tuple[Scale, Scale], AfterValidator(_rising)]


class Sky(Section):
    """What the simulated cubes hold; sizes, lines and amplitudes are those of DeepFocus, sizes being FWHM."""

    fewest: Count = Field(3, description="Sources in a cube at least.")
    most: Count = Field(6, description="Sources in a cube at most.")
    brightness: Annotated[Range, unit("mJy/pixel")] = Field(
        (0.5, 5.0), description="Range of the brightest pixel of a cube's sky, drawn by its logarithm."
    )
    size: Annotated[Range, unit("pix")] = Field((2.0, 8.0), description="Range of the two FWHM of a source.")
    line_fwhm: Annotated[Range, unit("channel")] = Field((3.0, 10.0), description="Range of the lines' FWHM.")
    margin: Annotated[float, Field(ge=0), unit("channel")] = Field(
        10.0, description="No line is centred nearer to the ends of the band."
    )
    spectral_index: Annotated[tuple[float, float], AfterValidator(_rising)] = Field(
        (-2.0, 2.0), description="Range of the continuum's spectral index."
    )
    field: Fraction = Field(0.3, description="Sources lie within this share of the image's width from its middle.")
    apart: Annotated[float, Field(ge=0), unit("pix")] = Field(20.0, description="Sources are at least this far apart.")
    overlapping: Fraction = Field(
        0.2, description="Share of the sources that are put over another one, with a line at another frequency."
    )
    overlap_within: Annotated[float, Field(gt=0), unit("pix")] = Field(6.0, description="How far such a pair is apart.")
    more_lines: Fraction = Field(0.1, description="Share of the sources with a second, fainter line.")
    double_peaked: Fraction = Field(0.1, description="Share of the sources with a double-peaked line.")
    rotating: Fraction = Field(
        0.1, description="Share of the sources that rotate: the line shifts along the major axis."
    )
    continuum_only: Fraction = Field(0.05, description="Share of the sources without a line.")

    @model_validator(mode="after")
    def _count_rises(self):
        if self.fewest > self.most:
            raise ValueError("has more sources as its `fewest` than as its `most`; swap them")
        return self


class Observation(Section):
    """How the simulated cubes are observed."""

    configuration: Annotated[int, Field(ge=1, le=10)] = Field(3, description="ALMA cycle 9 configuration.")
    frequency: Annotated[float, Field(ge=84, le=373), unit("GHz")] = Field(230.0, description="Middle of the band.")
    channel_width: Annotated[float, Field(gt=0), unit("GHz")] = Field(0.01, description="Width of a channel.")
    channels: Annotated[int, Field(ge=16, le=4096)] = Field(128, description="Number of channels.")
    side: Annotated[int, Field(ge=96, le=4096, multiple_of=32), unit("pix")] = Field(
        256, description="Side of the image."
    )
    pixel: Annotated[float, Field(gt=0), unit("arcsec")] = Field(0.1, description="Side of a pixel.")
    time: Annotated[float, Field(gt=0), unit("s")] = Field(2400.0, description="Time on source.")
    integration: Annotated[float, Field(gt=0), unit("s")] = Field(10.0, description="Time of one visibility.")
    declination: Annotated[float, Field(gt=-89, lt=47), unit("deg")] = Field(-35.0, description="Of the phase centre.")
    water: Annotated[float, Field(gt=0, lt=10), unit("mm")] = Field(0.8, description="Precipitable water vapour.")
    receiver: Annotated[float, Field(gt=0), unit("K")] = Field(
        50.0,
        description="Receiver temperature; 50 K is what CASA's simulator takes for band 6, the specification is 83 K.",
    )


class Simulate(Section):
    """The simulated cubes; each has its truth."""

    shards: Annotated[int, Field(ge=1, le=200)] = Field(2, description="Jobs that simulate the cubes of one split.")
    train: Count = Field(8, description="Cubes that fine-tune the networks.")
    validation: Count = Field(8, description="Cubes that calibrate them and choose the threshold.")
    test: Count = Field(16, description="Cubes that are only measured on.")
    sky: Sky = Sky()
    observation: Observation = Observation()

    @model_validator(mode="after")
    def _lines_fit(self):
        if 2 * self.sky.margin + 1 >= self.observation.channels:
            raise ValueError("has lines that do not fit its channels; lower `sky.margin` or take more channels")
        return self


class Examples(Section):
    """How many simulated examples train each network before it is fine-tuned on cubes."""

    maps: Count = Field(800, description="Images summed over frequency.")
    spectra: Count = Field(2000, description="Spectra of sources.")
    sources: Count = Field(4000, description="Focused images of single sources.")
    validation: Fraction = Field(0.15, description="As many more, as a share, choose the epoch.")


class EmbeddedCubes(Section):
    """The simulated archive that the project brings."""

    fields: Count = Field(6, description="How many cubes it holds.")
    shards: Annotated[int, Field(ge=1, le=200)] = Field(1, description="Number of jobs that simulate them.")


class Search(Section):
    """How a cube is searched."""

    map_threshold: Fraction = Field(0.15, description="Level of the Blobs Finder's map above which a region begins.")
    dilation: Annotated[int, Field(ge=0, le=10), unit("2 pix")] = Field(1, description="By which the regions grow.")
    deblend: bool = Field(
        True,
        description="Solve for the spectra of all sources together, by the beam, instead of adding up boxes.",
    )
    line_height: Fraction = Field(0.3, description="Lowest peak of a cleaned spectrum that is a line.")
    focused_snr: Annotated[float, Field(gt=0), unit("local rms")] = Field(
        4.0, description="Detections fainter than this in their focused image are dropped."
    )
    purity: Annotated[float, Field(gt=0, lt=1)] = Field(0.97, description="Of the candidates, on the validation cubes.")
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.68, description="Level of all intervals.")
    line_frequency: Annotated[float, Field(gt=0), unit("GHz")] | None = Field(
        None, description="Rest frequency of the line, for redshifts; null for none."
    )
    subcube: Annotated[int, Field(ge=96, multiple_of=32), unit("pix")] = Field(
        512, description="Larger images are searched in overlapping parts of this side."
    )
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Threads of the backend; part of the result's identity, hence never taken from `--cores`."
    )


class Variant(Section):
    """The chain with something exchanged, for one row of `ablation.csv`."""

    models: dict[Name, Name] = Field({}, description="Which model stands in for which one of the chain.")
    deblend: bool | None = Field(None, description="Stands in for `search.deblend`; null leaves it.")


class Settings(SearchSettings):
    """The settings of the search for sources in cubes."""

    simulate: Simulate = Simulate()
    examples: Examples = Examples()
    embedded: EmbeddedCubes = EmbeddedCubes()
    search: Search = Search()
    variants: dict[Name, Variant] = Field(
        {}, description="Other chains to compare this one with, a target outside `all`."
    )
    peers: list[Literal["photutils", "pybdsf", "matched_filter_3d", "decoras", "sofia"]] = Field(
        ["photutils", "matched_filter_3d", "pybdsf", "decoras"],
        description="Other source finders that `peers.csv` compares; SoFiA-2 needs its program on PATH.",
    )
    decoras: Annotated[list[Name], Field(min_length=2, max_length=2)] = Field(
        description="The two models on whose maps a source of DECORAS has to be."
    )


def instrument_files(settings):
    """Return the files that the simulations read."""
    return [f"resources/arrays/alma_cycle9_{number}.ecsv" for number in range(1, 11)]


def store():
    """Return the module that keeps simulated cubes on disk."""
    from ..images import cube_store

    return cube_store


def figures():
    """Return the figures that a run makes of the search, first the one that docs/measured shows."""
    return ("example", "completeness", "residuals", "coverage")


def other_splits(settings):
    """Return the splits that are scored besides ``test``; there are none."""
    return []


def simulate(settings, split, shard, seed, instruments):
    """Yield number, cube and rows of truth of every cube of a shard (`skyloom.images.cubes.Cube`)."""
    from ..detect.simulated_cubes import simulate_cube
    from ..seeds import generator

    telescope = telescope_of(settings.observation, instruments)
    for number in range(shard, getattr(settings, split), settings.shards):
        yield number, *simulate_cube(telescope, settings.sky, generator(seed, "alma_cubes", "simulate", split, number))


def truth_table(rows):
    """Return rows of truth as a table with units."""
    from ..detect.simulated_cubes import truth_table

    return truth_table(rows)


def telescope_of(observation, instruments):
    """Return the telescope that observes as the settings say (`skyloom.instruments.dirty_cubes.Telescope`)."""
    from ..instruments import alma, dirty_cubes
    from ..instruments import interferometer as radio

    antennas = alma.read_antennas(Path(instruments) / "arrays", observation.configuration)
    try:
        band = dirty_cubes.observe_band(observation, antennas)
    except radio.BeamNotSeenError:
        proposed = dirty_cubes.pixel_for(antennas, observation.frequency)
        raise UserError(
            f"`simulate.observation`: configuration {observation.configuration} has a beam that pixels of "
            f"{observation.pixel:g} arcsec do not show; take pixels of {proposed:g} arcsec."
        ) from None
    return dirty_cubes.Telescope(band)


def roles():
    """Return the role of a network by the examples that it is trained on; on others, it has that of its target."""
    return {"maps": "map", "spectra": "lines"}


def searching_roles():
    """Return the roles that no search of a cube can do without."""
    return ("map", "lines")


def roles_before(dataset):
    """Return the roles of the networks that the predicted examples of a dataset are made with."""
    from ..learn import chains

    return chains.roles_before(dataset, {"maps": (), "spectra": ("map",), "sources": ("map", "lines")})


def example_search():
    """Return the settings of the search that the examples depend on: what it does before anything is calibrated."""
    return ("map_threshold", "dilation", "deblend", "line_height", "threads")


def true_examples(settings, dataset, split, seed, instruments, networks):
    """Yield the simulated examples of a dataset for one split (`skyloom.learn.datasets.Samples`)."""
    from ..learn import cube_examples
    from ..seeds import generator

    observation = settings.simulate.observation
    count = getattr(settings.examples, dataset)
    count = count if split == "train" else max(16, round(count * settings.examples.validation))
    keys = ("alma_cubes", "examples", dataset, split)
    if dataset == "maps":
        yield from cube_examples.map_examples(
            telescope_of(observation, instruments),
            settings.simulate.sky,
            count,
            lambda number: generator(seed, *keys, number),
            split,
        )
        return
    sky, rng = settings.simulate.sky, generator(seed, *keys)
    if dataset == "spectra":
        band = telescope_of(observation.model_copy(update={"side": 96}), instruments).band
        yield cube_examples.spectrum_examples(band, sky, count, rng, split)
    else:
        yield cube_examples.source_examples(
            telescope_of(observation.model_copy(update={"side": 96}), instruments), sky, count, rng, split
        )


def predicted_examples(settings, dataset, cube, truth, networks, name):
    """Return the examples that the chain so far makes of a cube, or None."""
    from ..learn import cube_examples

    made = {"spectra": cube_examples.predicted_spectra, "sources": cube_examples.predicted_sources}
    return made[dataset](cube, truth, networks, settings.search, name)


def example_targets(dataset):
    """Return the names of the quantities in the examples' targets; none for a map or a spectrum."""
    from ..detect.line_search import QUANTITIES

    return QUANTITIES if dataset == "sources" else ()


def search_observation(cube, networks, settings, seconds):
    """Search a cube and return one row a source; the seconds of each stage are added to `seconds`."""
    from ..learn import cube_chain, running

    return cube_chain.search_cube(cube, networks, settings, running.Stages(seconds))


def detection_table(rows, cube):
    """Return rows of the search as a table with units, with all columns even if there is no row."""
    from ..learn.cube_chain import detection_table

    table = detection_table(rows)
    table.meta["beam_fwhm"] = float((cube.beam[0] * cube.beam[1]) ** 0.5)
    return table


def table_needs():
    """Return the columns that truth and detections must have, and the entries of the latter's header."""
    place = ("cube", "x", "y")
    return {"truth": [*place, "snr"], "detections": [*place, "score", "snr"], "header": ["beam_fwhm"]}


def calibrate(truth, detections, settings):
    """Return the calibration of the chain, of the detections in the validation cubes."""
    from ..learn import detection_calibration

    return detection_calibration.calibrate(truth, detections, settings)


def score(truth, detections, calibration, settings, random):
    """Return scores, residuals, summary, its Markdown and one sentence of the detections in the test cubes."""
    from ..detect.match_sources import accepted, match_sources
    from ..learn import detection_calibration, detection_scores, detection_summary

    detections = detection_calibration.apply(calibration, detections)
    threshold = calibration["threshold"]
    scores = detection_scores.detector_scores(
        truth,
        detections,
        threshold,
        beam_fwhm=detections.meta["beam_fwhm"],
        random=random,
        confidence=settings.confidence,
    )
    kept = accepted(match_sources(truth, detections, spectral=True), detections, threshold)
    summary = detection_summary.summary(scores)
    text = detection_summary.as_markdown(summary, len(set(truth["cube"])), len(truth), settings.confidence)
    found = scores["3d"]["detectable"]
    completeness, purity = (found[name]["value"] or 0 for name in ("completeness", "purity"))
    said = f"{len(truth)} sources; of those with S/N of at least 5 completeness {completeness:.3f}, purity {purity:.3f}"
    return scores, detection_scores.residuals(truth, detections, kept), summary, text, said


def archived(settings, numbers, seed, instruments):
    """Yield number, files by name, name of the searched one, archive entries and truth of the archive's cubes."""
    from ..detect.simulated_cubes import simulate_cube
    from ..instruments import alma, cube_products, products
    from ..seeds import generator

    observation = settings.simulate.observation
    telescope = telescope_of(observation, instruments)
    beam = telescope.band.beam
    for number in numbers:
        rng = generator(seed, "alma_cubes", "archive", number)
        keyword = str(rng.choice(OTHER_KEYWORDS if number % _OTHER == _OTHER - 1 else KEYWORDS))
        public = number % _PRIVATE != _PRIVATE - 1
        observed, released = products.draw_dates(rng, False, public)
        entry = products.Observation(
            mous=f"uid://A001/X{0xE000 + number:x}/X{2 * number + 1:x}",
            group=f"uid://A001/X{0xE000 + number:x}/X{0xB000 + number:x}",
            proposal=f"{observed.year}.1.{80000 + number:05d}.S",  # no real project has such a number
            target=f"SIMCUBE_{number:04d}",
            ra=float(rng.uniform(0, 360)),
            dec=observation.declination,
            frequency=observation.frequency * 1e9,
            band=alma.band_of(observation.frequency),
            time=observation.time,
            resolution=round((beam[0] * beam[1]) ** 0.5 * observation.pixel, 4),
            field=observation.side * observation.pixel,
            keywords=keyword,
            observed=observed,
            released=released,
            public=public,
        )
        cube, truth = simulate_cube(telescope, settings.simulate.sky, rng)
        files = cube_products.files_of(entry, cube, number, observation.pixel)
        entries = products.obscore_rows(entry, sum(map(len, files.values())))
        yield number, files, entry.filename(cube_products.PRODUCT), entries, truth


def search_file(path, networks, calibration, settings):
    """Search a FITS cube; return what the table of files says of it, and one row a source.

    Raises `skyloom.images.fits.UnusableImage` if the file cannot be searched.
    """
    from ..images.fits_cubes import open_cube
    from ..images.footprint import observed_disc
    from ..learn import cube_search

    rest = settings.line_frequency * 1e9 if settings.line_frequency else None
    file = open_cube(path, rest_frequency=rest)
    table = cube_search.search_file(file, networks, calibration, settings)
    channels, height, width = file.shape
    ra, dec, radius = observed_disc(file.middle(), file.wcs, file.pixel_scale)
    beam = {"beam_major": file.beam.major, "beam_minor": file.beam.minor}
    facts = {
        "channels": channels,
        "width": width,
        "height": height,
        "ra": ra,
        "dec": dec,
        "radius": radius,
        "data_sha256": file.data_sha256,
        **beam,
    }
    if len(table):
        facts["rms"] = float(table["rms"][0])
    rows = cube_search.on_the_sky(table, file, settings.line_frequency)
    return facts, [
        {
            **row,
            **beam,
            "beam_pa": file.beam.pa,
            "flags": str(found["flags"]),
            "probability": float(found["probability"]),
        }
        for row, found in zip(rows, table, strict=True)
    ]


def field_columns():
    """Return what the table of files says of a searched one: whole numbers, and others with their units."""
    units = {
        **dict.fromkeys(("ra", "dec"), "deg"),
        "radius": "arcsec",
        "rms": "Jy/beam",
        **dict.fromkeys(("beam_major", "beam_minor"), "arcsec"),
    }
    return ("channels", "width", "height"), units


def object_units():
    """Return the units of the numbers that are measured of a source, by column; None is a pure number."""
    from ..learn.cube_search import UNITS

    return UNITS
