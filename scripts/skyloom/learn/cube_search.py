"""Search a FITS cube of any size with a chain of networks, and place its sources on the sky and in frequency."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from scipy import ndimage

from ..detect.line_search import window
from ..images.cubes import Cube
from ..images.fits import UnusableImage
from ..images.fits_cubes import BROKEN, CubeFile, subcubes
from . import detection_calibration
from .cube_chain import detection_table, search_cube

TRAINED_BEAM = 8.24
"""Geometric mean FWHM of the dirty beam that the networks were trained with [pixel]."""
SAME_BEAM = 1.1
"""Cubes whose beam differs by less than this factor are not resampled."""
OVERLAP = 40
"""Of the parts that a large image is searched in [pixel]: five beams."""
MOST_CHANNELS, CHANNEL_OVERLAP = 512, 32
SPEED_OF_LIGHT = 299792.458
"""km/s."""
DIRTY_BEAM = "DIRTYBEAM"
"""Extension of a FITS file that holds the dirty beam."""


_ARCSEC = ("pos_error", "fwhm_major", "fwhm_minor", "size", "source_major", "source_minor", "beam_major", "beam_minor")
UNITS = {
    **dict.fromkeys(("ra", "dec"), "deg"),
    **dict.fromkeys(_ARCSEC, "arcsec"),
    **dict.fromkeys(("source_major_error", "source_minor_error"), "arcsec"),
    **dict.fromkeys(("pa", "beam_pa", "source_pa", "source_pa_error"), "deg"),
    **dict.fromkeys(("x", "y"), "pix"),
    **dict.fromkeys(("peak_flux", "peak_flux_error", "rms"), "Jy/beam"),
    **dict.fromkeys(("flux", "flux_error", "continuum", "continuum_error"), "Jy"),
    **dict.fromkeys(("frequency", "line_frequency", "line_frequency_error"), "GHz"),
    **dict.fromkeys(("line_width", "line_width_error"), "km/s"),
    **dict.fromkeys(("mean_frequency", "mean_frequency_error"), "GHz"),
    **dict.fromkeys(("moment_width", "moment_width_error"), "km/s"),
    **dict.fromkeys(("line_flux", "line_flux_error"), "Jy km/s"),
    **dict.fromkeys(("snr", "channel", "redshift", "redshift_error")),
}
"""Units of what is measured of a source (`on_the_sky`), by column; None is a pure number."""


def stored_beam(path: Path, pixels: tuple[float, float, float]) -> np.ndarray | None:
    """Return the dirty beam that a file carries as an extension; None without one, or if it cannot be read."""
    try:
        with fits.open(path) as hdus:
            if DIRTY_BEAM not in hdus:
                return None
            beam = np.asarray(hdus[DIRTY_BEAM].data, dtype=np.float32)
    except BROKEN:
        return None
    good = beam.ndim == 2 and beam.shape[0] == beam.shape[1] and np.isfinite(beam).all()
    return beam if good and abs(beam[beam.shape[0] // 2, beam.shape[0] // 2] - 1) < 0.01 else None


def search_file(file: CubeFile, networks: Mapping, calibration: dict, settings) -> Table:
    """Return the sources of a cube, calibrated, in the pixels and channels of the file.

    A cube whose beam is sampled otherwise than those of the training is resampled; large ones are searched in parts
    that overlap, and what two parts have found is merged.

    Parameters
    ----------
    file : CubeFile
    networks : mapping of str to keras.Model
        By role.
    calibration : dict
        From `skyloom.learn.detection_calibration.calibrate`.
    settings : skyloom.cases.alma_cubes.Search

    Returns
    -------
    astropy.table.Table
        As `cube_chain.detection_table`, with probability, candidate, peak_flux and rms [Jy/beam], and flags.

    Raises
    ------
    UnusableImage
        If nothing was observed.
    """
    rms = file.channel_rms()
    if not np.isfinite(rms).any():
        raise UnusableImage("All pixels are empty.")
    beam = file.beam_pixels
    size = float(np.sqrt(beam[0] * beam[1]))
    zoom = TRAINED_BEAM / size
    zoom = 1.0 if max(zoom, 1 / zoom) < SAME_BEAM else zoom
    dirty = stored_beam(file.path, beam) if zoom == 1 else None
    side = max(96, round(settings.subcube / zoom))
    overlap = min(round(OVERLAP / zoom), side // 2 - 1)
    spectral = min(MOST_CHANNELS, max(file.shape[0], 1))
    parts = subcubes(file.shape, side, overlap, spectral, CHANNEL_OVERLAP if file.shape[0] > MOST_CHANNELS else 0)
    rows = []
    for part in parts:
        data = file.read(part.z, part.y, part.x)
        if not np.isfinite(data).any():
            continue
        cube = Cube(
            data=resampled(data, zoom),
            rms=_filled(rms[part.z]),
            beam=(beam[0] * zoom, beam[1] * zoom, beam[2]),
            frequency=file.frequency[part.z],
            dirty_beam=dirty,
        )
        for row in search_cube(cube, networks, settings):
            if inside(cube, row):
                rows.append(_placed(row, cube, part))
    rows = merged(rows, size)
    table = detection_table([{"cube": 0, **row} for row in rows])
    for name in ("peak_flux", "rms"):
        table[name] = np.array([row[name] for row in rows], dtype=float)
    table = detection_calibration.apply(calibration, table)
    table["flags"] = np.array([";".join(flags_of(row, file, len(table), zoom, dirty)) for row in table], dtype=str)
    return table


def resampled(data: np.ndarray, zoom: float) -> np.ndarray:
    """Return a cube with `zoom` times as many pixels along both image axes; what was not observed stays NaN."""
    if zoom == 1:
        return data
    seen = np.isfinite(data)
    height, width = (max(1, round(side * zoom)) for side in data.shape[1:])
    factors = (height / data.shape[1], width / data.shape[2])
    result = np.empty((len(data), height, width), np.float32)
    for plane, out, known in zip(data, result, seen, strict=True):
        filled = np.where(known, plane, np.float32(0))
        if zoom < 1:  # pixels are averaged, so that noise finer than the new pixels does not come through as it is
            filled = ndimage.gaussian_filter(filled, 0.4 / zoom)
        values = ndimage.zoom(filled, factors, order=3, mode="nearest", grid_mode=True)
        if not known.all():
            share = ndimage.zoom(known.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True)
            values = np.where(share > 0.99, values, np.nan)
        out[:] = values
    return result


def _filled(rms: np.ndarray) -> np.ndarray:
    """Return the noise with that of empty channels replaced by the median."""
    return np.where(np.isfinite(rms) & (rms > 0), rms, np.nanmedian(rms[rms > 0]) if np.any(rms > 0) else 1.0)


def inside(cube: Cube, row: dict) -> bool:
    """Return whether a source lies on an observed pixel."""
    x, y = round(row["x"]), round(row["y"])
    seen = 0 <= y < cube.data.shape[1] and 0 <= x < cube.data.shape[2]
    return bool(seen and np.isfinite(cube.data[:, y, x]).any())


def _placed(row: dict, cube: Cube, part) -> dict:
    """Return a row in the pixels and channels of the whole file."""
    # A resampled image has a whole number of pixels, so that its pixels are not quite those of the zoom asked for.
    zoom = {axis: cube.data.shape[n] / (at.stop - at.start) for axis, n, at in (("y", 1, part.y), ("x", 2, part.x))}
    x, y = round(row["x"]), round(row["y"])
    chosen = window(row["z"], row["line_fwhm"], len(cube.data))
    near = cube.data[chosen, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    row = dict(row)
    row["peak_flux"] = float(np.nanmax(np.nanmean(near, axis=0)))
    row["rms"] = float(np.sqrt(np.sum(np.asarray(cube.rms)[chosen] ** 2)) / chosen.sum())
    for axis, start in (("x", part.x.start), ("y", part.y.start)):
        row[axis] = (row[axis] + 0.5) / zoom[axis] - 0.5 + start
        row[f"{axis}_error"] /= zoom[axis]
        for end in "01":
            row[f"{axis}{end}"] = round(row[f"{axis}{end}"] / zoom[axis] + start)
    for name in ("fwhm_major", "fwhm_minor"):
        if name in row:
            row[name] /= np.sqrt(zoom["x"] * zoom["y"])
            row[f"{name}_error"] /= np.sqrt(zoom["x"] * zoom["y"])
    row["z"] += part.z.start
    row["mean_z"] += part.z.start
    row["z0"] += part.z.start
    row["z1"] += part.z.start
    return row


def merged(rows: list[dict], beam: float) -> list[dict]:
    """Return the rows without those that another, surer one in a neighbouring part stands for.

    Two rows are one source within half a beam (FWHM in pixels) and, where both have a line, within its width. One with
    a line stands for one without: in the part that has no line, the source is seen by its continuum alone.
    """
    kept: list[dict] = []
    for row in sorted(rows, key=lambda row: (not np.isfinite(row["z"]), -row["snr"], row["x"], row["y"])):
        if not any(_same(row, other, beam) for other in kept):
            kept.append(row)
    return sorted(kept, key=lambda row: (row["y"], row["x"]))


def _same(one: dict, other: dict, beam: float) -> bool:
    apart = abs(one["z"] - other["z"])
    near = np.hypot(one["x"] - other["x"], one["y"] - other["y"]) < beam / 2
    return bool(near and (not np.isfinite(apart) or apart <= max(one["line_fwhm"], other["line_fwhm"])))


def flags_of(row, file: CubeFile, count: int, zoom: float, dirty: np.ndarray | None) -> list[str]:
    """Return what a user should know of a row, first of all what the networks were not trained for."""
    flags = list(file.flags)
    if dirty is None:
        flags.append("no_dirty_beam")
    if zoom != 1:
        flags.append("resampled")
    if not 64 <= file.shape[0] <= 256:
        flags.append("channels_untrained")
    beam = file.beam_pixels
    if beam[0] / beam[1] > 1.5:
        flags.append("beam_untrained")
    if count > 8:
        flags.append("crowded")
    if np.isfinite(row["line_fwhm"]) and not 2 <= row["line_fwhm"] <= 14:
        flags.append("line_untrained")
    difference = abs(row["moment_fwhm"] - row["line_fwhm"])
    if difference > max(0.1 * row["line_fwhm"], 3 * np.hypot(row["moment_fwhm_error"], row["line_fwhm_error"])):
        flags.append("line_not_gaussian")
    if row["fwhm_major"] * zoom > 9:
        flags.append("size_untrained")
    margin = beam[0]
    if min(row["x"], row["y"], file.shape[2] - 1 - row["x"], file.shape[1] - 1 - row["y"]) < margin:
        flags.append("edge")
    return flags


def on_the_sky(table: Table, file: CubeFile, line_frequency: float | None) -> list[dict]:
    """Return what the catalog needs of the sources of a file, in units of the sky.

    Parameters
    ----------
    table : astropy.table.Table
        From `search_file`.
    file : CubeFile
    line_frequency : float or None
        Rest frequency of the line [GHz]; that of the file where None.

    Returns
    -------
    list of dict
        One a source; NaN where something is not known.
    """
    rest = line_frequency or (file.rest_frequency / 1e9 if file.rest_frequency else np.nan)
    channels = np.arange(file.shape[0])
    frequency = np.asarray(file.frequency, float) / 1e9
    step = abs(frequency[-1] - frequency[0]) / max(file.shape[0] - 1, 1) if file.shape[0] > 1 else np.nan
    rows = []
    for row in table:
        position = file.wcs.pixel_to_world(row["x"], row["y"]).icrs
        at, mean = (
            float(np.interp(row[name], channels, frequency)) if np.isfinite(row[name]) else np.nan
            for name in ("z", "mean_z")
        )
        velocity = SPEED_OF_LIGHT * step / at  # km/s a channel
        count = int(row["z1"] - row["z0"])
        line, line_error = row["flux"] - row["continuum"], np.hypot(row["flux_error"], row["continuum_error"])
        seen = seen_shape(row, file)
        rows.append(
            {
                "ra": float(position.ra.deg),
                "dec": float(position.dec.deg),
                "pos_error": float(max(row["x_error"], row["y_error"])) * file.pixel_scale,
                "x": float(row["x"]),
                "y": float(row["y"]),
                "peak_flux": float(row["peak_flux"]),
                "peak_flux_error": float(row["rms"]),
                "flux": float(row["flux"]),
                "flux_error": float(row["flux_error"]),
                "fwhm_major": seen[0] * file.pixel_scale,
                "fwhm_minor": seen[1] * file.pixel_scale,
                "pa": seen[2],
                "size": np.nan,
                "rms": float(row["rms"]),
                "snr": float(row["snr"]),
                "frequency": float(np.nanmean(frequency)) if np.isfinite(frequency).any() else np.nan,
                "source_major": float(row["fwhm_major"]) * file.pixel_scale,
                "source_major_error": float(row["fwhm_major_error"]) * file.pixel_scale,
                "source_minor": float(row["fwhm_minor"]) * file.pixel_scale,
                "source_minor_error": float(row["fwhm_minor_error"]) * file.pixel_scale,
                "source_pa": float(row["pa"]),
                "source_pa_error": float(row["pa_error"]),
                "continuum": float(row["continuum"]),
                "continuum_error": float(row["continuum_error"]),
                "channel": float(row["z"]),
                "line_frequency": at,
                "line_frequency_error": float(row["z_error"]) * step,
                "line_width": float(row["line_fwhm"]) * velocity,
                "line_width_error": float(row["line_fwhm_error"]) * velocity,
                "mean_frequency": mean,
                "mean_frequency_error": float(row["mean_z_error"]) * step,
                "moment_width": float(row["moment_fwhm"]) * velocity,
                "moment_width_error": float(row["moment_fwhm_error"]) * velocity,
                "line_flux": float(line) * count * velocity,
                "line_flux_error": float(line_error) * count * velocity,
                "redshift": rest / at - 1,
                "redshift_error": rest / at**2 * float(row["z_error"]) * step,
            }
        )
    return rows


def seen_shape(row, file: CubeFile) -> tuple[float, float, float]:
    """Return the FWHM [pixel] and position angle [deg] of a source as the beam shows it."""
    covariance = np.zeros((2, 2))
    for major, minor, angle in ((row["fwhm_major"], row["fwhm_minor"], row["pa"]), file.beam_pixels):
        sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        axes = np.array([[cos, sin], [sin, -cos]])  # rows: (north, east) of the major and the minor axis
        covariance += axes.T @ np.diag([major**2, minor**2]) @ axes
    values, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
    return float(np.sqrt(values[1])), float(np.sqrt(values[0])), float(angle)
