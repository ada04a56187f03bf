"""What a Cherenkov telescope may look at: point sources in its field of view, upon a background of hadrons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PointSource:
    """A point source with a power law.

    Attributes
    ----------
    lon, lat : float
        Offset from the pointing to the East and to the North [deg], on the tangent plane.
    flux : float
        Differential flux at 0.3 TeV in units of the Crab Nebula's.
    index : float
        Of the power law, positive.
    """

    lon: float
    lat: float
    flux: float
    index: float

    @property
    def offset(self) -> float:
        """Distance from the pointing [deg]."""
        return float(np.hypot(self.lon, self.lat))


@dataclass(frozen=True)
class Background:
    """How the background differs from that of the instrument's response.

    Attributes
    ----------
    scale : float
        Factor on all of it.
    gradient : tuple of float
        Relative change for each degree to the East and to the North.
    patches : tuple of (lon, lat, width, depth)
        Round patches, Gaussian with a standard deviation of `width` [deg], where the light of the night sky changes the
        background by the share `depth`.
    """

    scale: float = 1.0
    gradient: tuple[float, float] = (0.0, 0.0)
    patches: tuple[tuple[float, float, float, float], ...] = ()

    def factor(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Return by how much the background at some offsets [deg] is larger than the response's, at least 0."""
        result = 1 + self.gradient[0] * lon + self.gradient[1] * lat
        for east, north, width, depth in self.patches:
            result = result + depth * np.exp(-0.5 * ((lon - east) ** 2 + (lat - north) ** 2) / width**2)
        return self.scale * np.maximum(result, 0)


@dataclass(frozen=True)
class Field:
    """One observation: how long [s], with which of the instrument's responses, and what is there to see."""

    time: float
    response: float
    sources: tuple[PointSource, ...]
    background: Background


def draw_field(rng: np.random.Generator, sky, responses: Sequence[float]) -> Field:
    """Draw an observation.

    Parameters
    ----------
    rng : numpy.random.Generator
    sky : object
        With the ranges ``sources``, ``time`` [s] and ``flux`` [Crab], both drawn by their logarithm, ``index``, and
        ``offset`` [deg]; ``apart``, the least distance [deg]; of the background the range ``gradient`` [1/deg], and the
        largest deviations ``scale`` and ``night_sky``.
    responses : sequence of float
        Names of the responses, such as zenith angles; each is as likely.
    """
    fewest, most = sky.sources
    sources: list[PointSource] = []
    for _ in range(int(rng.integers(fewest, most + 1))):
        flux, index = _logarithmic(rng, sky.flux), float(rng.uniform(*sky.index))
        for _ in range(50):
            # Uniform in the offset, as the published sets are, hence denser in the middle.
            offset, angle = rng.uniform(*sky.offset), rng.uniform(0, 2 * np.pi)
            lon, lat = float(offset * np.sin(angle)), float(offset * np.cos(angle))
            if all(np.hypot(lon - other.lon, lat - other.lat) >= sky.apart for other in sources):
                sources.append(PointSource(lon, lat, flux, index))
                break
    steep, angle = rng.uniform(*sky.gradient), rng.uniform(0, 2 * np.pi)
    patches = tuple(
        (*map(float, rng.uniform(-2, 2, 2)), float(rng.uniform(0.3, 1.0)), float(rng.uniform(-1, 1) * sky.night_sky))
        for _ in range(int(rng.integers(0, 3)))
    )
    background = Background(
        scale=float(rng.uniform(1 - sky.scale, 1 + sky.scale)),
        gradient=(float(steep * np.sin(angle)), float(steep * np.cos(angle))),
        patches=patches,
    )
    response = responses[int(rng.integers(len(responses)))]
    return Field(_logarithmic(rng, sky.time), response, tuple(sources), background)


def _logarithmic(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))
