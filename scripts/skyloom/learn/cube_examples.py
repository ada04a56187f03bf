"""The examples that the networks of the search for sources in cubes are trained on.

Most examples are no whole cubes: an image summed over frequency, a spectrum or a focused source are sums of a cube,
with Gaussian noise whose correlation is known, and are drawn a hundred times quicker as such. What the networks make
of each other's results is learnt afterwards from whole cubes, searched by the very chain that searches observations.
"""

from collections.abc import Iterator

import numpy as np
from astropy.table import Table

from ..detect import line_search as search
from ..detect.simulated_cubes import lines_of, sky_parts
from ..images.cubes import Cube
from ..instruments.dirty_cubes import Band, Telescope
from ..sky import line_sources as sky
from .datasets import Samples

FAINTEST, BRIGHTEST = 3.0, 1000.0
"""S/N of the examples, drawn by its logarithm."""


def map_examples(telescope: Telescope, settings, count: int, generator_of, name: str, block: int = 64) -> Iterator:
    """Yield examples for the Blobs Finder: images summed over frequency, and maps with a peak a source.

    Parameters
    ----------
    telescope : Telescope
    settings : skyloom.cases.alma_cubes.Sky
    count : int
    generator_of : callable
        Takes a number, gives the random generator of that example.
    name : str
        Of the split, for the examples' ids.
    block : int
        Examples in memory at a time.
    """
    band = telescope.band
    channels = len(band.frequency)
    for start in range(0, count, block):
        images, targets = [], []
        for number in range(start, min(start + block, count)):
            rng = generator_of(number)
            sources = sky.draw_sources(rng, settings, channels, band.side)
            image = telescope.summed(sky_parts(sources, band)) / (band.rms * np.sqrt(channels))
            image += telescope.noise(1, rng)[0]
            images.append(search.map_input(image))
            places = np.array([(source.x, source.y) for source in sources]).T
            targets.append(search.map_target(*places, image.shape))
        yield _samples(images, targets, [f"{name}.map_{start + n:06d}" for n in range(len(images))], "truth")


def spectrum_examples(band: Band, settings, count: int, rng: np.random.Generator, name: str) -> Samples:
    """Return spectra of single sources with noise, and their lines alone.

    A part of them has the line of a neighbour in it, as its sidelobes would leave, and some have no line.
    """
    channels = len(band.frequency)
    tilt = band.frequency / band.reference
    images, targets = [], []
    for _ in range(count):
        first, second = (_any_source(rng, settings, channels, band.side) for _ in range(2))
        lines = lines_of(first, channels)
        spectrum = first.continuum * tilt**first.index + lines
        if rng.random() < 0.3:
            spectrum = (
                spectrum + rng.uniform(-0.15, 0.15) * lines_of(second, channels) * first.continuum / second.continuum
            )
        if rng.random() < 0.1:
            spectrum, lines = spectrum * 0, lines * 0
        height = max(float(lines.max()), first.continuum)
        snr = np.exp(rng.uniform(np.log(1.5), np.log(BRIGHTEST / 4)))
        noisy = spectrum / height * snr + rng.standard_normal(channels)
        images.append(search.line_input(noisy, 1.0))
        targets.append((lines / max(float(lines.max()), 1e-30))[:, None].astype(np.float32))
    return _samples(images, targets, [f"{name}.spectrum_{n:06d}" for n in range(count)], "truth")


def _any_source(rng: np.random.Generator, settings, channels: int, side: int):
    """Return one of the sources of a sky, bright or faint."""
    sources = sky.draw_sources(rng, settings, channels, side)
    return sources[int(rng.integers(len(sources)))]


def source_examples(telescope: Telescope, settings, count: int, rng: np.random.Generator, name: str) -> Samples:
    """Return focused images of single sources, and what the networks shall say of them (`line_search.QUANTITIES`).

    `telescope` need not see more than the stamp.
    """
    band = telescope.band
    middle = band.side // 2
    cube = Cube(
        np.zeros((1, band.side, band.side), np.float32), np.ones(1), band.beam, band.frequency[:1], band.dirty_beam
    )
    responses = search.Responses(cube)
    flat = np.ones(len(band.frequency)) / len(band.frequency)
    images, targets = [], []
    for _ in range(count):
        sizes = np.sort(rng.uniform(*settings.size, 2))[::-1]
        x, y = middle + rng.uniform(-0.5, 0.5, 2)
        source = sky.LineSource(x, y, sizes[0], sizes[1], rng.uniform(0, 180), 1.0, 0.0)
        seen = telescope.summed([(sky.gaussian(source, (band.side, band.side)), flat)])
        snr = np.exp(rng.uniform(np.log(FAINTEST), np.log(BRIGHTEST)))
        scale = snr / float(seen.max())
        image = seen * scale + telescope.noise(1, rng)[0]
        candidate = search.Candidate(x, y, 1.0, (*sizes, source.pa))
        found = search.focus(image, [candidate], 0, responses, band.beam)
        images.append(search.stamp_input(found))
        flux = scale / max(found.snr, 1.0)
        targets.append(search.stamp_target([sizes[0]], [sizes[1]], [source.pa], [flux])[0])
    return _samples(images, targets, [f"{name}.source_{n:06d}" for n in range(count)], "truth")


def _samples(images: list, targets: list, ids: list[str], origin: str, groups: list[str] | None = None) -> Samples:
    names = np.array(ids, dtype=str)
    return Samples(
        x=np.stack(images).astype(np.float32),
        y=np.stack(targets).astype(np.float32),
        id=names,
        group=names if groups is None else np.array(groups, dtype=str),
        origin=np.full(len(names), origin),
    )


def predicted_spectra(cube: Cube, truth: Table, networks, settings, name: str) -> Samples | None:
    """Return the spectra that the chain extracts from a cube, and the lines that are really there."""
    from . import cube_chain

    candidates = cube_chain.find_regions(cube, networks["map"], settings)
    if not candidates:
        return None
    cube_chain.give_spectra(cube, candidates, settings, search.Responses(cube))
    channels = np.arange(len(cube.data))
    images, targets = [], []
    for one in candidates:
        lines = np.zeros(len(channels))
        for row in truth:
            # A candidate has the lines of all sources that it stands for.
            if np.hypot(row["x"] - one.x, row["y"] - one.y) < 5 and np.isfinite(row["z"]):
                shape = np.exp(-0.5 * ((channels - row["z"]) * search.FWHM / row["line_fwhm"]) ** 2)
                lines += (row["flux"] - row["continuum"]) * shape
        images.append(search.line_input(one.spectrum, one.noise))
        targets.append(np.clip(lines / max(float(lines.max()), 1e-30), 0, 1)[:, None])
    return _samples(images, targets, [f"{name}.{n:02d}" for n in range(len(images))], "predicted", [name] * len(images))


def predicted_sources(cube: Cube, truth: Table, networks, settings, name: str) -> Samples | None:
    """Return the focused images that the chain makes of a cube's sources, with the truth of those that are real."""
    from . import cube_chain

    candidates = cube_chain.find_regions(cube, networks["map"], settings)
    responses = search.Responses(cube)
    candidates = cube_chain.find_lines(cube, candidates, networks["lines"], settings, responses) if candidates else []
    # What is left of neighbours depends on how well their shapes are known; here as well as the networks will know.
    for one in candidates:
        row = _matched(one, truth)
        if row is not None:
            one.shape = (row["fwhm_major"], row["fwhm_minor"], row["pa"])
    images, targets, ids = [], [], []
    cube_chain.give_spectra(cube, candidates, settings, responses)
    for number, (one, used, stamp) in enumerate(
        zip(candidates, *cube_chain.focus_all(cube, candidates, responses), strict=True)
    ):
        row = _matched(one, truth)
        if row is None or stamp.snr < FAINTEST:
            continue
        unit = used.flux_unit(cube.rms, search.window(one.z, one.line_fwhm, len(cube.data)))
        shown = row["flux"] if used.shape is used.weights else row["flux"] - row["continuum"]
        flux = shown / unit / max(stamp.snr, 1.0)
        if not 0.1 < flux < 10:
            continue
        images.append(search.stamp_input(stamp))
        targets.append(search.stamp_target([row["fwhm_major"]], [row["fwhm_minor"]], [row["pa"]], [flux])[0])
        ids.append(f"{name}.{number:02d}")
    return _samples(images, targets, ids, "predicted", [name] * len(ids)) if images else None


def _matched(one: search.Candidate, truth: Table):
    """Return the row of truth that a candidate stands for, or None."""
    best, nearest = None, 3.0
    for row in truth:
        distance = float(np.hypot(row["x"] - one.x, row["y"] - one.y))
        same = not np.isfinite(row["z"]) or (np.isfinite(one.z) and abs(row["z"] - one.z) <= row["line_fwhm"] / 2)
        if distance <= nearest and same:
            best, nearest = row, distance
    return best
