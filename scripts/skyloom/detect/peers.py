"""Classical source finders, run on the same cubes as the networks to compare them.

Each peer takes a cube and returns a table of detections, with pixels, channels and units as in `skyloom.images.cubes`.
They detect down to a few times the noise; the score then trades completeness for purity.

Those that only know images search the sum of all channels. What they find is measured in one way: the box is as wide
as the source seems, its spectrum is the sum over the box, and the line is the highest peak of that spectrum.
"""

import contextlib
import gc
import io
import logging
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import ascii as text_table
from astropy.io import fits
from astropy.stats import mad_std
from astropy.table import Table
from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources
from photutils.utils.exceptions import NoDetectionsWarning
from scipy import ndimage, optimize
from scipy.optimize import linear_sum_assignment
from skimage.feature import blob_dog

from ..errors import UserError
from ..images.cubes import Cube
from .line_search import FWHM, box, window

WIDTHS = (3.0, 5.0, 8.0)
"""FWHM of the lines that are searched for [channel]."""
SIZES = (0.0, 4.0, 7.0)
"""FWHM of the sources that the matched filter searches for, as they are on the sky [pixel]."""
LINE_SNR = 3.0
"""A peak of a spectrum below this S/N is no line."""
PIXEL = 0.1 / 3600
"""Pixel that is written into files for other programs [deg]; they give back pixels, so any would do."""

TYPICAL_SIZE = 5.0
"""FWHM of a source of which nothing is known [pixel]."""
SPARSE = 3
"""The noise of a filtered cube is measured in every third row and column; neighbours are no independent pixels."""
ANY_ANGLE = 52.0
"""Standard deviation of a position angle that is not known [deg]."""
SOFIA = {
    "pipeline.threads": 1,
    "linker.minSizeZ": 3,
    "output.filename": "sofia",
    "output.writeCatASCII": "true",
    "output.writeCatXML": "false",
}
"""Control parameters of SoFiA-2: deterministic, text catalog, and lines as narrow as three channels."""
SOFIA_NOTHING_FOUND = 8
"""Exit status of SoFiA-2 where no source is left."""

COLUMNS = {
    **dict.fromkeys(("x", "y"), "pix"),
    **dict.fromkeys(("z", "line_fwhm", "x0", "x1", "y0", "y1", "z0", "z1", "score", "snr"), ""),
    **{"flux": "Jy", "fwhm_major": "pix", "fwhm_minor": "pix", "pa": "deg"},
    **{"x_error": "pix", "y_error": "pix", "flux_error": "Jy"},
    **{"fwhm_major_error": "pix", "fwhm_minor_error": "pix", "pa_error": "deg"},
}
"""Columns of a table of detections and their units; channels and S/N are plain numbers."""


@dataclass(frozen=True)
class Seen:
    """A source as a finder sees it in an image.

    Attributes
    ----------
    x, y : float
        Centre [pixel].
    shape : tuple of float
        FWHM major, minor [pixel] and position angle [deg], with the beam in it.
    flux : float
        Sum of its pixels over the beam's area [unit of the image].
    score, snr : float
    errors : tuple of float, optional
        1 sigma of x, y, FWHM major, minor [pixel], position angle [deg] and the relative one of the flux; None to take
        those of a Gaussian fit (`condon_errors`).
    """

    x: float
    y: float
    shape: tuple[float, float, float]
    flux: float
    score: float
    snr: float
    errors: tuple[float, ...] | None = None


def photutils_detections(
    cube: Cube,
    name: int | str = 0,
    threshold: float = 3.0,
    n_pixels: int = 5,
    n_levels: int = 32,
    contrast: float = 0.001,
) -> Table:
    """Search the integrated image with the image segmentation of photutils.

    Parameters
    ----------
    cube : Cube
    name : int or str
        Of the cube, for the table.
    threshold : float
        Of a segment, in units of the image's rms. The user guide takes 1.5 for images of galaxies.
    n_pixels : int
        Smallest number of connected pixels, for detection and deblending.
    n_levels, contrast : int, float
        Of the deblending, with the defaults of `photutils.segmentation.deblend_sources`.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`; score and S/N are those of the brightest pixel over the rms.

    Notes
    -----
    The rms is that of the image with its sidelobes, by its median absolute deviation. Flux and second moments of a
    segment lack what lies below the threshold; they are compared with those of the dirty beam above as high a level.
    """
    image = cube.integrated()
    blank = ~np.isfinite(image)
    if blank.all():
        return _catalogue(name, [])
    rms = _rms(image)
    limit = threshold * rms
    filled = np.where(blank, 0, image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        segments = detect_sources(filled, limit, n_pixels, mask=blank)
    if segments is None:
        return _catalogue(name, [])
    segments = deblend_sources(filled, segments, n_pixels, n_levels=n_levels, contrast=contrast, progress_bar=False)
    catalog = SourceCatalog(filled, segments)
    beam = _beam_image(cube)
    found = []
    centres, peaks = (np.atleast_2d(getattr(catalog, key)) for key in ("centroid", "centroid_quad"))
    for x, y, peak, flux, covariance in zip(
        *np.where(np.isfinite(peaks), peaks, centres).T,
        np.atleast_1d(catalog.max_value),
        np.atleast_1d(catalog.segment_flux),
        np.reshape(getattr(catalog.covariance, "value", catalog.covariance), (-1, 2, 2)),
        strict=True,
    ):
        unit, point = _beam_above(beam, peak / limit)
        source = FWHM**2 * (covariance - point) / _truncated_moment(peak / limit)
        shape = _seen_with(source, cube.beam)
        found.append(Seen(float(x), float(y), shape, float(flux / unit), peak / rms, peak / rms))
    return _measured(cube, name, found, image)


def pybdsf_detections(cube: Cube, name: int | str = 0, thresh_pix: float = 4.0, thresh_isl: float = 3.0) -> Table:
    """Search the integrated image with PyBDSF: islands, Gaussians fitted to them, and Gaussians grouped to sources.

    Parameters
    ----------
    cube : Cube
    name : int or str
        Of the cube, for the table.
    thresh_pix, thresh_isl : float
        Lowest peak of an island and its boundary, in units of PyBDSF's rms. Its documentation recommends 5 and 3, the
        second below the first.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`; score and S/N are the source's peak over the island's rms. Errors of positions, sizes and
        fluxes are those of PyBDSF.

    Raises
    ------
    UserError
        If PyBDSF is not installed.

    Notes
    -----
    On images so wide that its rms varies, PyBDSF forks processes even for one core; call it before threads are started.
    """
    image = cube.integrated()
    if not np.isfinite(image).any():
        return _catalogue(name, [])
    # PyBDSF reports on the terminal, of a missing matplotlib even on import.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        bdsf = import_bdsf()
        path = Path(folder) / "integrated.fits"
        fits_to = _Fits(cube)
        fits.writeto(path, image, _header(cube, 2, tuple(fits_to.point[3:])))
        with running_bdsf():
            result = bdsf.process_image(
                str(path),
                outdir=folder,
                quiet=True,
                ncores=1,
                thresh="hard",
                thresh_pix=thresh_pix,
                thresh_isl=thresh_isl,
                frequency=float(np.mean(cube.frequency)),
            )
            found = [_of_bdsf(result, source, fits_to) for source in result.sources]
    return _measured(cube, name, found, image)


def matched_filter_detections(
    cube: Cube,
    name: int | str = 0,
    threshold: float = 4.0,
    line_threshold: float = 4.0,
    sizes: tuple[float, ...] = SIZES,
    widths: tuple[float, ...] = WIDTHS,
) -> Table:
    """Search a cube with a matched filter in position and frequency.

    Parameters
    ----------
    cube : Cube
    name : int or str
        Of the cube, for the table.
    threshold : float
        Lowest S/N of a detection. A cube of 128 x 256 x 256 has some ten thousand independent places for a line: at 3
        nearly all is noise.
    line_threshold : float
        Lowest S/N of the line of a source that is found by its continuum; below, it has none.
    sizes : tuple of float
        FWHM of the sources [pixel].
    widths : tuple of float
        FWHM of the lines [channel].

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`; score and S/N are those of the strongest template.

    Notes
    -----
    Templates are Gaussian sources seen with the dirty beam's main lobe, having either a Gaussian line or a continuum.
    The filter for noise of a power spectrum P is the template divided by P; here P is the beam's transform, so that the
    beam cancels out and the filters are the Gaussian sources themselves. The noise of every filtered cube is
    measured, robustly; sidelobes count as noise. For lines, the median over all channels is taken off as continuum.
    """
    lines, fits_to = _FilteredLines(cube, sizes, widths), _Fits(cube)
    places = lines.maxima(threshold, cube.beam) + _continuum_places(cube, threshold, line_threshold, sizes, lines)
    rows = []
    for place in _strongest(places, cube.beam[0]):
        z, width = lines.fitted(place)
        cut = fits_to.around(place.column, place.row, cube.data.shape[1:])
        low, left = cut[0].start, cut[1].start
        line = _mean(cube.data[(window(z, width, len(cube.data)), *cut)])
        seen = fits_to.seen(line, place.column - left, place.row - low, place.snr, place.snr)
        rows.append(_row(cube, replace(seen, x=seen.x + left, y=seen.y + low), z, width, seen.flux))
    return _catalogue(name, rows)


def decoras_detections(
    map_one: np.ndarray,
    map_two: np.ndarray,
    cube: Cube,
    name: int | str = 0,
    min_sigma: float = 3.0,
    threshold: float = 0.05,
    distance: float = 3.0,
) -> Table:
    """Find the sources on which the maps of the two autoencoders of DECORAS agree.

    Parameters
    ----------
    map_one, map_two : numpy.ndarray, shape (height / k, width / k)
        From 0 to 1, of the integrated image or of one with k times larger pixels.
    cube : Cube
    name : int or str
        Of the cube, for the table.
    min_sigma : float
        Of the smallest blob that `skimage.feature.blob_dog` searches for [pixel of the cube].
    threshold : float
        Lowest difference of Gaussians. A Gaussian blob of height one gives less than 0.4, so that nothing would be
        found with scikit-image's 0.5.
    distance : float
        Blobs of the two maps that are nearer to each other are one source, in the middle of both [pixel of the cube].

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`; the score is the lower one of the maps' values, the S/N that of the integrated image.

    Notes
    -----
    Rezaei et al. 2022 (arXiv:2109.09077), as in the comparison of DeepFocus. A blob tells no size, so that a Gaussian
    is fitted to the integrated image there.
    """
    image = cube.integrated()
    rms, fits_to = _rms(image), _Fits(cube)
    step = image.shape[0] / map_one.shape[0]
    one, two = (_blobs(heat, min_sigma / step, threshold) for heat in (map_one, map_two))
    apart = step * np.hypot(one[:, None, 0] - two[None, :, 0], one[:, None, 1] - two[None, :, 1])
    found = []
    for first, second in zip(*linear_sum_assignment(np.minimum(apart, 10 * distance)), strict=True):
        if apart[first, second] <= distance:
            x, y = step * ((one[first, :2] + two[second, :2]) / 2 + 0.5) - 0.5
            column, row = (
                int(np.clip(round(at), 0, side - 1)) for at, side in zip((x, y), image.shape[::-1], strict=True)
            )
            score = min(one[first, 2], two[second, 2])
            seen = fits_to.seen(image, column, row, score, float(np.nan_to_num(image[row, column])) / rms)
            found.append(replace(seen, x=float(x), y=float(y)))
    return _measured(cube, name, found, image)


def sofia_detections(
    cube: Cube,
    name: int | str = 0,
    threshold: float = 3.5,
    parameters: Mapping[str, object] | None = None,
    timeout: float = 600.0,
) -> Table:
    """Search a cube with SoFiA-2, if its program `sofia` or `sofia2` is on the PATH.

    Parameters
    ----------
    cube : Cube
    name : int or str
        Of the cube, for the table.
    threshold : float
        ``scfind.threshold``, in units of the noise of each smoothed cube. SoFiA's default is 5; its manual finds 3 to
        5 useful, and reliability filtering necessary in the lower part of that range; here the score stands for that.
    parameters : mapping of str to object, optional
        More of SoFiA's control parameters; what is not given here or in `SOFIA` is left to SoFiA.
    timeout : float
        s.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`; score and S/N are SoFiA's flux over its error. A mask over most of the band follows the
        continuum: then the line is looked for in the spectrum, as for those that search images.

    Raises
    ------
    UserError
        If the program is not on the PATH, fails, takes too long, or writes a catalog that cannot be read.
    """
    program = shutil.which("sofia") or shutil.which("sofia2")
    if program is None:
        raise UserError(
            "SoFiA-2 was asked for, but neither `sofia` nor `sofia2` is on the PATH; install it or leave the peer out."
        )
    with tempfile.TemporaryDirectory() as folder:
        data, settings = Path(folder) / "cube.fits", Path(folder) / "sofia.par"
        fits.writeto(data, cube.data, _header(cube, 3, cube.beam))
        given = SOFIA | {"input.data": data, "output.directory": folder, "scfind.threshold": threshold}
        given |= parameters or {}
        settings.write_text("".join(f"{key} = {value}\n" for key, value in given.items()))
        try:
            done = subprocess.run(
                [program, str(settings)], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"`{program}` did not finish within {timeout:g} s; give it a longer `timeout`.") from None
        catalog = Path(folder) / "sofia_cat.txt"
        if done.returncode == SOFIA_NOTHING_FOUND:
            return _catalogue(name, [])
        if done.returncode or not catalog.is_file():
            said = (done.stderr.strip() or done.stdout.strip() or "it wrote no catalog").splitlines()[-1]
            raise UserError(f"`{program}` failed with status {done.returncode} ({said}); run it by hand to see why.")
        found = read_sofia_catalog(catalog)
    continuum = np.zeros(cube.data.shape[1:])
    if str(given.get("contsub.enable", "false")).lower() == "true":
        continuum = np.nan_to_num(np.nanmedian(cube.data, axis=0))
    return _catalogue(name, [_of_sofia(cube, row, continuum) for row in found])


def read_sofia_catalog(path: Path) -> Table:
    """Return the table of a text catalog of SoFiA-2, in its own columns and units.

    Raises
    ------
    UserError
        If the names of the columns are not found in its head, or do not fit its rows.
    """
    heads = [line.lstrip("#").split() for line in path.read_text().splitlines() if line.startswith("#")]
    names = next((head for head in heads if {"id", "x", "y", "z", "f_sum"} <= set(head)), None)
    try:
        if names is None:
            raise ValueError("it names no columns")
        return text_table.read(path, format="no_header", names=names, comment="#", quotechar='"', guess=False)
    except (ValueError, text_table.InconsistentTableError) as problem:
        raise UserError(f"{path.name} is no text catalog of SoFiA-2: {problem}; install a newer SoFiA-2.") from None


PEERS: dict[str, Callable[..., Table]] = {
    "photutils": photutils_detections,
    "pybdsf": pybdsf_detections,
    "matched_filter_3d": matched_filter_detections,
    "sofia": sofia_detections,
}
"""Peers that need nothing but a cube."""


def spectrum_line(spectrum: np.ndarray, rms: float, threshold: float = LINE_SNR) -> tuple[float, float, float]:
    """Find the brightest line of a spectrum.

    Parameters
    ----------
    spectrum : numpy.ndarray, shape (channels,)
        NaN where not observed.
    rms : float
        Noise of a channel [unit of the spectrum].
    threshold : float
        Lowest S/N of the peak, with the spectrum smoothed as suits it best.

    Returns
    -------
    z, fwhm, peak : float
        Channel, channel, and unit of the spectrum, above the continuum; NaN without a line. They come from the fit of a
        Gaussian and a constant around the peak or, where that fails, from the smoothed peak itself.
    """
    excess = (
        np.nan_to_num(spectrum - np.nanmedian(spectrum)) if np.isfinite(spectrum).any() else np.zeros(len(spectrum))
    )
    smooth = np.stack([ndimage.gaussian_filter1d(excess, width / FWHM, mode="constant") for width in WIDTHS])
    snr = smooth / (rms * np.array([_line_noise(width) for width in WIDTHS])[:, None])
    best, z = np.unravel_index(np.argmax(snr), snr.shape)
    if not snr[best, z] >= threshold:
        return np.nan, np.nan, np.nan
    return _fit_line(spectrum, rms, float(z), WIDTHS[best]) or (float(z), WIDTHS[best], float(smooth[best, z]))


def condon_errors(
    shape: tuple[float, float, float], beam: tuple[float, float, float], snr: float
) -> tuple[float, float, float, float, float, float]:
    """Return 1 sigma errors of a Gaussian fit, as noise that is correlated by the beam causes them.

    Parameters
    ----------
    shape, beam : tuple of float
        FWHM major, minor [pixel], position angle [deg], the first one as the source is seen.
    snr : float

    Returns
    -------
    x, y, fwhm_major, fwhm_minor, pa, flux : float
        Pixel, pixel, pixel, pixel, deg, and relative.

    Notes
    -----
    Condon 1997, PASP 109, 166, for correlated noise.
    """
    major, minor, pa = shape
    area = beam[0] * beam[1]

    def squared(power_major: float, power_minor: float) -> float:
        gain = (1 + area / major**2) ** power_major * (1 + area / minor**2) ** power_minor
        return major * minor / (4 * area) * gain * max(snr, 1e-3) ** 2

    along, across = np.sqrt(2 / squared(2.5, 0.5)), np.sqrt(2 / squared(0.5, 2.5))
    flux = np.sqrt(2 / squared(1.5, 1.5) + area / (major * minor) * (along**2 + across**2))
    sin, cos = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    along, across = along * major, across * minor
    turn = 2 / np.sqrt(squared(0.5, 2.5)) * major * minor / max(major**2 - minor**2, 1e-9)
    return (
        float(np.hypot(along * sin, across * cos) / FWHM),
        float(np.hypot(along * cos, across * sin) / FWHM),
        float(along),
        float(across),
        float(min(np.degrees(turn), ANY_ANGLE)),
        float(flux),
    )


def deconvolved(shape: tuple[float, float, float], beam: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return FWHM major, minor and position angle of a source without the beam; 0 where it is not resolved."""
    return _shape_of(_covariance(shape) - _covariance(beam))


def _seen_with(source: np.ndarray, beam: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the shape of a source behind a beam, given by the squares of its FWHM (2, 2); not below the beam's."""
    return _shape_of(_covariance(_shape_of(source)) + _covariance(beam))


def _beam_image(cube: Cube) -> np.ndarray:
    """Return the dirty beam, or the Gaussian one where that is not known, with its peak of one at ``n // 2``."""
    if cube.dirty_beam is not None:
        return np.asarray(cube.dirty_beam, float)
    reach = int(4 * cube.beam[0])
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _gaussian(x, y, 0, 0, cube.beam)


def _beam_above(beam: np.ndarray, height: float) -> tuple[float, np.ndarray]:
    """Return sum and second moments (2, 2) [pixel^2] of the beam's part above its peak over `height`."""
    centre = beam.shape[0] // 2
    labels, _ = ndimage.label(beam > 1 / max(height, 1.05), np.ones((3, 3)))
    rows, columns = np.nonzero(labels == labels[centre, centre])
    value, at = beam[rows, columns], np.stack([columns - centre, rows - centre]).astype(float)
    return float(value.sum()), (at * value) @ at.T / value.sum()


def _truncated_moment(height: float) -> float:
    """Return the second moment of a two-dimensional Gaussian above its peak over `height`, relative to all of it."""
    reach = np.log(max(height, 1.05))
    return float(1 + reach * np.exp(-reach) / np.expm1(-reach))


def _covariance(shape: tuple[float, float, float]) -> np.ndarray:
    """Return the squared FWHM of an ellipse as a matrix of x and y, shape (2, 2)."""
    sin, cos = np.sin(np.radians(shape[2])), np.cos(np.radians(shape[2]))
    axes = np.array([[-sin, cos], [cos, sin]])
    return axes.T @ np.diag(np.square(shape[:2])) @ axes


def _shape_of(covariance: np.ndarray) -> tuple[float, float, float]:
    squares, axes = np.linalg.eigh(covariance)
    minor, major = np.sqrt(np.clip(squares, 0, None))
    return float(major), float(minor), float(np.degrees(np.arctan2(-axes[0, 1], axes[1, 1])) % 180)


def _rms(image: np.ndarray) -> float:
    """Return the noise of an image, sidelobes included; at least a tiny number."""
    seen = image[np.isfinite(image)]
    return max(float(mad_std(seen)), 1e-12) if seen.size else 1.0


def _measured(cube: Cube, name: int | str, found: list[Seen], image: np.ndarray) -> Table:
    """Return the table of what was found in an image summed over channels: lines, boxes, fluxes."""
    rows = []
    for seen in found:
        spectrum = _box_spectrum(cube, seen)
        z, width, _ = spectrum_line(spectrum, _spectrum_rms(spectrum))
        rows.append(_row(cube, seen, z, width, _line_flux(cube, seen, image, z, width)))
    return _catalogue(name, rows)


def _box_spectrum(cube: Cube, seen: Seen) -> np.ndarray:
    """Return the sum over the box of a source [Jy], NaN in channels without any pixel, shape (channels,)."""
    part = cube.data[(slice(None), *_cut(_box(seen), cube.data.shape[1:]))]
    observed = np.isfinite(part).any(axis=(1, 2))
    return np.where(observed, np.nansum(part, axis=(1, 2), dtype=float) / cube.beam_area, np.nan)


def _mean(images: np.ndarray) -> np.ndarray:
    """Return the mean of images, of the observed pixels only, shape (height, width)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(images, axis=0)


def _spectrum_rms(spectrum: np.ndarray) -> float:
    """Return the noise of a spectrum from the differences of neighbours, in which lines and continuum hardly count."""
    steps = np.diff(spectrum)
    steps = steps[np.isfinite(steps)]
    return max(float(mad_std(steps)) / np.sqrt(2), 1e-30) if steps.size else 1.0


def _line_flux(cube: Cube, seen: Seen, image: np.ndarray, z: float, width: float) -> float:
    """Return the flux density averaged over a line [Jy], from the flux in another image.

    It is as many times more as the source is brighter, weighted with its own shape.
    """
    cut = _cut(_box(seen), image.shape)
    weight = _gaussian(*np.mgrid[cut][::-1], seen.x, seen.y, seen.shape)
    line = _mean(cube.data[(window(z, width, len(cube.data)), *cut)])
    both = np.isfinite(line) & np.isfinite(image[cut])
    before = np.sum(np.where(both, weight * image[cut], 0))
    return float(seen.flux * np.sum(np.where(both, weight * line, 0)) / before) if before else np.nan


def _row(cube: Cube, seen: Seen, z: float, width: float, flux: float) -> dict:
    major, minor, pa = deconvolved(seen.shape, cube.beam)
    errors = seen.errors or condon_errors(seen.shape, cube.beam, seen.snr)
    sizes = [_size_error(*values) for values in zip(seen.shape[:2], (major, minor), errors[2:4], strict=True)]
    lit = np.flatnonzero(window(z, width, len(cube.data)))
    row = {"x": seen.x, "y": seen.y, "z": z, "line_fwhm": width, "score": seen.score, "snr": seen.snr}
    row |= dict(zip(("x0", "x1", "y0", "y1"), _box(seen), strict=True)) | {"z0": lit[0], "z1": lit[-1] + 1}
    row |= {"flux": flux, "fwhm_major": major, "fwhm_minor": minor, "pa": pa}
    values = (*errors[:2], abs(flux) * errors[5], *sizes, errors[4])
    return row | dict(zip([column for column in COLUMNS if column.endswith("_error")], values, strict=True))


def _size_error(seen: float, size: float, error: float) -> float:
    """Return the error of a size without the beam; of an unresolved one, the size that would be noticed."""
    return float(min(error * seen / max(size, 1e-9), np.sqrt(2 * error * seen)))


def _catalogue(name: int | str, rows: list[dict]) -> Table:
    """Return rows as a table with the columns `COLUMNS`, also where there is none."""
    integers = ("x0", "x1", "y0", "y1", "z0", "z1")
    table = Table({"cube": np.array([name] * len(rows), dtype=str if isinstance(name, str) else int)})
    for column, unit in COLUMNS.items():
        kind = int if column in integers else float
        table[column] = np.array([row[column] for row in rows], dtype=kind)
        table[column].unit = unit or None
    table.sort("score", reverse=True)
    return table


def _box(seen: Seen) -> tuple[int, int, int, int]:
    """Return the box of a source, made like the truth's; its shape holds the beam already."""
    return box(seen.x, seen.y, seen.shape, (0.0, 0.0, 0.0))


def _cut(limits: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
    x0, x1, y0, y1 = limits
    return slice(max(y0, 0), max(min(y1, shape[0]), 0)), slice(max(x0, 0), max(min(x1, shape[1]), 0))


def _gaussian(x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, shape: tuple) -> np.ndarray:
    sin, cos = np.sin(np.radians(shape[2])), np.cos(np.radians(shape[2]))
    along, across = (y - centre_y) * cos - (x - centre_x) * sin, (x - centre_x) * cos + (y - centre_y) * sin
    return np.exp(-0.5 * FWHM**2 * ((along / shape[0]) ** 2 + (across / shape[1]) ** 2))


class _Fits:
    """Fits of Gaussians to sources, which are compared with the fit to the dirty beam: it is no Gaussian itself."""

    def __init__(self, cube: Cube):
        self._beam = cube.beam
        self._reach = round(cube.beam[0])
        image = _beam_image(cube)
        centre = image.shape[0] // 2
        self.point = self._fit(image, centre, centre, cube.beam)

    def around(self, column: int, row: int, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of an image of this shape that a fit takes."""
        reach = self._reach
        return _cut((column - reach, column + reach + 1, row - reach, row + reach + 1), shape)

    def seen(self, image: np.ndarray, column: int, row: int, score: float, snr: float) -> Seen:
        """Return the source at a pixel, as it is seen; with a typical shape where the fit fails."""
        typical = _shape_of(_covariance(self._beam) + np.eye(2) * TYPICAL_SIZE**2)
        peak, x, y, *shape = self._fit(image, column, row, typical)
        flux = peak * shape[0] * shape[1] / np.prod(self.point[[0, 3, 4]])
        return Seen(float(x), float(y), self.corrected(shape), float(flux), float(score), float(snr))

    def corrected(self, shape: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return a fitted shape as it would be if the beam were the cube's Gaussian."""
        return _seen_with(_covariance(shape) - _covariance(self.point[3:]), self._beam)

    def _fit(self, image: np.ndarray, column: int, row: int, shape: tuple[float, float, float]) -> np.ndarray:
        """Return peak, x, y, FWHM major, minor and position angle, from the pixels within a beam."""
        reach, cut = self._reach, self.around(column, row, image.shape)
        y, x = np.mgrid[cut]
        near = (np.hypot(x - column, y - row) <= reach) & np.isfinite(image[cut])
        start = np.array([np.nan_to_num(image[row, column]), column, row, *shape], float)
        fit = _fit_gaussian(image[cut][near].astype(float), x[near], y[near], start)
        inside = np.hypot(fit[1] - column, fit[2] - row) <= reach / 2
        return fit if inside and fit[4] >= 0.7 * self._beam[1] and fit[3] <= 3 * self._beam[0] else start


def _fit_gaussian(values: np.ndarray, x: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return peak, x, y, FWHM major, minor and position angle of a Gaussian; `start` where none can be fitted."""
    peak = start[0]
    if peak <= 0 or len(values) < 4 * len(start):
        return start

    def misfit(at: np.ndarray) -> np.ndarray:
        return at[0] * _gaussian(x, y, at[1], at[2], (*np.exp(np.clip(at[3:5], -5, 9)), at[5])) - values / peak

    begin = np.array([1, start[1], start[2], *np.log(start[3:5]), start[5]])
    fit = optimize.least_squares(misfit, begin, method="lm", x_scale=(0.1, 1, 1, 0.1, 0.1, 10), max_nfev=300)
    if not fit.success or fit.x[0] <= 0:
        return start
    shape = _shape_of(_covariance((*np.exp(np.clip(fit.x[3:5], -5, 9)), fit.x[5])))
    return np.array([fit.x[0] * peak, fit.x[1], fit.x[2], *shape])


def _line_noise(width: float) -> float:
    """Return the noise after smoothing by a Gaussian of this FWHM [channel], for unit noise before."""
    reach = int(4 * width / FWHM + 1)
    kernel = ndimage.gaussian_filter1d(np.eye(1, 2 * reach + 1, reach)[0], width / FWHM)
    return float(np.sqrt(np.sum(kernel**2)))


def _fit_line(spectrum: np.ndarray, rms: float, z: float, width: float) -> tuple[float, float, float] | None:
    """Return centre, FWHM [channel] and peak of a Gaussian upon a constant, or None where none can be fitted."""
    channel = np.arange(len(spectrum), dtype=float)
    near = np.isfinite(spectrum) & (np.abs(channel - z) <= 3 * width + 4)
    if near.sum() < 6:
        return None
    channel, values = channel[near], spectrum[near]
    level = float(np.median(values))
    height = max(float(values.max()) - level, rms)

    def misfit(at: np.ndarray) -> np.ndarray:
        line = at[0] * np.exp(-0.5 * ((channel - at[1]) * FWHM / np.exp(np.clip(at[2], -2, 9))) ** 2)
        return line + at[3] - (values - level) / height

    fit = optimize.least_squares(misfit, (1, z, np.log(width), 0), method="lm", max_nfev=200)
    peak, centre, fwhm = height * fit.x[0], fit.x[1], np.exp(np.clip(fit.x[2], -2, 9))
    if not fit.success or peak < rms or abs(centre - z) > width or not 1 <= fwhm <= 4 * width:
        return None
    return float(centre), float(fwhm), float(peak)


class _Place(NamedTuple):
    """Where a filter answers: pixel, channel and FWHM of the line (NaN without one), S/N, number of the source size."""

    row: int
    column: int
    z: float
    width: float
    snr: float
    size: int


class _FilteredLines:
    """A cube without its continuum, filtered for sources and lines of all sizes.

    `snr` is the highest S/N of all templates, shape (channels, height, width); `_template` tells which one.
    """

    def __init__(self, cube: Cube, sizes: tuple[float, ...], widths: tuple[float, ...]):
        self._widths = widths
        data = cube.data / np.asarray(cube.rms, np.float32)[:, None, None]
        seen = np.isfinite(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            data -= np.median(data, axis=0) if seen.all() else np.nanmedian(data, axis=0)
        data[~seen] = 0
        self._seen = seen
        self.snr = np.full(data.shape, -np.inf, np.float32)
        self._template = np.zeros(data.shape, np.uint8)
        self._planes = []
        for size in sizes:
            plane = ndimage.gaussian_filter(data, (0, size / FWHM, size / FWHM), mode="constant") if size else data
            self._planes.append(plane)
            for width in widths:
                filtered = ndimage.gaussian_filter1d(plane, width / FWHM, axis=0, mode="constant")
                for channel, inside in zip(filtered, seen, strict=True):
                    channel /= _rms(channel[::SPARSE, ::SPARSE][inside[::SPARSE, ::SPARSE]])
                better = (filtered > self.snr) & seen
                np.copyto(self.snr, filtered, where=better)
                np.putmask(self._template, better, len(widths) * (len(self._planes) - 1) + widths.index(width))

    def place(self, z: int, row: int, column: int) -> _Place:
        """Return what is at a voxel."""
        size, width = divmod(int(self._template[z, row, column]), len(self._widths))
        return _Place(row, column, float(z), self._widths[width], float(self.snr[z, row, column]), size)

    def maxima(self, threshold: float, beam: tuple[float, float, float]) -> list[_Place]:
        """Return the voxels that no higher one is within half a beam or a channel of."""
        highest = ndimage.maximum_filter(
            self.snr, (3, *(2 * round(beam[1] / 2) + 1,) * 2), mode="constant", cval=-np.inf
        )
        return [self.place(*at) for at in np.argwhere((self.snr == highest) & (self.snr >= threshold)).tolist()]

    def fitted(self, place: _Place) -> tuple[float, float]:
        """Return centre and FWHM of the line at a place [channel], NaN without one."""
        if not np.isfinite(place.z):
            return np.nan, np.nan
        at = (slice(None), place.row, place.column)
        spectrum = np.where(self._seen[at], self._planes[place.size][at], np.nan)
        fit = _fit_line(spectrum, _spectrum_rms(spectrum), place.z, place.width)
        return fit[:2] if fit else (place.z, place.width)


def _continuum_places(
    cube: Cube, threshold: float, line_threshold: float, sizes: tuple[float, ...], lines: _FilteredLines
) -> list[_Place]:
    """Return the maxima of the continuum template, each with the highest line there, if any is high enough."""
    image = cube.integrated()
    seen, filled = np.isfinite(image), np.nan_to_num(image)
    maps = []
    for size in sizes:
        filtered = ndimage.gaussian_filter(filled, size / FWHM, mode="constant") if size else filled
        maps.append(filtered / _rms(filtered[seen]))
    snr, best = np.max(maps, axis=0), np.argmax(maps, axis=0)
    highest = ndimage.maximum_filter(snr, 2 * round(cube.beam[1] / 2) + 1)
    places = []
    for row, column in np.argwhere((snr == highest) & (snr >= threshold) & seen).tolist():
        line = lines.place(int(np.argmax(lines.snr[:, row, column])), row, column)
        if line.snr < line_threshold:
            line = _Place(row, column, np.nan, np.nan, 0.0, int(best[row, column]))
        places.append(line._replace(snr=float(max(snr[row, column], line.snr))))
    return places


def _strongest(places: list[_Place], beam: float) -> list[_Place]:
    """Return places without those that have a stronger one within a beam and a line width; a continuum has any z."""
    kept: list[_Place] = []
    for place in sorted(places, key=lambda one: (-one.snr, one.row, one.column, np.nan_to_num(one.z, nan=-1))):
        if not any(
            np.hypot(place.row - other.row, place.column - other.column) <= beam
            and not abs(place.z - other.z) > other.width
            for other in kept
        ):
            kept.append(place)
    return kept


def _blobs(heat: np.ndarray, min_sigma: float, threshold: float) -> np.ndarray:
    """Return x, y [pixel of the map] and the map's value of its blobs, shape (n, 3)."""
    heat = np.nan_to_num(np.asarray(heat, dtype=float))
    at = blob_dog(heat, min_sigma=min_sigma, threshold=threshold)[:, :2].astype(int)
    return np.column_stack([at[:, 1], at[:, 0], heat[at[:, 0], at[:, 1]]])


def _header(cube: Cube, axes: int, beam: tuple[float, float, float]) -> fits.Header:
    """Return the header of a cube, or of its image for two axes, somewhere on the equator."""
    height, width = cube.data.shape[1:]
    header = fits.Header()
    header["BUNIT"] = "Jy/beam"
    header["BMAJ"], header["BMIN"], header["BPA"] = beam[0] * PIXEL, beam[1] * PIXEL, beam[2] % 180
    frequency = np.asarray(cube.frequency, float)
    step = float(np.mean(np.diff(frequency))) if len(frequency) > 1 else 1.0
    values = (
        ("RA---SIN", "deg", 180.0, -PIXEL, (width + 1) / 2),
        ("DEC--SIN", "deg", 0.0, PIXEL, (height + 1) / 2),
        ("FREQ", "Hz", float(frequency[0]), step, 1.0),
    )
    for axis, entries in enumerate(values[:axes], 1):
        for key, entry in zip(("CTYPE", "CUNIT", "CRVAL", "CDELT", "CRPIX"), entries, strict=True):
            header[f"{key}{axis}"] = entry
    header["RADESYS"], header["EQUINOX"] = "ICRS", 2000.0
    header["RESTFRQ"] = float(frequency.mean())
    return header


def import_bdsf():
    """Return PyBDSF, or raise a UserError."""
    try:
        import bdsf
    except ImportError:
        raise UserError(
            "PyBDSF was asked for, but is not installed here; install `bdsf==1.14.1` or leave the peer out."
        ) from None
    return bdsf


@contextlib.contextmanager
def running_bdsf():
    """Let PyBDSF's calls of the garbage collector be short, and close its log, which is in a folder to be deleted.

    It collects some twenty to fifty times an image, and each time the collector would look at every object of all that
    is imported, which takes far longer than the search.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        log = logging.getLogger("PyBDSF")
        for handler in list(log.handlers):
            handler.close()
            log.removeHandler(handler)


def _of_bdsf(result, source, fits_to: _Fits) -> Seen:
    x, y = result.sky2pix(source.posn_sky_centroid)
    major, minor, pa = source.size_sky
    ra_error, dec_error = source.posn_sky_centroidE
    major_error, minor_error, pa_error = source.size_skyE
    snr = float(source.peak_flux_max / source.rms_isl)
    return Seen(
        x=float(x),
        y=float(y),
        shape=fits_to.corrected((major / PIXEL, minor / PIXEL, float(pa))),
        flux=float(source.total_flux / fits_to.point[0]),
        score=snr,
        snr=snr,
        errors=(
            float(ra_error / PIXEL),
            float(dec_error / PIXEL),
            float(major_error / PIXEL),
            float(minor_error / PIXEL),
            float(min(pa_error, ANY_ANGLE)),
            float(source.total_fluxE / abs(source.total_flux)),
        ),
    )


def _of_sofia(cube: Cube, row, continuum: np.ndarray) -> dict:
    """Return the row of a source of SoFiA, which has taken off this continuum; its upper limits are in the mask."""
    # SoFiA's axes are twice the standard deviation.
    squares = _covariance((row["ell_maj"] * FWHM / 2, row["ell_min"] * FWHM / 2, float(row["ell_pa"])))
    shape = _seen_with(squares - _covariance(cube.beam), cube.beam)
    z, width = float(row["z"]), float(row["w50"])
    masked = slice(int(row["z_min"]), int(row["z_max"]) + 1)
    snr = float(row["f_sum"] / row["err_f_sum"])
    seen = Seen(float(row["x"]), float(row["y"]), shape, float(row["f_sum"]) / cube.beam_area, snr, snr)
    if masked.stop - masked.start > len(cube.data) / 2:
        spectrum = _box_spectrum(cube, seen)
        z, width, _ = spectrum_line(spectrum, _spectrum_rms(spectrum))
    image = np.nansum(cube.data[masked], axis=0) - (masked.stop - masked.start) * continuum
    return _row(cube, seen, z, width, _line_flux(cube, seen, image, z, width))
