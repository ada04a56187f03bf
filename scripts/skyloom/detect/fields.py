"""Everything about one image at once: its objects, their measurements and their cutouts."""

from dataclasses import dataclass

import numpy as np

from ..images.cutout import Cutout, kernel_width, native_cutout, scaled_cutout, smoothed_snr
from ..images.fits import Image, UnusableImage
from .measure import Measurement, measure
from .noise import noise_map
from .segments import find_segments, grown


@dataclass(frozen=True)
class FieldObject:
    """One object of a field with its cutouts."""

    measurement: Measurement
    native: Cutout
    scaled: Cutout
    wide: Cutout
    observed_fraction: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class FieldObjects:
    """The objects of a field, highest S/N first, the number of all segments, and the field's median noise [Jy/beam]."""

    objects: list[FieldObject]
    segment_count: int
    rms: float


def field_objects(
    image: Image,
    side: int,
    detect_snr: float,
    grow_snr: float,
    largest_count: int,
    view: float,
    smallest_view: float,
    wide: float,
) -> FieldObjects:
    """Find, measure and cut out the objects of an image.

    The native cutout shows an object at the archive's pixels. The scaled one is `view` object sizes wide, so that
    near and far discs look alike, and the wide one shows `wide` times as much: the arm of Serpens South C7 reaches ten
    times as far as its core, the faint walls of B335 thirty times. None is wider than the image, which would only add
    padding.

    Parameters
    ----------
    image : Image
    side : int
        Width of the cutouts [pixel].
    detect_snr, grow_snr : float
        Thresholds of the segmentation.
    largest_count : int
        At most this many objects, highest S/N first.
    view : float
        Width of the scaled cutout in object sizes.
    smallest_view : float
        And at least this many beams.
    wide : float
        Width of the wide cutout in scaled ones.

    Raises
    ------
    UnusableImage
        If the image has no noise to compare with.
    """
    try:
        rms = noise_map(image.data, image.beam_area)
    except ValueError as error:
        raise UnusableImage("The pixels are constant or too few: there is no noise to compare with.") from error
    snr = image.data / rms
    beam = image.beam.in_pixels(image.pixel_scale)
    segments, blended = find_segments(snr, detect_snr, grow_snr, image.beam_area)
    whole = grown(segments, beam[1])
    free = (whole == 0) & np.isfinite(snr)
    widest = _observed_width(free | (whole > 0))
    smooth: dict[float, np.ndarray] = {}

    def scaled(x: float, y: float, width: float) -> Cutout:
        step = min(width, widest) / side
        kernel = kernel_width(step, beam)
        if kernel not in smooth:
            smooth[kernel] = smoothed_snr(snr, free, beam, kernel)
        return scaled_cutout(smooth[kernel], image.wcs, beam, kernel, x, y, step, side)

    objects = []
    for label in range(1, min(len(blended), largest_count) + 1):
        one = measure(image, rms, whole, label)
        native = native_cutout(image.data, image.wcs, beam, one.x, one.y, side)
        width = max(view * one.size / image.pixel_scale, smallest_view * np.sqrt(beam[0] * beam[1]))
        near, far = scaled(one.x, one.y, width), scaled(one.x, one.y, wide * width)
        fraction = float(np.isfinite(native.data).mean())
        flags = ("edge",) * one.edge + ("blended",) * bool(blended[label - 1]) + ("partial",) * (fraction < 0.5)
        objects.append(FieldObject(one, native, near, far, fraction, flags))
    return FieldObjects(objects, len(blended), float(np.nanmedian(rms)))


def _observed_width(observed: np.ndarray) -> int:
    """The longer side of the box around the observed pixels."""
    return max(int(np.ptp(np.nonzero(observed.any(axis=axis))[0])) + 1 for axis in (0, 1))
