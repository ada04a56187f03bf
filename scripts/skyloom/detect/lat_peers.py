"""A classical search for gamma-ray sources in patches, run on those of the networks to compare them.

gammapy's map of the test statistic (Stewart 2009, A&A 495, 989) of a point source with a power law, all bands together,
is made again after the sources found so far have been added to the background, as the LAT's own tools search; then the
fluxes of all are fitted at once. The background is told: in truth, which no real search knows, or as an observer with
another tracer of the gas would have it.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from scipy import ndimage, optimize

from ..images.patches import SIDE, Patch, on_grid, patch_wcs
from ..sky.patch_fields import PatchField
from .simulated_patches import Survey, expected

COLUMNS = {
    **dict.fromkeys(("x", "y", "x_error", "y_error"), "pix"),
    **dict.fromkeys(("lon", "lat"), "deg"),
    **dict.fromkeys(("flux", "flux_error"), "1 / (cm2 s)"),
    **dict.fromkeys(("score", "snr"), None),
}
"""Columns of a table of detections and their units; score and S/N are square roots of the test statistic."""
THRESHOLD = 3.0
"""Lowest square root of the test statistic of a source."""
ROUNDS = (12.0, 5.0, THRESHOLD)
"""Lowest square root of the test statistic of what each round adds."""
INDEX = 2.2
"""Photon index that is taken for all sources, about the mean of 4FGL's."""
UNIT = 1e-9
"""Flux from 1 to 100 GeV for which the reference model stands [1/(cm2 s)]."""

_GRID = 64
"""Pixels of the map of the test statistic along an axis; twice as many take four times as long."""
_APART = 0.35
"""Least distance of two sources that one round adds [deg]."""
_WIDTH = 4.2
"""Full width of a source's image at least energies [deg]; beyond it, nothing is taken from it or the background."""
_BRIGHT, _FITS = 4.0, 3
"""What is more significant is left out when a background is scaled; how often this is looked for."""


@dataclass(frozen=True, eq=False)
class Known:
    """What the peers are told of the instrument, with what they prepare of it; keep it for all patches of a survey.

    Attributes
    ----------
    survey : Survey
    """

    survey: Survey

    @property
    def pixel(self) -> float:
        """Side of a pixel of the map of the test statistic [deg]."""
        return self.survey.width / _GRID

    def cube(self, maps) -> np.ndarray:
        """Return maps of the bands on the common grid, shape (bands, grid, grid), float64.

        Finer pixels are summed. Coarser ones are divided evenly: with a model that is constant over each of them, the
        Poisson likelihood of the parts is that of the whole, up to a constant.
        """
        return np.stack([_regridded(np.asarray(one, float), _GRID) for one in maps])

    def photons(self, lon: float, lat: float) -> np.ndarray:
        """Return the photons of a source of a flux `UNIT` in each band, at a place [deg]; shape (bands,)."""
        return UNIT * _shares(self.survey.bands) * self.survey.exposure(lon, lat)

    @cached_property
    def kernel(self) -> np.ndarray:
        """The image of a source in each band, shape (bands, odd, odd), averaged over the band's pixels."""
        half = round(_WIDTH / 2 / self.pixel)
        side = 2 * half + 1
        images = []
        for profile, own in zip(self.survey.profiles, self.survey.sides, strict=True):
            # Twice as finely, then summed: the core of the finest bands is smaller than a pixel.
            fine = profile.image(2 * side, self.pixel / 2, side - 0.5, side - 0.5).astype(float)
            image = fine.reshape(side, 2, side, 2).sum(axis=(1, 3))
            box = max(1, _GRID // own)
            images.append(ndimage.uniform_filter(image, box, mode="constant") if box > 1 else image)
        return np.stack(images)

    @cached_property
    def geometry(self):
        """The grid as gammapy's `WcsGeom`, in the middle of the Galaxy, with the bands as an axis."""
        from gammapy.maps import MapAxis, WcsGeom

        edges = [lowest for lowest, _ in self.survey.bands] + [self.survey.bands[-1][1]]
        axis = MapAxis.from_energy_edges(edges, unit="GeV", name="energy")
        shape = {"npix": (_GRID, _GRID), "binsz": self.pixel}
        return WcsGeom.create(skydir=(0, 0), **shape, proj="TAN", frame="galactic", axes=[axis])

    @cached_property
    def estimator(self):
        """gammapy's estimator of test statistics; its norm is the flux in `UNIT` if the exposures are `photons`."""
        from gammapy.estimators import TSMapEstimator
        from gammapy.maps import Map
        from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

        axis = self.geometry.axes["energy"]
        spectrum = PowerLawSpectralModel(index=INDEX, amplitude="1 cm-2 s-1 GeV-1", reference="1 GeV")
        estimator = TSMapEstimator(
            kernel_model=SkyModel(spatial_model=PointSpatialModel(), spectral_model=spectrum, name="point"),
            kernel_width=_WIDTH * u.deg,
            energy_edges=axis.edges[[0, -1]],
            sum_over_energy_groups=False,
            n_jobs=1,
        )
        part = self.geometry.to_odd_npix(max_radius=(self.kernel.shape[-1] // 2) * self.pixel * u.deg)
        kernel = Map.from_geom(part, data=self.kernel)
        # gammapy's own would be that of one point spread function for all bands, and be made anew for each map.
        estimator.estimate_kernel = lambda dataset: kernel
        unit = spectrum.integral(axis.edges[:-1], axis.edges[1:]).to_value("cm-2 s-1")
        return estimator, unit

    def statistic(self, counts: np.ndarray, background: np.ndarray, photons: np.ndarray) -> np.ndarray:
        """Return the map of the square root of the test statistic, shape (grid, grid); NaN where there is none."""
        from gammapy.datasets import MapDataset
        from gammapy.maps import Map

        estimator, unit = self.estimator
        geom = self.geometry
        true = geom.to_image().to_cube([geom.axes["energy"].copy(name="energy_true")])
        exposure = np.broadcast_to((photons / unit)[:, None, None], counts.shape)
        dataset = MapDataset(
            counts=Map.from_geom(geom, data=counts),
            background=Map.from_geom(geom, data=np.maximum(background, 1e-9)),
            exposure=Map.from_geom(true, data=np.array(exposure), unit="cm2 s"),
            mask_safe=Map.from_geom(geom, data=np.ones(counts.shape, bool)),
            name="patch",
        )
        return estimator.run(dataset)["sqrt_ts"].data[0]

    def image(self, x: float, y: float) -> np.ndarray:
        """Return the share of a source's photons in each pixel of the common grid; x, y in its pixels."""
        return np.stack(
            [
                _regridded(
                    profile.image(side, self.survey.width / side, *(on_grid(one, side, _GRID) for one in (x, y))), _GRID
                )
                for profile, side in zip(self.survey.profiles, self.survey.sides, strict=True)
            ]
        ).astype(float)


def true_background(field: PatchField, survey: Survey) -> list[np.ndarray]:
    """Return the expected counts of the diffuse emission in each band, as they are in truth."""
    return expected(field, survey)[0]


def other_background(field: PatchField, survey: Survey, patch: Patch, tracer: str) -> list[np.ndarray]:
    """Return the diffuse emission by another tracer, as an observer would take it.

    What is not resolved by tracers is not known, and the level of each band is that of the counts without the brightest
    pixels.
    """
    structure = np.ones_like(field.structure)
    assumed = replace(field, tracer=tracer, gas=1.0, smooth=1.0, structure=structure, sources=())
    return [_scaled(counts, one) for counts, one in zip(patch.counts, expected(assumed, survey)[0], strict=True)]


def ts_map(patch: Patch, known: Known, background: list[np.ndarray]) -> Table:
    """Find sources by rounds of maps of the test statistic.

    Parameters
    ----------
    patch : Patch
    known : Known
    background : list of numpy.ndarray
        Expected counts of the diffuse emission in the pixels of each band.

    Returns
    -------
    astropy.table.Table
        Columns are `COLUMNS`, the most significant first. Positions are maxima of a paraboloid through a peak and its
        neighbours; the errors are where it has fallen by one.
    """
    counts, diffuse = known.cube(patch.counts), known.cube(background)
    photons = known.photons(patch.lon, patch.lat)
    places: list[tuple[float, ...]] = []
    images = np.zeros((0, *counts.shape))
    fluxes = np.zeros(0)
    significance = None
    for lowest in ROUNDS:
        if significance is None:
            significance = known.statistic(counts, diffuse + np.tensordot(fluxes, images, 1), photons)
        new = _peaks(significance, max(lowest, THRESHOLD), _APART / known.pixel, places)
        if new:
            places += new
            drawn = [photons[:, None, None] * known.image(*place[:2]) for place in new]
            images = np.concatenate([images, drawn])
            fluxes = _fluxes(counts, diffuse, images, fluxes)
            significance = None
    return _told(patch, known, counts, diffuse, images, fluxes, places)


def _told(patch, known, counts, diffuse, images, fluxes, places) -> Table:
    """Return the table of what was found."""
    total = diffuse + np.tensordot(fluxes, images, 1)
    errors = _errors(counts, total, images)
    rows = []
    for number, (x, y, *spread) in enumerate(places):
        without = np.maximum(total - fluxes[number] * images[number], 1e-12)
        statistic = 2 * np.sum(counts * np.log(np.maximum(total, 1e-12) / without) - (total - without))
        score = float(np.sqrt(max(statistic, 0.0)))
        if score < THRESHOLD:
            continue
        at = [float(on_grid(one, SIDE, _GRID)) for one in (x, y)]
        lon, lat = (float(one) for one in patch_wcs(patch).all_pix2world(*at, 0))
        error = [float(one) * SIDE / _GRID for one in spread]
        rows.append((*at, *error, lon, lat, fluxes[number] * UNIT, errors[number] * UNIT, score, score))
    return table(sorted(rows, key=lambda row: -row[-1]))


def table(rows: list[tuple]) -> Table:
    """Return rows, in the order of `COLUMNS`, as a table with units, and ``cube``, the number of the patch, as 0."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    result = Table(
        {
            name: Column(values, dtype=float, unit=unit)
            for (name, unit), values in zip(COLUMNS.items(), columns, strict=True)
        }
    )
    result.add_column(np.zeros(len(rows), int), name="cube", index=0)
    return result


def _shares(bands) -> np.ndarray:
    """Return the photons in each band for one from 1 to 100 GeV, by a power law."""

    def integral(lowest: float, highest: float) -> float:
        return lowest ** (1 - INDEX) - highest ** (1 - INDEX)

    return np.array([integral(*band) for band in bands]) / integral(1.0, 100.0)


def _regridded(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image on a grid of another side: summed, or each pixel divided evenly."""
    own = len(image)
    if own >= side:
        block = own // side
        return image.reshape(side, block, side, block).sum(axis=(1, 3))
    block = side // own
    return np.repeat(np.repeat(image, block, 0), block, 1) / block**2


def _scaled(counts: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return a background at the level of the counts, without pixels that are bright."""
    used = np.ones(counts.shape, bool)
    scale = 1.0
    for _ in range(_FITS):
        scale = counts[used].sum() / max(background[used].sum(), 1e-9)
        level = np.maximum(scale * background, 1e-9)
        smooth = (ndimage.uniform_filter(one, 3, mode="nearest") for one in (counts - level, level))
        excess, expectation = smooth
        bright = excess / np.sqrt(expectation / 9) > _BRIGHT
        rest = ~ndimage.binary_dilation(bright, iterations=2)
        if rest.mean() < 0.2:
            break
        used = rest
    return scale * background


def _peaks(significance: np.ndarray, lowest: float, apart: float, places: list) -> list[tuple[float, ...]]:
    """Return x, y and their errors [pixel] of peaks of a map, away from each other and from known places."""
    filled = np.where(np.isfinite(significance), significance, -np.inf)
    peak = (filled == ndimage.maximum_filter(filled, 3)) & (filled >= lowest)
    rows, columns = np.nonzero(peak)
    found: list[tuple[float, ...]] = []
    for number in np.argsort(-filled[rows, columns]):
        row, column = rows[number], columns[number]
        near = [np.hypot(x - column, y - row) for x, y, *_ in (*found, *places)]
        if not near or min(near) >= apart:
            found.append(_summit(filled, row, column))
    return found


def _summit(significance: np.ndarray, row: int, column: int) -> tuple[float, float, float, float]:
    """Return x and y of the maximum around a peak of the test statistic, and their errors; NaN where not known."""
    around = significance[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    if around.shape != (3, 3) or not np.isfinite(around).all():
        return float(column), float(row), np.nan, np.nan
    around = np.sign(around) * around**2
    place, spread = [], []
    for profile, at in ((around.mean(axis=0), column), (around.mean(axis=1), row)):
        bend = profile[0] - 2 * profile[1] + profile[2]
        curved = bend < 0
        place.append(at + (np.clip((profile[0] - profile[2]) / (2 * bend), -0.7, 0.7) if curved else 0.0))
        spread.append(float(np.sqrt(-2 / bend)) if curved else np.nan)
    return float(place[0]), float(place[1]), spread[0], spread[1]


def _fluxes(counts: np.ndarray, diffuse: np.ndarray, images: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the fluxes of sources, from zero, that make the Poisson likelihood of all pixels the largest."""
    model = images.reshape(len(images), -1)
    seen, level = counts.ravel(), np.maximum(diffuse.ravel(), 1e-9)
    sums = model.sum(axis=1)
    first = np.concatenate([start, np.full(len(images) - len(start), 0.5)])

    def negative(fluxes):
        total = level + fluxes @ model
        return np.sum(total - seen * np.log(total)), sums - model @ (seen / total)

    found = optimize.minimize(negative, first, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(images))
    return found.x


def _errors(counts: np.ndarray, total: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the errors of the fluxes from the curvature of the likelihood."""
    if not len(images):
        return np.zeros(0)
    model = images.reshape(len(images), -1)
    weighted = model * (np.maximum(counts, 0.0).ravel() / np.maximum(total.ravel(), 1e-9) ** 2)
    curvature = weighted @ model.T + 1e-9 * np.eye(len(images))
    return np.sqrt(np.maximum(np.diag(np.linalg.pinv(curvature)), 0))
