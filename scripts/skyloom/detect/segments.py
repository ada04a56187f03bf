"""Where the objects of an image are: connected pixels above the noise, parted where two sources touch."""

import warnings

import numpy as np
from photutils.segmentation import detect_sources
from photutils.utils.exceptions import NoDetectionsWarning
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import expand_labels, relabel_sequential, watershed


def find_segments(
    snr: np.ndarray, detect_snr: float, grow_snr: float, beam_area: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments of all objects of an image.

    A segment is what is connected above `grow_snr`, at least half a beam large, and reaches `detect_snr`.
    It is parted where a second source stands on it: a peak that is more than twice as high as the saddle
    between it and a higher one, and `detect_snr` more. Arms, walls and rings do not rise like this above the
    bridge that connects them with the disc, so they stay one object with it, and what a ring encloses belongs to it.

    Parameters
    ----------
    snr : numpy.ndarray, shape (height, width)
        Image divided by its noise, NaN where not observed.
    detect_snr, grow_snr : float
        Thresholds.
    beam_area : float
        Solid angle of the beam [pixel].

    Returns
    -------
    segments : numpy.ndarray of int, shape (height, width)
        0 for none; 1 to n for the objects, highest S/N first.
    blended : numpy.ndarray of bool, shape (n,)
        Whether the object was parted from another.
    """
    filled = np.nan_to_num(snr, nan=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = detect_sources(filled, grow_snr, n_pixels=max(3, round(beam_area / 2)))
    segments = np.zeros(snr.shape, np.int32)
    blended = []
    if found is None:
        return segments, np.zeros(0, bool)
    connected = _holes_filled(found.data)
    count = 0
    for label, box in enumerate(ndimage.find_objects(connected), 1):
        if box is None:
            continue
        inside = connected[box] == label
        if filled[box][inside].max() < detect_snr:
            continue
        parts = _parted(np.where(inside, filled[box], 0), inside, detect_snr)
        segments[box][inside] = parts[inside] + count
        count += parts.max()
        blended += [parts.max() > 1] * parts.max()
    if not count:
        return segments, np.zeros(0, bool)
    return _brightest_first(filled, segments, np.array(blended))


def grown(segments: np.ndarray, beam_minor: float) -> np.ndarray:
    """Return the segments with a rim of half a beam [pixel], in which the flux below the threshold lies."""
    return expand_labels(segments, distance=max(1.0, beam_minor / 2))


def _parted(snr: np.ndarray, inside: np.ndarray, detect_snr: float) -> np.ndarray:
    # On this scale a step of log 2 is a peak p over a saddle q with p = 2 q + detect_snr.
    height = np.where(inside, np.log(snr + detect_snr), 0)
    peaks, count = ndimage.label(h_maxima(height, np.log(2)) & inside, structure=np.ones((3, 3)))
    if count < 2:
        return inside.astype(np.int32)
    parts = _holes_filled(watershed(-height, peaks, mask=inside, connectivity=2))
    return relabel_sequential(parts)[0]


def _holes_filled(segments: np.ndarray) -> np.ndarray:
    """Give each segment what it encloses: the gap and the disc inside a ring belong to one object with it."""
    segments = segments.copy()
    for label, box in enumerate(ndimage.find_objects(segments), 1):
        if box is not None:
            segments[box][ndimage.binary_fill_holes(segments[box] == label)] = label
    return segments


def _brightest_first(snr: np.ndarray, segments: np.ndarray, blended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    peaks = ndimage.maximum(snr, segments, np.arange(1, len(blended) + 1))
    order = np.argsort(-peaks, kind="stable")
    new = np.zeros(len(blended) + 1, np.int32)
    new[order + 1] = np.arange(1, len(blended) + 1)
    return relabel_sequential(new[segments])[0], blended[order]
