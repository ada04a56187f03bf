"""Simulated cubes and their truth, as it would be measured."""

from dataclasses import replace

import numpy as np
from astropy.table import Table

from ..images.cubes import Cube
from ..instruments.dirty_cubes import Band, Telescope
from ..sky import line_sources as sky
from . import line_search as search

TRUTH_UNITS = {
    **dict.fromkeys(("x", "y", "fwhm_major", "fwhm_minor"), "pix"),
    **dict.fromkeys(("flux", "continuum"), "Jy"),
    "pa": "deg",
    "peak": "Jy / beam",
    "line_flux": "Jy km / s",
}


def sky_parts(sources: list, band: Band) -> list:
    """Return images and spectra of all sources (`skyloom.sky.line_sources.parts`)."""
    shape, tilt = (band.side, band.side), band.frequency / band.reference
    return [part for source in sources for part in sky.parts(source, shape, len(band.frequency), tilt)]


def simulate_cube(telescope: Telescope, settings, rng: np.random.Generator) -> tuple[Cube, list[dict]]:
    """Return a cube with noise, and one row a source (columns of the truth table but ``cube``)."""
    band = telescope.band
    channels = len(band.frequency)
    sources = sky.draw_sources(rng, settings, channels, band.side)
    data = telescope.signal(sky_parts(sources, band))
    data += telescope.noise(channels, rng) * np.float32(band.rms)
    cube = Cube(
        data=data,
        rms=np.full(channels, band.rms),
        beam=band.beam,
        frequency=band.frequency,
        dirty_beam=band.dirty_beam,
    )
    responses = search.Responses(cube)
    return cube, [truth_row(number, source, band, responses) for number, source in enumerate(sources)]


def truth_row(number: int, source, band: Band, responses: search.Responses) -> dict:
    """Return what is true of one source, as it would be measured."""
    channels = len(band.frequency)
    z, width = sky.width_of(source.lines, source.gradient, source.fwhm_major)
    tilt = band.frequency / band.reference
    line = lines_of(source, channels)
    whole = source.continuum * tilt**source.index + line
    chosen = search.window(z, width, channels)
    flux = float(whole[chosen].mean())
    shape = (source.fwhm_major, source.fwhm_minor, source.pa)
    peak = flux * float(responses.at(shape, 0.0, 0.0))
    x0, x1, y0, y1 = search.box(source.x, source.y, shape, band.beam)
    lit = np.flatnonzero(chosen)
    step = 299792.458 * abs(band.frequency[-1] - band.frequency[0]) / max(channels - 1, 1) / band.reference
    return {
        "source": number,
        "x": source.x,
        "y": source.y,
        "z": z,
        "line_fwhm": width,
        "fwhm_major": source.fwhm_major,
        "fwhm_minor": source.fwhm_minor,
        "pa": source.pa,
        "flux": flux,
        "continuum": source.continuum,
        "line_flux": float(line[chosen].sum() * step) if source.lines else 0.0,
        "peak": peak,
        "snr": peak / band.rms * float(np.sqrt(chosen.sum())),
        "lines": len(source.lines),
        "gradient": source.gradient,
        **{"x0": x0, "x1": x1, "y0": y0, "y1": y1, "z0": int(lit[0]), "z1": int(lit[-1]) + 1},
    }


def truth_table(rows: list[dict]) -> Table:
    """Return rows of truth as a table with units."""
    table = Table(rows=rows)
    for name, unit in TRUTH_UNITS.items():
        if name in table.colnames:
            table[name].unit = unit
    return table


def lines_of(source, channels: int) -> np.ndarray:
    """Return the flux density of a source's lines, all of it together [Jy], shape (channels,)."""
    spread = source.gradient * source.fwhm_major
    if not spread:
        return sky.line_profile(source.lines, channels)
    # A Gaussian disc that rotates has Gaussian lines, wider and lower.
    lines = (replace(line, fwhm=np.hypot(line.fwhm, spread)) for line in source.lines)
    lines = tuple(
        replace(wide, peak=line.peak * line.fwhm / wide.fwhm) for wide, line in zip(lines, source.lines, strict=True)
    )
    return sky.line_profile(lines, channels)
