"""How an array of Cherenkov telescopes sees: its instrument response functions (IRFs), from tables or DL3 files."""

import math
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from ..errors import UserError
from ..files import existing, read_table, written_whole

IRFS = ("aeff", "edisp", "psf", "bkg")
"""What is needed of an instrument, by the names that gammapy uses."""

_EDGE_POWER = 3.0
_TAIL, _TAIL_WIDTH = 0.15, 2.0
_HADRONS = 1.7
"""Of the integral spectrum of cosmic rays."""
_OFFSETS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
_COLUMNS = ("energy", "area", "half_offset", "radius68", "energy_resolution", "background")


def read_performance(path: str | Path) -> Table:
    """Return the table of an array's performance (resources/cherenkov).

    Raises
    ------
    UserError
        If the file is missing or is no such table.
    """
    table = read_table(path, "a table of an array's performance")
    missing = [name for name in _COLUMNS if name not in table.colnames]
    missing += [name for name in ("zenith", "thresholds") if name not in table.meta]
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`, so it is no table of an array's performance.")
    return table


def threshold(performance: Table, zenith: float) -> float:
    """Return the lowest energy [TeV] of an analysis at a zenith angle [deg].

    A power law of 1 / cos(zenith) between the angles of the table, and beyond them.
    """
    angles, energies = np.array(performance.meta["thresholds"], dtype=float).T
    path = -np.log(np.cos(np.radians(angles)))
    wanted = -math.log(math.cos(math.radians(zenith)))
    piece = int(np.clip(np.searchsorted(path, wanted) - 1, 0, len(path) - 2))
    slope = np.diff(np.log(energies))[piece] / np.diff(path)[piece]
    return float(energies[piece] * math.exp(slope * (wanted - path[piece])))


def make_irfs(performance: Table, zenith: float) -> dict:
    """Return the response of an array at a zenith angle, made from a table of its performance.

    Parameters
    ----------
    performance : astropy.table.Table
        Of `read_performance`, for one zenith angle.
    zenith : float
        Zenith angle of the observation [deg], below 70.

    Returns
    -------
    dict
        gammapy's objects by the names of `IRFS`.

    Raises
    ------
    UserError
        If the zenith angle is not between 0 and 70 deg.

    Notes ----- Showers that come in at an angle are farther away: their light falls on an area that is 1 /
    cos(zenith)**2 as large, and is as much thinner, so that areas grow and all energies shift with the threshold
    (Konopelko et al. 1999, J. Phys. G 25, 1989). Hadrons shift too, and there are fewer of them at higher energies.
    The point spread function is a sum of two Gaussians, of which the wider one holds 15 %; the field of view ends as
    exp(-ln 2 (offset / half_offset)**3), as the figures of CTAO prod5 do.
    """
    from gammapy.irf import PSF3D, Background2D, EffectiveAreaTable2D, EnergyDispersion2D
    from gammapy.maps import MapAxis

    if not 0 <= zenith < 70:
        raise UserError(f"a zenith angle of {zenith:g} deg has no response here; it should be from 0 to 70 deg.")
    own = performance.meta["zenith"]
    shift = threshold(performance, zenith) / threshold(performance, own)
    pool = (math.cos(math.radians(own)) / math.cos(math.radians(zenith))) ** 2

    true = MapAxis.from_energy_bounds("10 GeV", "20 TeV", nbin=48, name="energy_true")
    energy = MapAxis.from_energy_bounds("10 GeV", "20 TeV", nbin=33)
    offset = MapAxis.from_nodes(_OFFSETS, unit="deg", name="offset")
    rad = MapAxis.from_edges(np.linspace(0, 1.6, 161), unit="deg", name="rad")

    def at(axis, name: str, logarithmic: bool) -> np.ndarray:
        known = np.log(np.asarray(performance["energy"], dtype=float))
        values = np.asarray(performance[name], dtype=float)
        wanted = np.log(axis.center.to_value("TeV") / shift)
        if logarithmic:
            return np.exp(np.interp(wanted, known, np.log(values), left=-np.inf))
        return np.interp(wanted, known, values)

    def edge(axis) -> np.ndarray:
        half = at(axis, "half_offset", False)[:, None]
        return np.exp(-math.log(2) * (_OFFSETS / half) ** _EDGE_POWER)

    area = pool * at(true, "area", True)[:, None] * edge(true)
    hadrons = pool * shift**-_HADRONS * at(energy, "background", True)[:, None] * edge(energy)
    density = hadrons / energy.center.to_value("MeV")[:, None] * (1 * u.deg**-2).to_value("sr-1")
    resolution = at(true, "energy_resolution", False)
    migration = MapAxis.from_edges(np.geomspace(0.2, 5, 161), interp="log", name="migra")
    return {
        "aeff": EffectiveAreaTable2D(axes=[true, offset], data=area, unit="m2"),
        "edisp": EnergyDispersion2D.from_gauss(
            energy_axis_true=true, migra_axis=migration, offset_axis=offset, bias=0, sigma=resolution
        ),
        "psf": PSF3D(
            axes=[true, offset, rad],
            data=np.repeat(_spread(at(true, "radius68", False), rad)[:, None], len(_OFFSETS), axis=1),
            unit="sr-1",
        ),
        "bkg": Background2D(axes=[energy, offset], data=density, unit="MeV-1 s-1 sr-1"),
    }


def _spread(radius68: np.ndarray, rad) -> np.ndarray:
    """Return two Gaussians that together hold 68 % in these radii [deg]; shape (energies, radii), per sr."""
    from scipy.optimize import brentq

    def outside(ratio: float) -> float:
        core, tail = np.exp(-0.5 * ratio**2), np.exp(-0.5 * (ratio / _TAIL_WIDTH) ** 2)
        return (1 - _TAIL) * core + _TAIL * tail - 0.32

    sigma = (radius68 / brentq(outside, 0.5, 5))[:, None]
    edges = rad.edges.to_value("deg")
    # The mean over each ring, so that a narrow function is as large as a broad one.
    held = -np.expm1(-0.5 * (edges / sigma) ** 2) * (1 - _TAIL)
    held += -np.expm1(-0.5 * (edges / sigma / _TAIL_WIDTH) ** 2) * _TAIL
    rings = np.pi * np.diff(edges**2) * (1 * u.deg**2).to_value("sr")
    return np.diff(held, axis=1) / rings / held[:, -1:]


def write_irfs(path: str | Path, irfs: dict) -> None:
    """Write a response as DL3 FITS (the open gamma-ray astronomy data format, GADF 0.3), whole or not at all."""
    hdus = [fits.PrimaryHDU()]
    names = {
        "aeff": "EFFECTIVE AREA",
        "edisp": "ENERGY DISPERSION",
        "psf": "POINT SPREAD FUNCTION",
        "bkg": "BACKGROUND",
    }
    hdus += [as_hdu(irfs[name], names[name]) for name in IRFS]
    with written_whole(path) as part:
        fits.HDUList(hdus).writeto(part, overwrite=True)


def as_hdu(irf, name: str) -> fits.BinTableHDU:
    """Return one part of a response as an HDU of DL3."""
    hdu = irf.to_table_hdu(format="gadf-dl3")
    hdu.name = name
    return hdu


def read_irfs(path: str | Path) -> dict:
    """Return the response in a DL3 file, as gammapy's objects by the names of `IRFS`.

    Raises
    ------
    UserError
        If the file is missing, is not FITS, or lacks a part.
    """
    from gammapy.irf import load_irf_dict_from_file

    path = existing(path, "an instrument's response (DL3 FITS)")
    try:
        irfs = load_irf_dict_from_file(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as an instrument's response ({error}); give a DL3 file.") from error
    missing = [name for name in IRFS if name not in irfs]
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`; a response needs {', '.join(IRFS)}.")
    return {name: irfs[name] for name in IRFS}
