"""Multiply training cutouts: mirror, turn, resize, shift, add noise, and average pairs. Works on S/N images.

An image here has the shape (side, side, channels); all channels are treated alike, so that they still show one object.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SIGNIFICANT = 3.0
"""Pixels above this S/N tell an object's orientation."""


@dataclass(frozen=True)
class Chain:
    """Which parts of the chain are on, and how far they go, as in `skyloom.config.schema.Augment`."""

    flips: bool
    rotations: bool
    resize: tuple[float, float] | None
    shift: int
    noise: float


def augmented(image: np.ndarray, beams: np.ndarray, chain: Chain, rng: np.random.Generator) -> np.ndarray:
    """Return one random variation of an image.

    Parameters
    ----------
    image : numpy.ndarray, shape (side, side, channels)
        S/N, NaN where not observed.
    beams : numpy.ndarray, shape (channels, 3)
        FWHM major, minor [pixel] and position angle [deg] of each channel.
    chain : Chain
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (side, side, channels), float32
        S/N; 0 where not observed.
    """
    image = noisier(np.nan_to_num(image, nan=0.0), beams, rng.uniform(0, chain.noise), rng)
    if chain.flips:
        image = image[:, :: rng.choice((1, -1))]
        image = image[:: rng.choice((1, -1))]
    angle = rng.uniform(0, 2 * np.pi) if chain.rotations else 0.0
    zoom = float(np.exp(rng.uniform(*np.log(chain.resize)))) if chain.resize else 1.0
    shift = rng.uniform(-chain.shift, chain.shift, 2) if chain.shift else np.zeros(2)
    return turned(image, angle, zoom, shift)


def turned(image: np.ndarray, angle: float, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return an image turned by `angle` [rad, from the x to the y axis], magnified and shifted about its centre.

    `shift` is (x, y) in pixels. Bilinear; what comes into view from outside is the image mirrored at its edge,
    which is noise of the right kind.
    """
    if angle == 0 and zoom == 1 and not np.any(shift):
        return np.ascontiguousarray(image, dtype=np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    # From output (row, column) to input: turn back by the angle.
    back = np.array([[cosine, -sine], [sine, cosine]]) / zoom
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - back @ (centre + np.asarray(shift)[::-1])
    channels = [
        ndimage.affine_transform(image[..., channel].astype(np.float32), back, offset, order=1, mode="mirror")
        for channel in range(image.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def noisier(image: np.ndarray, beams: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image with `amount` rms of more noise, correlated by the beam; it stays in units of its noise."""
    if amount == 0:
        return image
    noise = np.stack([beam_noise(image.shape[0], beam, rng) for beam in beams], axis=-1)
    return (image + amount * noise) / np.hypot(1, amount)


def beam_noise(side: int, beam: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Return noise of unit rms whose autocorrelation is the beam, as in a synthesis image.

    Parameters
    ----------
    side : int
        Width [pixel].
    beam : tuple of float
        FWHM major, minor [pixel], position angle [deg, North (up) to East (left)].
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (side, side), float32
    """
    major, minor, angle = np.asarray(beam, dtype=float)
    v, u = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    along, across = -u * sine + v * cosine, u * cosine + v * sine
    # The power spectrum is the transform of a Gaussian beam, exp(-pi^2 b^2 f^2 / (4 ln 2)); its root filters noise.
    amplitude = np.exp(-(np.pi**2) * ((major * along) ** 2 + (minor * across) ** 2) / (8 * np.log(2)))
    white = np.fft.rfft2(rng.standard_normal((side, side)))
    power = np.fft.irfft2(amplitude**2, s=(side, side))[0, 0]
    return (np.fft.irfft2(white * amplitude, s=(side, side)) / np.sqrt(power)).astype(np.float32)


def orientation(snr: np.ndarray) -> float:
    """Return the direction [rad, from the x to the y axis] of the major axis of what is significant in an image.

    Second moments about the centre, each pixel weighed by the logarithm of its S/N, so that wings count too.

    Parameters
    ----------
    snr : numpy.ndarray, shape (side, side)
    """
    weight = np.log(np.maximum(np.nan_to_num(snr, nan=0.0) / SIGNIFICANT, 1))
    rows, columns = np.indices(snr.shape) - (np.array(snr.shape)[:, None, None] - 1) / 2
    xx, yy, xy = ((weight * product).sum() for product in (columns**2, rows**2, rows * columns))
    return float(np.arctan2(2 * xy, xx - yy) / 2)


def aligned(image: np.ndarray) -> np.ndarray:
    """Return an image turned so that the major axis of its object in the first channel is upright."""
    return turned(np.nan_to_num(image, nan=0.0), np.pi / 2 - orientation(image[..., 0]))


def geometric_mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the geometric mean of two images, with the sign of their sum.

    The thesis has sqrt(|a b|), whose background is positive everywhere, and so gives a pair away at once.
    """
    return np.sign(first + second) * np.sqrt(np.abs(first * second))


def pairs_of(groups: list[str], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return `count` random pairs of indices, fewer if there are not so many, each of two different groups."""
    possible = [(i, j) for i in range(len(groups)) for j in range(i) if groups[i] != groups[j]]
    chosen = rng.choice(len(possible), size=min(count, len(possible)), replace=False) if possible else []
    return [possible[index] for index in sorted(chosen)]
