"""Other ways to find and locate gamma-ray sources in counts maps, run on the maps of the networks to compare them.

Each peer takes a counts map and what it is told of the instrument (`Known`, prepared once for all maps of a response),
and returns a table with the columns `COLUMNS`: positions in pixels of the map, x to the West, y to the North, both from
0. `photons` are all of a source's, wherever its point spread function brings them; only `aperture_photometry` leaves
them as they are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from scipy import ndimage, optimize

from ..images.counts import CountsMap
from ..instruments.counts_maps import CRAB_INDEX, Response, geometry
from ..sky.transients import PointSource

COLUMNS = {
    **dict.fromkeys(("x", "y", "x_error", "y_error"), "pix"),
    **dict.fromkeys(("photons", "photons_error", "background"), "ct"),
    **dict.fromkeys(("score", "snr"), None),
}
"""Columns of a table of detections, as those of the networks' search, and their units."""
THRESHOLD = 3.0
"""Lowest significance of a peak by default: most of these are noise, the score trades completeness for purity."""
APART = 0.2
"""Least distance of two peaks [deg]."""
CORRELATION = 0.1
"""Radius in which `excess_map` counts [deg]."""
ON_RADIUS = 0.2
"""Radius in which `aperture_photometry` counts [deg]."""
COUNTED = 0.3
"""Radius in which the background of a source is told [deg], as that of the networks' search."""

_SMOOTH = 0.1
"""Standard deviation of the Gaussian that starts of fits and places to leave out are looked for with [deg]."""
_BRIGHT, _MARGIN, _ROUNDS = 4.0, 0.4, 4
"""What is more significant is no background, nor is what is nearer to it [deg]; how often this is looked for."""
_BINNING = 2
"""Pixels of the map that are one of `ts_map`'s, along each axis: a test statistic at every pixel takes long."""
_KERNEL = 0.8
"""Full width of the kernel of `ts_map` [deg]."""
_FITTED = 2.0
"""Where a first guess is less significant, `ts_map` takes it as it is."""
_CLEAR = 4.0
"""Least significance of a peak of the excess map that photometry is made of."""
_PSF_OFFSET = 1.0
"""Distance from the pointing of the point spread function that `ts_map` takes for the whole map [deg]."""
_FIT, _AWAY = 0.8, 0.25
"""Half side of the part of a map that a source is fitted in, and how far from its start it may come [deg]."""
_STEP = 0.1
"""Half the difference of positions by which a source's image is differentiated [pixel]."""


@dataclass(frozen=True, eq=False)
class Known:
    """What the peers are told of the instrument, with what they prepare of it; keep it for all maps of a response.

    Attributes
    ----------
    response : Response
    index : float
        Spectral index that is taken for all sources.
    energies : tuple of float
        Range of the reconstructed energy [TeV], a name only: the response is a sum over it.
    """

    response: Response
    index: float = CRAB_INDEX
    energies: tuple[float, float] = (0.03, 5.0)

    def image(self, x: float, y: float) -> np.ndarray:
        """Return the share of a source's photons that is expected in every pixel; shape (side, side), float64."""
        lon, lat = self.response.frame.offset_of(x, y)
        source = PointSource(float(lon), float(lat), 1.0, self.index)
        counts = self.response.expected_counts(source, 1.0)
        return self.response.expected_source(source, 1.0).astype(float) / max(counts, 1e-30)

    def contained(self, x: float, y: float, radius: float) -> float:
        """Return the share of a source's photons in the pixels within a radius [deg] around it."""
        return self.around(self.image(x, y), x, y, radius)

    def around(self, image: np.ndarray, x: float, y: float, radius: float) -> float:
        """Return the sum of an image over the pixels whose middle is within a radius [deg] around a position."""
        return float(image[self._within(x, y, radius)].sum())

    def background(self, observed: CountsMap, gradient: bool = False) -> np.ndarray:
        """Return the background of the response, scaled to a map.

        Parameters
        ----------
        observed : CountsMap
        gradient : bool
            Whether the scale may change linearly across the map.

        Returns
        -------
        numpy.ndarray, shape (side, side)
            Expected counts; zero for a map without counts.

        Raises
        ------
        ValueError
            If the map does not have the pixels of the response.

        Notes
        -----
        Bright sources are left out, as gammapy's FoVBackgroundMaker does with a mask: what is more significant than 4,
        0.4 deg around it, and anew with each scale. The scale then makes the counts of the rest those expected, and so
        their first moments with a gradient.
        """
        counts = _counts(observed, self)
        used = np.ones(counts.shape, bool)
        for _ in range(_ROUNDS):
            background = self._scaled(counts, used, gradient)
            bright = _smooth_significance(counts, background, _SMOOTH / observed.pixel) > _BRIGHT
            rest = ~ndimage.maximum_filter(bright, 2 * round(_MARGIN / observed.pixel) + 1)
            if (rest == used).all() or rest.mean() < 0.1:
                break
            used = rest
        return background

    @cached_property
    def geometry(self):
        """The map on the sky as gammapy's `WcsGeom`, the pointing at (0, 0)."""
        return geometry(self.response.frame, 0, 0, self.energies)

    @cached_property
    def pointing(self):
        """The pointing as astropy's `SkyCoord`."""
        return self.geometry.center_skydir

    @cached_property
    def excess(self):
        """gammapy's estimator of excess maps."""
        from gammapy.estimators import ExcessMapEstimator

        return ExcessMapEstimator(correlation_radius=CORRELATION * u.deg)

    @cached_property
    def test_statistics(self):
        """gammapy's estimator of test statistics, and the exposure and the geometry of its data set.

        The norm is the number of a source's photons: the reference model gives one for an exposure of one.
        """
        from gammapy.estimators import TSMapEstimator
        from gammapy.maps import Map, MapAxis
        from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

        geom = self.geometry.downsample(_BINNING)
        ends = self.energies * u.TeV
        true = MapAxis.from_energy_edges(ends, name="energy_true")
        spectrum = PowerLawSpectralModel(index=self.index, amplitude="1 cm-2 s-1 TeV-1", reference="1 TeV")
        spectrum.amplitude.value /= spectrum.integral(*ends).to_value("cm-2 s-1")
        estimator = TSMapEstimator(
            kernel_model=SkyModel(spatial_model=PointSpatialModel(), spectral_model=spectrum, name="point"),
            kernel_width=_KERNEL * u.deg,
            threshold=_FITTED**2,
            n_jobs=1,
        )
        kernel = self._kernel(geom)
        # The kernel of gammapy holds all of a source, and would be made anew three times for each map.
        estimator.estimate_kernel = lambda dataset: kernel
        return estimator, Map.from_geom(geom.to_image().to_cube([true]), data=1.0, unit="cm2 s"), geom

    def _kernel(self, geom):
        """Return the image of a source for one photon in the pixels of a geometry, around it, as gammapy's map."""
        from gammapy.maps import Map

        part = geom.to_odd_npix(max_radius=_KERNEL / 2 * u.deg)
        half, column = part.data_shape[-1] // 2, geom.data_shape[-1] // 2
        away = round(_PSF_OFFSET / (_BINNING * self.response.frame.pixel))
        row = column + max(min(away, column - half - 1), 0)
        image = _binned(self.image(*(_BINNING * at + (_BINNING - 1) / 2 for at in (column, row))))
        cut = image[row - half : row + half + 1, column - half : column + half + 1]
        return Map.from_geom(part, data=cut[None])

    @cached_property
    def regions(self):
        """gammapy's finder of reflected regions."""
        from gammapy.makers import ReflectedRegionsFinder

        return ReflectedRegionsFinder(binsz=self.response.frame.pixel * u.deg)

    @cached_property
    def _terms(self) -> np.ndarray:
        return np.stack([np.ones_like(self.response.background), *self.response.frame.grid()])

    def _scaled(self, counts: np.ndarray, used: np.ndarray, gradient: bool) -> np.ndarray:
        """Return the background that has the moments of the counts in the pixels that are used."""
        terms = self._terms if gradient else self._terms[:1]
        some, model = terms[:, used], self.response.background[used]
        scale = np.linalg.solve(np.einsum("ip,jp,p->ij", some, some, model), np.einsum("ip,p->i", some, counts[used]))
        plane = sum(value * term for value, term in zip(scale, terms, strict=True))
        # A plane may fall below zero in the corners.
        return self.response.background * np.maximum(plane, 0.1 * scale[0])

    def _within(self, x: float, y: float, radius: float) -> np.ndarray:
        rows, columns = np.ogrid[: self.response.frame.side, : self.response.frame.side]
        return np.hypot(rows - y, columns - x) <= radius / self.response.frame.pixel


def excess_map(observed: CountsMap, known: Known, threshold: float = THRESHOLD, gradient: bool = False) -> Table:
    """Find peaks of significance of what is counted within 0.1 deg beyond the background.

    Parameters
    ----------
    observed : CountsMap
    known : Known
    threshold : float
        Lowest significance of a peak.
    gradient : bool
        Whether the scale of the background may change linearly across the map.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`, the most significant first. Positions are whole pixels, without errors. Score and S/N are
        the square root of the test statistic for a known background (Cash 1979, ApJ 228, 939).

    Raises
    ------
    ValueError
        If the map does not have the pixels of the response.

    Notes
    -----
    gammapy's ExcessMapEstimator and `find_peaks` with a distance of 0.2 deg, as astroRT searches, with the response's
    background scaled to the map (`Known.background`). The excess is divided by the share that the point spread function
    has within the radius.
    """
    from gammapy.datasets import MapDataset
    from gammapy.estimators.utils import find_peaks
    from gammapy.maps import Map

    counts = _counts(observed, known)
    if not counts.any():
        return _table([])
    background, geom = known.background(observed, gradient), known.geometry
    dataset = MapDataset(
        counts=Map.from_geom(geom, data=counts[None]), background=Map.from_geom(geom, data=background[None]), name="map"
    )
    maps = known.excess.run(dataset)
    excess, error = (maps[name].data[0] for name in ("npred_excess", "norm_err"))
    rows = []
    for peak in find_peaks(maps["sqrt_ts"], threshold, APART * u.deg):
        x, y, snr = int(peak["x"]), int(peak["y"]), float(peak["value"])
        share = known.contained(x, y, CORRELATION)
        rows.append(_row(known, background, x, y, snr, photons=excess[y, x] / share, photons_error=error[y, x] / share))
    return _table(rows)


def ts_map(observed: CountsMap, known: Known, threshold: float = THRESHOLD, gradient: bool = False) -> Table:
    """Find peaks of the test statistic of a point source.

    Parameters
    ----------
    observed : CountsMap
    known : Known
    threshold : float
        Lowest square root of the test statistic of a peak.
    gradient : bool
        Whether the scale of the background may change linearly across the map.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`, the most significant first. Score and S/N are the square root of the test statistic.

    Raises
    ------
    ValueError
        If the map does not have the pixels of the response, or their number is odd.

    Notes
    -----
    gammapy's TSMapEstimator (Stewart 2009, A&A 495, 989) in pixels that are twice as large, with the point spread
    function at 1 deg from the pointing and the response's background scaled to the map (`Known.background`). Positions
    are maxima of a paraboloid through a peak and its eight neighbours, errors are where it has fallen by one.
    """
    from gammapy.datasets import MapDataset
    from gammapy.estimators.utils import find_peaks
    from gammapy.maps import Map

    counts = _counts(observed, known)
    if not counts.any():
        return _table([])
    background = known.background(observed, gradient)
    estimator, exposure, geom = known.test_statistics
    binned = {
        name: Map.from_geom(geom, data=_binned(image)[None])
        for name, image in (("counts", counts), ("background", background))
    }
    maps = estimator.run(MapDataset(**binned, exposure=exposure, name="map"))
    statistic, norm, error = (maps[name].data[0] for name in ("ts", "norm", "norm_err"))
    rows = []
    for peak in find_peaks(maps["sqrt_ts"], threshold, APART * u.deg):
        column, row = int(peak["x"]), int(peak["y"])
        place, errors = _summit(statistic, row, column)
        x, y = _BINNING * place + (_BINNING - 1) / 2
        rows.append(
            _row(
                known,
                background,
                float(x),
                float(y),
                float(peak["value"]),
                errors=_BINNING * errors,
                photons=norm[row, column],
                photons_error=error[row, column],
            )
        )
    return _table(rows)


def likelihood_fit(
    observed: CountsMap, known: Known, background: np.ndarray, threshold: float = THRESHOLD, sources: int = 1
) -> Table:
    """Fit position and photons of a source to the counts, background and point spread function being known.

    Parameters
    ----------
    observed : CountsMap
    known : Known
    background : numpy.ndarray, shape (side, side)
        Expected counts of all but the sources, in truth: no real search knows these.
    threshold : float
        Lowest square root of the test statistic; what is below is not told.
    sources : int
        Most sources that are looked for, one upon the others; then each is fitted again.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`, the most significant first. Score and S/N are the square root of the test statistic.

    Raises
    ------
    ValueError
        If map or background do not have the pixels of the response.

    Notes
    -----
    The Poisson likelihood of all pixels around the highest peak of the excess, smoothed and in units of its noise. The
    errors are of the inverse Hessian, without the second derivatives of the source's image, whose mean is zero. No
    search can do better on average than `skyloom.detect.simulated_maps.position_bound`, which this comes near.
    """
    counts = _counts(observed, known)
    if background.shape != counts.shape:
        raise ValueError(f"the background has shape {background.shape}, the map {counts.shape}.")
    total, fits = np.maximum(background, 1e-9), []
    for _ in range(sources):
        peak = _smooth_significance(counts, total, _SMOOTH / observed.pixel)
        row, column = np.unravel_index(np.argmax(peak), peak.shape)
        fit = _fit_source(counts, total, known, float(column), float(row))
        if fit.statistic < threshold**2:
            break
        fits.append(fit)
        total = total + fit.photons * known.image(fit.x, fit.y)
    if len(fits) > 1:
        fits = _fitted_again(counts, total, known, fits)
    fits = [fit for fit in fits if fit.statistic >= threshold**2]
    return _table(
        [
            _row(
                known,
                background,
                fit.x,
                fit.y,
                float(np.sqrt(fit.statistic)),
                errors=fit.errors[:2],
                photons=fit.photons,
                photons_error=fit.errors[2],
            )
            for fit in fits
        ]
    )


def aperture_photometry(
    observed: CountsMap,
    known: Known,
    positions: Table | Sequence[tuple[float, float]],
    radius: float = ON_RADIUS,
    exclusion: float = COUNTED,
) -> Table:
    """Count within a circle, and within those that are as far from the pointing.

    Parameters
    ----------
    observed : CountsMap
    known : Known
        Of which only the pixels are used.
    positions : astropy.table.Table or sequence of (x, y)
        Pixels; of a table, the columns x and y.
    radius : float
        Of the circles [deg].
    exclusion : float
        No circle for the background comes as near to another position [deg].

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`, one row a position in the order given. Photons are the excess in the circle,
        `Known.contained` tells of which share of the source's; background is that expected in it. Score and S/N are the
        significance, negative below the background. All but the position is NaN where no circle for the background has
        a place, such as near the pointing.

    Raises
    ------
    ValueError
        If the map does not have the pixels of the response.

    Notes
    -----
    gammapy's ReflectedRegionsFinder and the significance of Li & Ma (1983, ApJ 272, 317), eq. 17. A pixel is in a
    circle if its middle is; circles that reach beyond the map count for what is in it.
    """
    counts = _counts(observed, known)
    if isinstance(positions, Table):
        positions = list(zip(positions["x"], positions["y"], strict=True))
    places = np.asarray(positions, dtype=float).reshape(-1, 2)
    rows = []
    for number, (x, y) in enumerate(places):
        on = known._within(x, y, radius)
        off = _reflected(known, x, y, np.delete(places, number, axis=0), radius, exclusion)
        rows.append({"x": x, "y": y, **_photometry(counts, on, off)})
    return _table(rows, in_order=True)


def photometry_on_ring(observed: CountsMap, x: float, y: float, radius: float = ON_RADIUS) -> Table:
    """Count within a circle, and for the background in the ring around the pointing that has its width.

    The background depends on the offset more than on the direction, so that this is what reflected regions do, with all
    pixels of the ring but those near the circle.

    Parameters
    ----------
    observed : CountsMap
        The pointing is its middle.
    x, y : float
        Pixel.
    radius : float
        Of the circle [deg].

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`, one row; score and S/N are the significance (Li & Ma 1983), zero where there is no ring.
    """
    rows, columns = np.indices(observed.counts.shape)
    middle = (np.array(observed.counts.shape) - 1) / 2
    offset = np.hypot(rows - middle[0], columns - middle[1]) * observed.pixel
    away = np.hypot(rows - y, columns - x) * observed.pixel
    own = np.hypot(y - middle[0], x - middle[1]) * observed.pixel
    on, off = away <= radius, (np.abs(offset - own) <= radius) & (away > radius + COUNTED)
    nothing = {"photons": 0.0, "photons_error": 0.0, "background": 0.0, "score": 0.0, "snr": 0.0}
    return _table([{"x": x, "y": y, **nothing, **_photometry(observed.counts.astype(float), on, off)}])


def _photometry(counts: np.ndarray, on: np.ndarray, off: np.ndarray) -> dict:
    """Return excess, error, background and significance of the pixels `on`, with those `off` for the background."""
    from gammapy.stats import WStatCountsStatistic

    if not on.any() or not off.any():
        return {}
    statistic = WStatCountsStatistic(counts[on].sum(), counts[off].sum(), on.sum() / off.sum())
    significance = float(statistic.sqrt_ts)
    return {
        "photons": float(statistic.n_sig),
        "photons_error": float(statistic.error),
        "background": float(statistic.n_bkg),
        "score": significance,
        "snr": significance,
    }


def _reflected(known: Known, x: float, y: float, others: np.ndarray, radius: float, exclusion: float) -> np.ndarray:
    """Return the pixels of all regions that reflect the circle around a position; shape (side, side), bool."""
    from astropy.coordinates import SkyCoord
    from gammapy.maps import Map
    from regions import CircleSkyRegion

    geom = known.geometry.to_image()
    allowed = np.ones(geom.data_shape, bool)
    for place in others:
        allowed &= ~known._within(*place, exclusion)
    mask = None if allowed.all() else Map.from_geom(geom, data=allowed)
    region = CircleSkyRegion(SkyCoord.from_pixel(x, y, geom.wcs), radius * u.deg)
    off = np.zeros(geom.data_shape, bool)
    for one in known.regions.run(region, known.pointing, mask)[0]:
        off |= known._within(*map(float, one.center.to_pixel(geom.wcs)), radius)
    return off


@dataclass(frozen=True)
class _Fit:
    """A fitted source: pixel, photons, test statistic, and 1 sigma errors of x, y and photons."""

    x: float
    y: float
    photons: float
    statistic: float
    errors: np.ndarray


def _fit_source(counts: np.ndarray, background: np.ndarray, known: Known, x: float, y: float) -> _Fit:
    """Return the source near a pixel that makes the counts likeliest."""
    reach = round(_FIT / known.response.frame.pixel)
    part = tuple(slice(max(round(at) - reach, 0), round(at) + reach + 1) for at in (y, x))
    n, b = counts[part], background[part]

    def slopes(x: float, y: float, photons: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the source's image for one photon, and the derivatives of it all by x, y and photons."""
        ahead, behind, above, below = (
            known.image(x + dx, y + dy)[part] for dx, dy in ((_STEP, 0), (-_STEP, 0), (0, _STEP), (0, -_STEP))
        )
        one = (ahead + behind + above + below) / 4
        return one, np.stack([photons * (ahead - behind), photons * (above - below), 2 * _STEP * one]) / (2 * _STEP)

    def information(weight: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return np.einsum("iyx,jyx,yx->ij", slope, slope, weight)

    one = known.image(x, y)[part]
    photons = max(float(((n - b) * one / b).sum() / max((one**2 / b).sum(), 1e-30)), 1.0)
    start = np.array([x, y, photons])
    slope = slopes(*start)[1]
    units = 1 / np.sqrt(np.maximum(np.diag(information(1 / (b + photons * one), slope)), 1e-12))

    def unlikeliness(values: np.ndarray) -> tuple[float, np.ndarray]:
        at = start + units * values
        image, slope = slopes(*at)
        seen = at[2] * image
        # The difference to no source at all, so that no digits are lost.
        value = float(seen.sum() - (n * np.log1p(seen / b)).sum())
        return value, units * np.einsum("iyx,yx->i", slope, 1 - n / (b + seen))

    away = _AWAY / known.response.frame.pixel
    low, high = np.array([x - away, y - away, 0.0]), np.array([x + away, y + away, 3 * n.sum() + 10])
    fit = optimize.minimize(
        unlikeliness,
        np.zeros(3),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip((low - start) / units, (high - start) / units, strict=True)),
        options={"maxfun": 60, "ftol": 1e-8, "gtol": 3e-3},
    )
    best = np.clip(start + units * fit.x, low, high)
    image, slope = slopes(*best)
    errors = _errors(information(n / (b + best[2] * image) ** 2, slope))
    return _Fit(*map(float, best), statistic=max(-2 * float(fit.fun), 0.0), errors=errors)


def _fitted_again(counts: np.ndarray, total: np.ndarray, known: Known, fits: list[_Fit]) -> list[_Fit]:
    """Return fits that are repeated, each with all other sources in the background."""
    again = []
    for fit in fits:
        rest = np.maximum(total - fit.photons * known.image(fit.x, fit.y), 1e-9)
        again.append(_fit_source(counts, rest, known, fit.x, fit.y))
        total = rest + again[-1].photons * known.image(again[-1].x, again[-1].y)
    return again


def _errors(information: np.ndarray) -> np.ndarray:
    """Return the standard deviations of parameters by their information matrix, NaN where it says nothing."""
    try:
        variance = np.diag(np.linalg.inv(information))
    except np.linalg.LinAlgError:
        return np.full(len(information), np.nan)
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def _summit(statistic: np.ndarray, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the maximum around a peak, and their errors; NaN for these at the edge or on a ridge."""
    middle, unknown = np.array([column, row], dtype=float), np.full(2, np.nan)
    around = statistic[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    if around.shape != (3, 3) or not np.isfinite(around).all():
        return middle, unknown
    slope = np.array([(around[:, 2] - around[:, 0]).mean(), (around[2] - around[0]).mean()]) / 2
    xx, yy = (np.dot(profile, (1, -2, 1)) for profile in (around.mean(axis=0), around.mean(axis=1)))
    xy = (around[2, 2] + around[0, 0] - around[0, 2] - around[2, 0]) / 4
    bend = -np.array([[xx, xy], [xy, yy]])
    if xx >= 0 or np.linalg.det(bend) <= 0:
        return middle, unknown
    inverse = np.linalg.inv(bend)
    return middle + np.clip(inverse @ slope, -1, 1), np.sqrt(2 * np.diag(inverse))


def _smooth_significance(counts: np.ndarray, background: np.ndarray, sigma: float) -> np.ndarray:
    """Return the excess in units of its noise, both smoothed with a Gaussian; shape (side, side)."""
    excess = ndimage.gaussian_filter(counts - background, sigma, mode="constant")
    noise = ndimage.gaussian_filter(background, sigma, mode="constant") / (4 * np.pi * sigma**2)
    return excess / np.sqrt(np.maximum(noise, 1e-12))


def _counts(observed: CountsMap, known: Known) -> np.ndarray:
    """Return the counts as floating-point numbers, if they have the pixels of the response."""
    frame = known.response.frame
    if observed.counts.shape != (frame.side, frame.side) or not np.isclose(observed.pixel, frame.pixel):
        raise ValueError(
            f"a map of {observed.counts.shape} pixels of {observed.pixel:g} deg does not fit a response for "
            f"{frame.side} pixels of {frame.pixel:g} deg along each axis."
        )
    return observed.counts.astype(float)


def _binned(image: np.ndarray) -> np.ndarray:
    rows, columns = (side // _BINNING for side in image.shape)
    return image.reshape(rows, _BINNING, columns, _BINNING).sum(axis=(1, 3))


def _row(known: Known, background: np.ndarray, x: float, y: float, snr: float, errors=(np.nan, np.nan), **more) -> dict:
    """Return a detection's row, with the background that is expected around it."""
    return {
        "x": x,
        "y": y,
        "x_error": errors[0],
        "y_error": errors[1],
        "background": known.around(background, x, y, COUNTED),
        "score": snr,
        "snr": snr,
        **more,
    }


def _table(rows: list[dict], in_order: bool = False) -> Table:
    """Return rows as a table with units, the highest score first unless they are in order already."""
    rows = rows if in_order else sorted(rows, key=lambda row: -row["score"])
    return Table(
        {
            name: Column(np.array([row.get(name, np.nan) for row in rows], dtype=float), unit=unit)
            for name, unit in COLUMNS.items()
        }
    )


def _photometry_of_peaks(observed: CountsMap, known: Known, background: np.ndarray) -> Table:
    """Return the photometry of the clear peaks of the excess map; where no other circle has a place, a score of zero.

    Reflected regions take a third of a second a peak, and those below `_CLEAR` are nearly all noise.
    """
    table = aperture_photometry(observed, known, excess_map(observed, known, _CLEAR, gradient=True))
    table["score"] = np.nan_to_num(table["score"])
    return table


ESTIMATORS = {
    "excess_map": lambda observed, known, background: excess_map(observed, known, gradient=True),
    "ts_map": lambda observed, known, background: ts_map(observed, known, gradient=True),
    "likelihood_fit": lambda observed, known, background: likelihood_fit(observed, known, background, sources=5),
    "aperture_photometry": _photometry_of_peaks,
}
"""The peers by name; each takes a map, what is known of the instrument and the true background, which the fit alone
uses. The background of the maps is that of the response, scaled to what is counted by a factor that may change
across the map."""
