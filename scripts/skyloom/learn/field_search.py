"""The search for diffuse emission in a radio image: a map of probabilities, its islands, and the kind of the field."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import keras
import numpy as np
from scipy import ndimage
from skimage import measure
from skimage.morphology import h_maxima
from skimage.segmentation import relabel_sequential, watershed

from ..detect.local_noise import LocalNoise, local_noise
from ..images.radio_fields import RadioField, binned
from .field_tables import BEAM, ISLAND, OUTPUTS
from .predict import outputs
from .running import Stages, of_size
from .runtimes import Runner

STEP = 32
"""Sides of tiles are multiples of it, as the networks halve an image up to five times."""
COMPACT, RISE, GROWN = 5.0, 0.7, 1.0
"""What stands out of the median around it by so many times the noise, and by this share of the median, is compact; and
so is what lies this near to it [beam]."""
AROUND, ALONG = 3.0, 7.0
"""Diameter of the region of that median, and length of the lines along which what is narrow may be long [beam]."""
KIND_SIDE, KIND_VIEW = 64, 3.0
"""Pixels of the part of the field that its kind is told by, and how wide it is [R500]."""
UNCERTAIN = 0.1
"""Share of the light of compact sources by which what is left after their subtraction is uncertain."""
SMOOTHED, TRUNCATED = (5.0, 12.0, 28.0), 3.0
"""FWHM of the kernels that networks see the image smoothed with [networks' pixel], and standard deviations at which
they end."""
CLIPPED = 3.0
"""S/N to which pixels are clipped before, so that a compact source does not hide what is around it."""
SOFT, VALLEY = 2.0, 3.0
"""Standard deviation that light is smoothed with before islands are split [networks' pixel]; and how many times as
bright as the valley between them two sources of one island are."""
SIGNALS = 1 + len(SMOOTHED)
"""Channels that are S/N; the one after them is the distance from the cluster."""
FAR, UNKNOWN = 4.0, -1.0
"""Distance beyond which all are the same [R500], and what stands for that from a cluster which is not known."""
LOG_LIMITS = (1e-7, 1e-2)
"""Ends of the published stretch [Jy/beam]."""
_ODDS = 1e-5
_FWHM = math.sqrt(8 * math.log(2))


@dataclass(frozen=True)
class Scaled:
    """An image in networks' pixels.

    Attributes
    ----------
    image : numpy.ndarray, shape (height, width), float32
        Jy/beam, NaN where not observed.
    noise : LocalNoise
        Of that image.
    binning : int
        Pixels of the field that are one of these, along each axis.
    pixel : float
        Side of one [arcsec].
    beam_area : float
        Solid angle of the beam in these pixels; below one if they are larger.
    cluster : tuple of float, optional
        x, y and R500 of the cluster in these pixels.
    """

    image: np.ndarray
    noise: LocalNoise
    binning: int
    pixel: float
    beam_area: float
    cluster: tuple[float, float, float] | None = None

    @property
    def beam(self) -> float:
        """FWHM of a round beam of the same area in these pixels; that of a beam of one pixel if it is smaller."""
        return math.sqrt(max(self.beam_area, 1) * 4 * math.log(2) / math.pi)

    def to_field(self, value):
        """Return a coordinate in pixels of the field."""
        return value * self.binning + (self.binning - 1) / 2

    def from_field(self, value):
        """Return a coordinate in these pixels."""
        return (value - (self.binning - 1) / 2) / self.binning


def binning_of(field: RadioField, pixel: float) -> int:
    """Return how many pixels of a field are one of the networks', which is nearly `pixel` arcsec, or finer than a beam.

    So emission has about as many pixels in images of all surveys, and compact sources as few as their beam allows.
    """
    wanted = max(pixel, math.sqrt(field.beam[0] * field.beam[1]) / BEAM)
    return max(1, round(wanted / field.pixel))


def scaled(field: RadioField, settings) -> Scaled:
    """Return a field in networks' pixels, without its compact sources if ``settings.subtract``.

    Parameters
    ----------
    field : RadioField
    settings : skyloom.cases.diffuse_radio.Search
        `pixel` and `subtract` are used.

    Raises
    ------
    ValueError
        If the image has no noise, or is smaller than a pixel of the networks.
    """
    binning = binning_of(field, settings.pixel)
    image = binned(field.image, binning)
    if not image.size:
        raise ValueError("the image is smaller than one pixel of the networks")
    one = Scaled(image, local_noise(image), binning, field.pixel * binning, field.beam_area / binning**2)
    if field.cluster:
        x, y = one.from_field(field.cluster.x), one.from_field(field.cluster.y)
        one = replace(one, cluster=(x, y, field.cluster.r500 / binning))
    return replace(one, image=without_compact(one)) if settings.subtract else one


def without_compact(one: Scaled, rows: slice | None = None, columns: slice | None = None) -> np.ndarray:
    """Return the image, or a part of it, with what is compact replaced by the median around it, float32.

    A pixel is compact if it stands out of the median of its surroundings, which are `AROUND` beams wide, by `COMPACT`
    times the noise and by the share `RISE` of the median: the curved top of a bright halo does not. It must stand out
    so of the median along any line through it, too: a narrow relic does not stand out of the one along itself.
    """
    height, width = one.image.shape
    rows, columns = rows or slice(0, height), columns or slice(0, width)
    size = max(5, 2 * math.ceil(AROUND * one.beam / 2) + 1)
    result = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    left, right = max(columns.start - 2 * size, 0), min(columns.stop + 2 * size, width)
    for start in range(rows.start, rows.stop, 256):
        stop = min(start + 256, rows.stop)
        low, high = max(start - 2 * size, 0), min(stop + 2 * size, height)
        part = np.nan_to_num(one.image[low:high, left:right])
        level = ndimage.median_filter(part, size, mode="nearest")
        noise = one.noise.of(slice(low, high), slice(left, right))
        bright = part - level > np.maximum(COMPACT * noise, RISE * level)
        compact = bright.copy()
        if bright.any():
            along = _medians_along(part, bright, round(ALONG * one.beam))
            compact[bright] = part[bright] - along > np.maximum(COMPACT * noise[bright], RISE * along)
        compact = ndimage.binary_dilation(compact, iterations=max(1, round(GROWN * one.beam)))
        # The median is taken again of what is not compact: crowded sources raise it.
        if compact.any():
            level = _mean_around(part, ~compact, size, level)
        kept = np.where(compact, level, one.image[low:high, left:right])
        inside = slice(start - low, stop - low), slice(columns.start - left, columns.stop - left)
        result[start - rows.start : stop - rows.start] = kept[inside]
    return result


def _medians_along(image: np.ndarray, where: np.ndarray, size: int) -> np.ndarray:
    """Return the largest of the medians along eight lines, `size` pixels long, through each of some pixels; (n,)."""
    half = max(2, size // 2)
    y, x = np.nonzero(where)
    step = np.arange(-half, half + 1)
    padded = np.pad(image, half, mode="edge")
    result = np.full(len(y), -np.inf, np.float32)
    for angle in np.arange(8) * math.pi / 8:
        up, right = (np.rint(turned * step).astype(int) for turned in (math.sin(angle), math.cos(angle)))
        values = padded[y[:, None] + half + up, x[:, None] + half + right]
        np.maximum(result, np.median(values, axis=1), out=result)
    return result


def _mean_around(image: np.ndarray, free: np.ndarray, size: int, otherwise: np.ndarray) -> np.ndarray:
    """Return the mean of the free pixels around each pixel."""
    share = ndimage.uniform_filter(free.astype(np.float32), size, mode="nearest")
    total = ndimage.uniform_filter(np.where(free, image, 0).astype(np.float32), size, mode="nearest")
    return np.where(share > 0.05, total / np.maximum(share, 1e-6), otherwise)


def network_input(one: Scaled, rows: slice, columns: slice, stretch: str = "asinh") -> np.ndarray:
    """Return what a network is given of a part of an image, float32; 0 beyond its edges.

    Parameters
    ----------
    one : Scaled
    rows, columns : slice
        They may reach beyond the image at the far edges.
    stretch : {"asinh", "log"}
        The inverse hyperbolic sine of the S/N, which is the same for any survey; or the published one, the logarithm
        between `LOG_LIMITS` as 0 to 1, for which an image must be as deep as those it was trained on.

    Returns
    -------
    numpy.ndarray, shape (height, width, channels)
        With ``asinh`` `SIGNALS` channels of S/N, of the image and of the image smoothed with each of the `SMOOTHED`
        kernels, in which faint emission is seen that no pixel shows; and the distance from the cluster in units of its
        R500, `FAR` at most, or `UNKNOWN`: a relic and a lobe look the same, but not everywhere. One with ``log``.
    """
    height, width = one.image.shape
    inside = slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))
    if stretch == "log":
        low, high = np.log10(LOG_LIMITS)
        given = (np.log10(np.maximum(np.nan_to_num(one.image[inside]), LOG_LIMITS[0])) - low) / (high - low)
        given = np.clip(given, 0, 1)[..., None]
    else:
        signal = [np.nan_to_num(one.image[inside] / one.noise.of(*inside)), *_smoothed(one, *inside)]
        given = np.stack([*np.arcsinh(signal), _distance(one, *inside)], axis=-1)
    result = np.zeros((rows.stop - rows.start, columns.stop - columns.start, given.shape[-1]), np.float32)
    result[: given.shape[0], : given.shape[1]] = given
    return result


def _distance(one: Scaled, rows: slice, columns: slice) -> np.ndarray:
    """Return the distance of the pixels of a part of an image from the cluster, in units of its R500."""
    shape = rows.stop - rows.start, columns.stop - columns.start
    if one.cluster is None:
        return np.full(shape, UNKNOWN)
    x, y, r500 = one.cluster
    up, right = (np.arange(part.start, part.stop) for part in (rows, columns))
    return np.minimum(np.hypot((up - y)[:, None], right - x) / r500, FAR)


def _smoothed(one: Scaled, rows: slice, columns: slice) -> list[np.ndarray]:
    """Return the S/N of a part of an image smoothed with each of the `SMOOTHED` kernels.

    The noise is that of an image whose noise is correlated by its beam, or by a pixel if that is larger: for a beam of
    FWHM b and a kernel of FWHM k it falls by b / sqrt(b^2 + k^2).
    """
    reach = math.ceil(max(SMOOTHED) / _FWHM * TRUNCATED) + 1
    wider = [
        slice(max(part.start - reach, 0), min(part.stop + reach, side))
        for part, side in zip((rows, columns), one.image.shape, strict=True)
    ]
    own = tuple(
        slice(part.start - wide.start, part.stop - wide.start)
        for part, wide in zip((rows, columns), wider, strict=True)
    )
    snr = np.clip(one.image[tuple(wider)] / one.noise.of(*wider), -CLIPPED, CLIPPED)
    seen = np.isfinite(snr)
    snr = np.where(seen, snr, 0)
    result = []
    for kernel in SMOOTHED:
        sigma = kernel / _FWHM
        total = ndimage.gaussian_filter(snr, sigma, mode="constant", truncate=TRUNCATED)[own]
        # Beyond the edge, and where nothing was observed, there is no noise either.
        share = ndimage.gaussian_filter(seen.astype(np.float32), sigma, mode="constant", truncate=TRUNCATED)[own]
        total /= np.maximum(share, 0.1)
        result.append(np.where(seen[own], total * (math.hypot(one.beam, kernel) / one.beam), 0))
    return result


def probability_map(one: Scaled, network: keras.Model | Runner, settings) -> np.ndarray:
    """Return how likely each pixel is part of diffuse emission, float32, NaN where not observed.

    The image is seen in tiles that overlap, row by row, and what they say is blended, so that there is neither a seam
    nor an edge without a value, and an image of any size needs little memory.

    Parameters
    ----------
    one : Scaled
    network : keras.Model or skyloom.learn.runtimes.Runner
        With the role ``map``.
    settings : skyloom.cases.diffuse_radio.Search
        `tile`, `margin` and `blend` are used [networks' pixel]: the side of a tile, what is thrown away at those of its
        edges that are not the image's, and over how many pixels beside that two tiles are blended. If the network does
        not see farther than the margin, the result is the same for all tilings.
    """
    height, width = one.image.shape
    plans = [tiling(side, settings.tile, settings.margin, settings.blend) for side in (height, width)]
    weights = [_total(plan, side) for plan, side in zip(plans, (height, width), strict=True)]
    result = np.zeros((height, width), np.float32)
    for rows in plans[0]:
        for columns in plans[1]:
            tile = network_input(one, rows.read, columns.read, settings.stretch)[None]
            given = outputs(of_size(network, tile.shape[1:]), tile, batch_size=1)[0, ..., 0]
            taken = given[rows.inner(height), columns.inner(width)]
            weight = rows.weight(height)[:, None] * columns.weight(width)
            result[rows.outer(height), columns.outer(width)] += taken * weight
    for start in range(0, height, 256):
        part = slice(start, start + 256)
        result[part] /= weights[0][part, None] * weights[1]
        result[part][~np.isfinite(one.image[part])] = np.nan
    return result


@dataclass(frozen=True)
class Span:
    """A tile along one axis: what it reads, and which of its pixels count and how much.

    Attributes
    ----------
    read : slice
        Pixels of the image; they may reach beyond it at the far end.
    start, stop : int
        First pixel that counts, and the one after the last.
    rise, fall : int
        Pixels over which its weight rises from 0 at the start and falls to 0 at the end; 0 at an edge of the image.
    """

    read: slice
    start: int
    stop: int
    rise: int
    fall: int

    def outer(self, side: int) -> slice:
        """Return where in the image its pixels are that count."""
        return slice(self.start, min(self.stop, side))

    def inner(self, side: int) -> slice:
        """Return where in the tile its pixels are that count."""
        return slice(self.start - self.read.start, min(self.stop, side) - self.read.start)

    def weight(self, side: int) -> np.ndarray:
        """Return the weights of the pixels that count, float32."""
        place = np.arange(self.start, min(self.stop, side)) + 0.5
        rising = np.clip((place - self.start) / self.rise, 0, 1) if self.rise else 1.0
        falling = np.clip((self.stop - place) / self.fall, 0, 1) if self.fall else 1.0
        return (np.ones(len(place)) * _smooth(rising) * _smooth(falling)).astype(np.float32)


def _smooth(share):
    """Return 0 to 1 for 0 to 1, with no kink at either end."""
    return share * share * (3 - 2 * np.asarray(share))


def tiling(side: int, tile: int, margin: int, blend: int) -> list[Span]:
    """Return the tiles along one axis of an image, of which every pixel is in one or two.

    Parameters
    ----------
    side : int
        Of the image [pixel].
    tile : int
        Side of a tile, a multiple of `STEP`; a smaller image is one tile.
    margin, blend : int
        See `probability_map`; the sum of both is less than half a tile.

    Raises
    ------
    ValueError
        If margin and blending leave nothing of a tile.
    """
    whole = -(-side // STEP) * STEP
    if whole <= tile:
        return [Span(slice(0, whole), 0, whole, 0, 0)]
    stride = (tile - 2 * margin - blend) // STEP * STEP
    if stride < max(2 * blend, 1):
        raise ValueError(f"a tile of {tile} pixels has none left inside a margin of {margin} and a blend of {blend}")
    count = -(-(whole - tile) // stride) + 1
    starts = np.linspace(0, (whole - tile) // STEP, count).round().astype(int) * STEP
    spans = []
    for number, start in enumerate(starts.tolist()):
        first, last = number == 0, number == count - 1
        low, high = start + (0 if first else margin), start + tile - (0 if last else margin)
        spans.append([slice(start, start + tile), low, high])
    # Tiles overlap by more than is blended: a tile ends where the next one has its full weight.
    for before, after in zip(spans[:-1], spans[1:], strict=True):
        before[2] = min(before[2], after[1] + max(blend, 1))
    result = []
    for number, (read, low, high) in enumerate(spans):
        rise = spans[number - 1][2] - low if number else 0
        fall = high - spans[number + 1][1] if number < len(spans) - 1 else 0
        result.append(Span(read, low, high, rise, fall))
    return result


def _total(plan: list[Span], side: int) -> np.ndarray:
    """Return the sum of the tiles' weights at each pixel."""
    total = np.zeros(side, np.float32)
    for span in plan:
        total[span.outer(side)] += span.weight(side)
    return total


@dataclass(frozen=True)
class Found:
    """What a search makes of a field.

    Attributes
    ----------
    scaled : Scaled
        The image that was searched.
    probability : numpy.ndarray, shape (height, width)
        Of its pixels (`probability_map`).
    islands : numpy.ndarray, shape (height, width), int32
        Number of the island that each pixel is part of, from 1; 0 for none.
    rows : list of dict
        The field, then one an island (`COLUMNS`).
    """

    scaled: Scaled
    probability: np.ndarray
    islands: np.ndarray
    rows: list[dict]


def search_field(field: RadioField, networks: dict[str, keras.Model | Runner], settings, stages: Stages) -> Found:
    """Search a radio image for diffuse emission.

    Parameters
    ----------
    field : RadioField
        Its mask is not read.
    networks : dict of str to keras.Model or skyloom.learn.runtimes.Runner
        ``map``, and ``kind`` if the field is to be told by kind.
    settings : skyloom.cases.diffuse_radio.Search
    stages : Stages
        Counts the seconds.

    Returns
    -------
    Found
        Its first row, of ``island`` 0, tells of the field, and what was measured of its island of the highest S/N, or
        0: region_mean, the mean probability in the box of 2 R500 around the cluster, and the log odds that the network
        with the role ``kind`` gives (`OUTPUTS`). Each row of an island has them as well.

    Raises
    ------
    ValueError
        If the image has no noise.
    """
    now = time.perf_counter()
    one = scaled(field, settings)
    now = stages.add("scale", now)
    probability = probability_map(one, networks["map"], settings)
    stages.add("map", now)
    return found_in(field, one, probability, networks.get("kind"), settings, stages)


def found_in(
    field: RadioField, one: Scaled, probability: np.ndarray, kind: keras.Model | Runner | None, settings, stages: Stages
) -> Found:
    """Return what there is in a map of probabilities: the second half of `search_field`.

    Parameters
    ----------
    field : RadioField
    one : Scaled
        Of the field.
    probability : numpy.ndarray, shape (height, width)
        Of its pixels.
    kind : keras.Model or skyloom.learn.runtimes.Runner, optional
        The network that tells kinds of fields.
    settings : skyloom.cases.diffuse_radio.Search
        `level`, `least_area` and `flux_scale` are used.
    stages : Stages
    """
    now = time.perf_counter()
    islands, count = find_islands(one, probability, settings)
    boxes = ndimage.find_objects(islands, count) if count else []
    rows = [
        measured(field, one, probability, islands, number, box, settings) for number, box in enumerate(boxes, start=1)
    ]
    now = stages.add("islands", now)
    cluster = place_of(field, one, rows)
    whole = {"region_mean": region_mean(probability, *cluster)}
    odds = kind_odds(kind_input(one, probability, *cluster), kind)
    whole |= {f"odds_{name}": value for name, value in zip(OUTPUTS, odds, strict=True)}
    stages.add("kind", now)
    strongest = max(rows, key=lambda row: row["snr"], default={})
    summary = {name: strongest.get(name, 0.0) for name in ISLAND}
    summary |= {"island": 0, "x": one.to_field(cluster[0]), "y": one.to_field(cluster[1])}
    return Found(one, probability, islands, [{**row, **whole} for row in [summary, *rows]])


def find_islands(one: Scaled, probability: np.ndarray, settings) -> tuple[np.ndarray, int]:
    """Return the islands of a map of probabilities, numbered from 1, and how many; one of several sources is split.

    Parameters
    ----------
    one : Scaled
    probability : numpy.ndarray, shape (height, width)
    settings : skyloom.cases.diffuse_radio.Search
        `level` and `least_area` are used.
    """
    least = settings.least_area * max(one.beam_area, 1)
    islands, count = label_islands(probability, settings.level, least)
    for number, box in enumerate(ndimage.find_objects(islands, count) if count else [], start=1):
        inside = islands[box] == number
        if inside.sum() < 2 * least:
            continue
        parts = split_island(inside, np.nan_to_num(without_compact(one, *box) / one.noise.of(*box)), least)
        for extra in range(2, parts.max() + 1):
            count += 1
            islands[box][parts == extra] = count
    return islands, count


def split_island(inside: np.ndarray, snr: np.ndarray, least: float) -> np.ndarray:
    """Return the parts of an island that are sources of their own, such as a halo and the relic that touches it.

    Parameters
    ----------
    inside : numpy.ndarray of bool, shape (height, width)
        The island.
    snr : numpy.ndarray, shape (height, width)
        Light without compact sources, over the noise.
    least : float
        Area of a part at least [pixel].

    Returns
    -------
    numpy.ndarray of int, shape (height, width)
        From 1, 0 beyond the island. The light, smoothed by `SOFT` pixels, has a peak in each part that is `VALLEY`
        times as bright as the way from there to a brighter one.
    """
    soft = ndimage.gaussian_filter(np.where(inside, snr, 0), SOFT) / np.maximum(
        ndimage.gaussian_filter(inside.astype(float), SOFT), 0.05
    )
    height = np.where(inside, np.log(np.maximum(soft, 0.3)), -9.0)
    tops = measure.label(h_maxima(height, math.log(VALLEY)), connectivity=2)
    tops[~inside] = 0
    while True:
        parts = watershed(-height, tops, mask=inside) if tops.any() else inside.astype(int)
        sizes = np.bincount(parts.ravel())[1:]
        small = np.flatnonzero(sizes < least) + 1
        if not small.size or len(sizes) == 1:
            return parts
        # Without the top of the smallest one, it is part of its neighbour.
        tops[tops == small[np.argmin(sizes[small - 1])]] = 0
        tops = relabel_sequential(tops)[0]


def label_islands(probability: np.ndarray, level: float, least: float) -> tuple[np.ndarray, int]:
    """Return the islands of pixels above a probability, of `least` pixels and more, numbered from 1; and how many."""
    labels, count = ndimage.label(probability >= level, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    kept = sizes >= least
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[labels], int(kept.sum())


def measured(
    field: RadioField,
    one: Scaled,
    probability: np.ndarray,
    islands: np.ndarray,
    number: int,
    box: tuple[slice, slice],
    settings,
) -> dict:
    """Return what is measured of the island with this number, all of which lies in the box of rows and columns.

    Returns
    -------
    dict
        x, y (middle of its light [pixel of the field]), flux (less compact sources) and its error, of the noise, the
        flux scale and that subtraction [Jy], peak [Jy/beam],
        las (largest angular size [arcsec]), major and minor (FWHM of a Gaussian with its moments [arcsec]), pa
        (position angle [deg]), elongation (minor over major axis), area [beam], distance from the cluster [arcsec] and
        in units of its R500 (NaN where not known), aligned (1 if it lies across the line to the cluster's centre, -1 if
        along), concentration (share of the flux in the half of its pixels nearest to the middle), mean_probability,
        peak_probability, brightness (mean, in units of the noise), snr of the flux, rms [Jy/beam].
    """
    rows, columns = box
    inside = islands[rows, columns] == number
    y, x = np.nonzero(inside)
    light = np.nan_to_num(without_compact(one, rows, columns))[inside]
    subtracted = abs(float(np.nan_to_num(one.image[rows, columns])[inside].sum() - light.sum())) / one.beam_area
    noise = one.noise.of(rows, columns)[inside]
    flux = float(light.sum()) / one.beam_area
    # Noise that a Gaussian beam has smoothed is correlated over a Gaussian of twice its area; pixels may be larger.
    noise_of_sum = float(np.sqrt((noise**2).sum() * max(2 * one.beam_area, 1))) / one.beam_area
    weight = np.maximum(light, 0) + 1e-3 * noise
    middle_x, middle_y = float(np.average(x, weights=weight)), float(np.average(y, weights=weight))
    las, major, minor, pa = _extent(x, y, weight)
    elongation = minor / major
    place_x, place_y = middle_x + columns.start, middle_y + rows.start
    near = np.hypot(x - middle_x, y - middle_y)
    core = near <= np.median(near)
    chances = probability[rows, columns][inside]
    result = {
        "island": number,
        "x": one.to_field(place_x),
        "y": one.to_field(place_y),
        "flux": flux,
        "flux_error": math.hypot(noise_of_sum, settings.flux_scale * flux, UNCERTAIN * subtracted),
        "peak": float(light.max()),
        "las": las * one.pixel,
        "major": major * one.pixel,
        "minor": minor * one.pixel,
        "pa": pa,
        "elongation": elongation,
        "area": float(inside.sum()) / one.beam_area,
        "distance": math.nan,
        "distance_r500": math.nan,
        "aligned": 0.0,
        "concentration": float(np.maximum(light[core], 0).sum() / max(np.maximum(light, 0).sum(), 1e-30)),
        "mean_probability": float(chances.mean()),
        "peak_probability": float(chances.max()),
        "brightness": float(np.mean(light / noise)),
        "snr": flux / noise_of_sum,
        "rms": float(np.median(noise)),
    }
    if field.cluster:
        across, along = result["x"] - field.cluster.x, result["y"] - field.cluster.y
        distance = math.hypot(across, along)
        radial = math.atan2(-across, along)
        result["distance"] = distance * field.pixel
        result["distance_r500"] = distance / field.cluster.r500
        result["aligned"] = -math.cos(2 * (math.radians(pa) - radial)) * (1 - elongation)
    return result


def _extent(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float, float, float]:
    """Return the largest distance of pixels, the FWHM of both axes, and the position angle [deg, North to East]."""
    from scipy.spatial import ConvexHull, QhullError
    from scipy.spatial.distance import pdist

    points = np.stack([x, y], axis=1).astype(float)
    if len(points) > 3:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all in one line
            points = points[[np.lexsort((y, x))[0], np.lexsort((y, x))[-1]]]
    largest = float(pdist(points).max()) + 1 if len(points) > 1 else 1.0
    # A pixel has an extent of its own, a twelfth of its squared side.
    xx, yy, xy = np.cov(x, y, aweights=weight).ravel()[[0, 3, 1]] if len(x) > 1 else (0.0, 0.0, 0.0)
    xx, yy = xx + 1 / 12, yy + 1 / 12
    half, spread = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    angle = 0.5 * math.atan2(2 * xy, xx - yy)  # of the major axis, from West to North
    pa = math.degrees(math.atan2(-math.cos(angle), math.sin(angle))) % 180
    major, minor = (math.sqrt(8 * math.log(2) * max(one, 1e-6)) for one in (half + spread, half - spread))
    return largest, major, minor, pa


def place_of(field: RadioField, one: Scaled, islands: list[dict]) -> tuple[float, float, float]:
    """Return x, y and R500 of the field's cluster in networks' pixels.

    Without one, the island of the highest S/N stands in, whose extent is about a cluster's R500 if it is a halo; and
    without an island, the middle of the field.
    """
    if one.cluster:
        return one.cluster
    height, width = one.image.shape
    if not islands:
        return (width - 1) / 2, (height - 1) / 2, min(height, width) / 4
    best = max(islands, key=lambda row: row["snr"])
    return one.from_field(best["x"]), one.from_field(best["y"]), best["las"] / one.pixel


def region_mean(probability: np.ndarray, x: float, y: float, r500: float) -> float:
    """Return the mean probability in the box of side 2 R500 around a cluster, as published; NaN if not observed."""
    height, width = probability.shape
    rows, columns = (
        slice(max(0, math.floor(middle - r500 + 0.5)), min(side, math.ceil(middle + r500 + 0.5)))
        for middle, side in ((y, height), (x, width))
    )
    part = probability[rows, columns]
    seen = part[np.isfinite(part)]
    return float(seen.mean()) if seen.size else math.nan


def kind_input(one: Scaled, probability: np.ndarray, x: float, y: float, r500: float) -> np.ndarray:
    """Return what the network with the role ``kind`` is given, (KIND_SIDE, KIND_SIDE, 4), float32.

    The surroundings of a cluster, always as many R500 wide: means of the probability, and of the S/N as the inverse
    hyperbolic sine, what share was observed, and the distance from the cluster [R500].
    """
    edges = (np.arange(KIND_SIDE + 1) / KIND_SIDE - 0.5) * KIND_VIEW * r500
    rows, columns = (
        slice(max(0, math.floor(middle + edges[0]) - 1), min(side, math.ceil(middle + edges[-1]) + 2))
        for middle, side in ((y, probability.shape[0]), (x, probability.shape[1]))
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return np.zeros((KIND_SIDE, KIND_SIDE, 4), np.float32)
    seen = np.isfinite(probability[rows, columns])
    snr = np.arcsinh(np.nan_to_num(one.image[rows, columns] / one.noise.of(rows, columns)))
    planes = np.stack([np.nan_to_num(probability[rows, columns]), np.where(seen, snr, 0), seen], axis=-1)
    corners = [edges + middle - part.start + 0.5 for middle, part in ((y, rows), (x, columns))]
    given = _means(planes, *corners)
    share = given[..., 2:]
    given[..., :2] *= np.where(share > 0.01, 1 / np.maximum(share, 0.01), 0)
    line = ((np.arange(KIND_SIDE) + 0.5) / KIND_SIDE - 0.5) * KIND_VIEW
    return np.concatenate([given, np.hypot(line[:, None], line)[..., None]], axis=-1).astype(np.float32)


def _means(planes: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the means of planes (height, width, n) over boxes whose edges lie at any place [pixel]; 0 beyond."""
    for axis, edges in ((0, y), (1, x)):
        side = planes.shape[axis]
        total = np.concatenate([np.zeros_like(np.take(planes, [0], axis)), np.cumsum(planes, axis, float)], axis)
        place = np.clip(edges, 0, side)
        first = np.minimum(place.astype(int), side - 1)
        share = np.expand_dims(place - first, tuple(other for other in range(3) if other != axis))
        at = np.take(total, first, axis) * (1 - share) + np.take(total, first + 1, axis) * share
        planes = np.diff(at, axis=axis) / (edges[1] - edges[0])
    return planes


def kind_odds(given: np.ndarray, network: keras.Model | Runner | None) -> list[float]:
    """Return the log odds of `OUTPUTS`, NaN without a network."""
    if network is None:
        return [math.nan] * len(OUTPUTS)
    share = np.clip(outputs(network, given[None], batch_size=1)[0].astype(float), _ODDS, 1 - _ODDS)
    return np.log(share / (1 - share)).tolist()


def tiles_of(one: Scaled, side: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of tiles that together cover an image; the last ones are shifted so that nothing is lost.

    Of an image that is smaller than a tile, it is one that reaches beyond.
    """
    starts = [
        np.linspace(0, max(0, length - side), max(1, -(-length // side))).round().astype(int)
        for length in one.image.shape
    ]
    for y in starts[0].tolist():
        for x in starts[1].tolist():
            yield slice(y, y + side), slice(x, x + side)
