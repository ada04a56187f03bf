"""The lines of catalogued sources beside the moments that spectral-cube finds at their places in the cube."""

import warnings
from pathlib import Path

import numpy as np
from astropy import constants
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.stats import mad_std
from astropy.table import Row, Table
from astropy.utils.exceptions import AstropyWarning
from spectral_cube import SpectralCube
from spectral_cube.utils import SpectralCubeWarning

from ..learn.detection_scores import with_masks
from .match_sources import values

REACH = 3.0
"""How far from its line the moments of a source reach, in widths of the line."""
ABOVE = 3.0
"""Channels below this many times the noise do not count."""
AGREES = 0.1
"""Lines agree if their widths do to this share of the cube's."""
SPEED_OF_LIGHT = constants.c.to_value("km/s")
"""km/s."""
ESTIMATES = {"line": "Gaussian", "moment": "moments", "cube": "spectral-cube"}
"""Where a line's mean and width come from, by the start of their columns."""


def opened(path: Path, rest: float | None) -> tuple[SpectralCube | None, str]:
    """Return a cube with its channels in GHz and why that is not possible, either of them.

    Parameters
    ----------
    path : pathlib.Path
    rest : float or None
        Rest frequency of the line [GHz], for cubes with velocities that do not tell theirs.
    """
    try:
        cube = SpectralCube.read(path, format="fits")
        value = rest * u.GHz if rest else None
        return cube.with_spectral_unit(u.GHz, velocity_convention="radio", rest_value=value), ""
    except (ValueError, TypeError, KeyError, AttributeError, u.UnitsError, OSError) as error:
        return None, " ".join(f"spectral-cube does not read it: {error}".split())


def moments_at(cube: SpectralCube, place: SkyCoord, frequency: float, width: float) -> tuple[float, float, str]:
    """Return mean frequency and FWHM [GHz] of the line in one pixel of a cube, by its moments, and why there is none.

    The continuum, the median of the channels far from the line, is taken out; the noise is their scatter.

    Parameters
    ----------
    cube : spectral_cube.SpectralCube
        Channels in GHz.
    place : astropy.coordinates.SkyCoord
    frequency, width : float
        Where to look: of the catalogued line [GHz].
    """
    x, y = (float(np.round(at)) for at in cube.wcs.celestial.world_to_pixel(place))
    if not (0 <= x < cube.shape[2] and 0 <= y < cube.shape[1]):  # NaN on the other side of the sky
        return np.nan, np.nan, "It lies outside the image."
    x, y = int(x), int(y)
    pixel = cube[:, y : y + 1, x : x + 1]
    spectrum = np.asarray(pixel.filled_data[:].value, float)[:, 0, 0]
    far = np.isfinite(spectrum) & (np.abs(cube.spectral_axis.to_value("GHz") - frequency) > REACH * width)
    if far.sum() < 8:
        return np.nan, np.nan, "The band is too narrow to tell its noise beside the line."
    level, noise = np.median(spectrum[far]), mad_std(spectrum[far])
    line = pixel - level * pixel.unit
    line = line.with_mask(line > ABOVE * noise * pixel.unit)
    line = line.spectral_slab((frequency - REACH * width) * u.GHz, (frequency + REACH * width) * u.GHz)
    mean, fwhm = line.moment(order=1)[0, 0], line.linewidth_fwhm()[0, 0]
    if not (np.isfinite(mean) and np.isfinite(fwhm) and fwhm > 0):
        return np.nan, np.nan, "No two channels are above the noise there."
    return float(mean.to_value("GHz")), float(fwhm.to_value("GHz")), ""


def compare(catalog: Table, paths: dict[str, Path], rest: float | None) -> Table:
    """Return one row a source with a line: its line by the catalog and by the moments of spectral-cube.

    Parameters
    ----------
    catalog : astropy.table.Table
        Of the case.
    paths : dict of str to pathlib.Path
        The files of the catalog's sources, by `source_file`.
    rest : float or None
        Rest frequency of the line [GHz].

    Returns
    -------
    astropy.table.Table
        ``id``, ``source_file``, ``candidate``, ``snr``, ``flags``; ``line_frequency``, ``moment_frequency``,
        ``cube_frequency`` [GHz] and ``line_width``, ``moment_width``, ``cube_width`` [km/s] by the Gaussian and by the
        moments of the catalog, and by spectral-cube; ``reason``, why the last are masked.
    """
    rows = []
    for name in sorted(set(map(str, catalog["source_file"]))):
        sources = catalog[catalog["source_file"] == name]
        sources = sources[~np.ma.getmaskarray(sources["line_frequency"])]
        if len(sources):
            with warnings.catch_warnings():
                # Of headers that can be read all the same, and of pixels without a channel, which the rows tell.
                for kind in (AstropyWarning, SpectralCubeWarning, RuntimeWarning):
                    warnings.simplefilter("ignore", kind)
                rows += _in_one_file(sources, paths[name], rest)
    table = with_masks(rows)
    for kind in ESTIMATES if len(table) else ():
        table[f"{kind}_frequency"].unit, table[f"{kind}_width"].unit = "GHz", "km/s"
    return table


def _in_one_file(sources: Table, path: Path, rest: float | None) -> list[dict]:
    cube, reason = opened(path, rest)
    if cube is None:
        return [_row(source, np.nan, np.nan, reason) for source in sources]
    rows = []
    for source in sources:
        frequency = float(source["line_frequency"])
        width = float(source["line_width"]) / SPEED_OF_LIGHT * frequency
        place = SkyCoord(source["ra"], source["dec"], unit="deg")
        rows.append(_row(source, *moments_at(cube, place, frequency, width)))
    return rows


def _row(source: Row, mean: float, width: float, reason: str) -> dict:
    def known(value) -> float | None:
        return None if np.ma.is_masked(value) or not np.isfinite(value) else float(value)

    row = {"id": str(source["id"]), "source_file": str(source["source_file"]), "candidate": bool(source["candidate"])}
    row |= {"snr": known(source["snr"])}
    names = ("line_frequency", "line_width", "mean_frequency", "moment_width")
    told = [known(source[name]) for name in names] + [known(mean), known(width / mean * SPEED_OF_LIGHT)]
    for number, kind in enumerate(ESTIMATES):
        row |= {f"{kind}_frequency": told[2 * number], f"{kind}_width": told[2 * number + 1]}
    flags = "" if np.ma.is_masked(source["flags"]) else str(source["flags"])
    return row | {"flags": flags, "reason": reason}


def ranges(table: Table) -> Table:
    """Return one row a file: the range of frequencies that the lines of its candidates cover, by each estimate.

    A line covers its width around its frequency. Candidates that one estimate does not know are left out of all.

    Returns
    -------
    astropy.table.Table
        ``source_file``, ``sources``; ``line_low``, ``line_high`` [GHz] and the same for ``moment`` and ``cube``.
    """
    rows = []
    for name in sorted(set(table["source_file"])) if len(table) else ():
        known = np.array(table["candidate"], bool) & (table["source_file"] == name)
        for kind in ESTIMATES:
            known &= np.isfinite(values(table, f"{kind}_width"))
        if not known.any():
            continue
        row = {"source_file": name, "sources": int(known.sum())}
        for kind in ESTIMATES:
            middle, width = (values(table, f"{kind}_{of}")[known] for of in ("frequency", "width"))
            half = width / SPEED_OF_LIGHT * middle / 2
            row |= {f"{kind}_low": float(np.min(middle - half)), f"{kind}_high": float(np.max(middle + half))}
        rows.append(row)
    return Table(rows)


def apart(table: Table, kind: str) -> np.ndarray:
    """Return how much wider than by spectral-cube the lines are by an estimate, as a share; NaN where not known."""
    return values(table, f"{kind}_width") / values(table, "cube_width") - 1


def as_markdown(table: Table, files: Table) -> str:
    """Return the comparison for people.

    Parameters
    ----------
    table : astropy.table.Table
        Of `compare`.
    files : astropy.table.Table
        Of `ranges`.
    """
    lines = [
        "Lines of the catalog beside the moments of spectral-cube in the pixel of each source: channels above",
        f"{ABOVE:g} times the noise, which narrows faint lines, within {REACH:g} widths of the line,",
        "the continuum taken out. A pixel also has the light of its neighbours, the catalog that of the source alone.",
        "`moments`: `mean_frequency` and `moment_width` of the catalog; `Gaussian`: `line_frequency` and `line_width`.",
        "Widths are FWHM.",
        "",
    ]
    if not len(table):
        return "\n".join([*lines, "No source of the catalog has a line.", ""])
    chosen = table[np.asarray(table["candidate"], bool)]
    for kind in ("moment", "line"):
        difference = np.abs(apart(chosen, kind))
        difference = difference[np.isfinite(difference)]
        if len(difference):
            lines.append(
                f"- By {ESTIMATES[kind]}: {np.mean(difference <= AGREES):.0%} of {len(difference)} candidates have a "
                f"width within {AGREES:.0%} of spectral-cube's; half of them are within {np.median(difference):.1%}."
            )
    lines += [
        "",
        "| file | candidates | range, spectral-cube [GHz] | by moments | off | by Gaussians | off |",
        "|---" * 7 + "|",
    ]
    for row in files:
        cube = row["cube_high"] - row["cube_low"]
        cells = [f"{row['cube_low']:.4f} to {row['cube_high']:.4f}"]
        for kind in ("moment", "line"):
            low, high = row[f"{kind}_low"], row[f"{kind}_high"]
            cells += [f"{low:.4f} to {high:.4f}", f"{(high - low) / cube - 1:+.1%}"]
        lines.append(f"| {row['source_file']} | {row['sources']} | {' | '.join(cells)} |")
    head = ["source", "S/N", "spectral-cube [GHz]", "[km/s]"]
    for kind in ("by moments", "by a Gaussian"):
        head += [f"{kind} [GHz]", "[km/s]", "off"]
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    differences = {kind: apart(chosen, kind) for kind in ("moment", "line")}
    for number, row in enumerate(chosen):
        cells = [row["id"], f"{row['snr']:.0f}", *_line(row, "cube")]
        for kind, shares in differences.items():
            cells += [*_line(row, kind), f"{shares[number]:+.1%}" if np.isfinite(shares[number]) else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _line(row: Row, kind: str) -> tuple[str, str]:
    if np.ma.is_masked(row[f"{kind}_frequency"]):
        return "", ""
    return f"{row[f'{kind}_frequency']:.4f}", f"{row[f'{kind}_width']:.0f}"
