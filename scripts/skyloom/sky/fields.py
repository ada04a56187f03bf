"""A field on the sky: objects made of parts, each part with a shape and a strength, painted onto a pixel grid.

Lengths are in beams, so that one field can be seen by any telescope; `x` is the offset to the east, `y` to the north.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

Shape = Callable[[NDArray, NDArray], NDArray]


@dataclass(frozen=True)
class Part:
    """One component of an object.

    Attributes
    ----------
    shape : callable
        Takes the offsets from the object's centre, east (1, n) and north (n, 1) in beams, and returns (n, n) brightness
        of any scale.
    snr : float
        Strength in the image: of the peak, or of the matched filter.
    measure : {"peak", "matched"}
        "matched" is the S/N of a perfect detection, ``sqrt(sum (I / rms)**2 / beam area)``, outside of everything
        else: over the pixels where all other parts together are fainter than one rms.
    least, most : float
        Limits of a "matched" part, which win over `snr`: its mean S/N in a beam over the area it covers is at least
        `least`, as something that covers much sky needs a higher total S/N to be seen; and its peak at most `most`,
        unless it could not be seen then.
    """

    shape: Shape
    snr: float
    measure: Literal["peak", "matched"] = "peak"
    least: float = 0.0
    most: float = np.inf


@dataclass(frozen=True)
class Object:
    """Something with a position: kind, parts, offsets from the field's centre and size in beams, and its label."""

    kind: str
    parts: tuple[Part, ...]
    east: float = 0.0
    north: float = 0.0
    fwhm: float = 0.0
    positive: bool = False


@dataclass(frozen=True)
class Target:
    """What a proposal asks for: a name, a position [deg], science keywords; `kind` is what is really there."""

    name: str
    kind: str
    ra: float
    dec: float
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """What is seen in one pointing.

    Attributes
    ----------
    objects : tuple of Object
        The first is the target.
    background : tuple of Part
        Emission that is no object, centred on the field.
    residual : float
        Level of calibration artefacts in thermal rms.
    """

    objects: tuple[Object, ...]
    background: tuple[Part, ...] = ()
    residual: float = 0.0


@dataclass(frozen=True)
class Painted:
    """A field on a pixel grid: the sky (n, n) [Jy/pixel]; by object and part the flux [Jy] and the measured S/N."""

    sky: NDArray
    fluxes: list[list[float]]
    snrs: list[list[float]]


def unit_flux(image: NDArray) -> NDArray:
    """Return an image scaled to a sum of one.

    Raises
    ------
    ValueError
        If nothing of it is positive.
    """
    total = float(np.sum(image, dtype=float))
    if not total > 0:
        raise ValueError("a part of the sky has no flux on the grid; it lies outside of the image.")
    return (image / total).astype(np.float32)


def paint(
    described: Field,
    n: int,
    pixel: float,
    smooth: Callable[[NDArray], NDArray],
    rms: float,
    beam_area: float,
    fluxes: list[list[float]] | None = None,
) -> Painted:
    """Paint a field, with every part as bright as its S/N asks for.

    Parameters
    ----------
    described : Field
        Lengths in beams.
    n : int
        Side of the image.
    pixel : float
        Pixel size in beams.
    smooth : callable
        Takes a sky [Jy/pixel], gives the image [Jy/beam] that a telescope would make of it without noise.
    rms : float
        Jy/beam.
    beam_area : float
        Pixels.
    fluxes : list of list of float, optional
        From another look at the same field: taken instead of the S/N.

    Returns
    -------
    Painted
        Its lists have one entry an object, and one more for the background.
    """
    axis = (np.arange(n) - n // 2) * pixel
    groups = [(thing.east, thing.north, thing.parts) for thing in described.objects] + [(0, 0, described.background)]
    parts = [(i, j, part, east, north) for i, (east, north, parts) in enumerate(groups) for j, part in enumerate(parts)]
    parts.sort(key=lambda entry: entry[2].measure == "matched")  # those are measured outside of all others
    found = [[0.0] * len(group[2]) for group in groups]
    snrs = [[0.0] * len(group[2]) for group in groups]
    sky, seen = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    for i, j, part, east, north in parts:
        image = unit_flux(part.shape((-axis - east)[None, :], (axis - north)[:, None]))
        one = smooth(image)
        if part.measure == "peak":
            strength, wanted = float(one.max()) / rms, part.snr
        else:
            strength, beams = matched_snr(np.where(seen < rms, one, 0) / rms, beam_area)
            wanted = max(min(part.snr, part.most * strength * rms / float(one.max())), part.least * np.sqrt(beams))
        flux = fluxes[i][j] if fluxes else wanted / strength
        found[i][j], snrs[i][j] = flux, flux * strength
        sky += image * np.float32(flux)
        seen += one * np.float32(flux)
    return Painted(sky, found, snrs)


def matched_snr(image: NDArray, beam_area: float) -> tuple[float, float]:
    """Return the S/N of a matched filter for an image in units of its rms, and the area it covers, in beams.

    The area is that of a uniform image with the same total and the same S/N, ``(sum I)**2 / sum I**2``.
    """
    square = float(np.sum(image.astype(float) ** 2))
    total = float(np.sum(image, dtype=float))
    return float(np.sqrt(square / beam_area)), total**2 / square / beam_area if square > 0 else 0.0


def draw_kind(weights: dict[str, float], index: int, changed: dict[str, float] | None = None) -> str:
    """Return the kind of the field `index`, so that any run of fields has kinds in the proportion of the weights.

    Parameters
    ----------
    weights : dict of str to float
        Relative numbers of all kinds that there are.
    index : int
        Number of the field.
    changed : dict of str to float, optional
        Those of some kinds, from the configuration, to be taken instead.

    Raises
    ------
    UserError
        If `changed` names another kind, or leaves none.
    """
    changed = changed or {}
    unknown = sorted(set(changed) - set(weights))
    if unknown:
        raise UserError(f"embedded.kinds: there is no kind `{unknown[0]}`; the kinds are {', '.join(weights)}.")
    kinds, shares = list(weights), np.cumsum(list({**weights, **changed}.values()))
    if not shares[-1] > 0:
        raise UserError("embedded.kinds: every kind has the weight 0; give one of them more.")
    golden = (np.sqrt(5) - 1) / 2  # steps of the golden ratio fill the unit interval evenly
    return kinds[int(np.searchsorted(shares, (index + 0.5) * golden % 1 * shares[-1], side="right"))]


def draw_position(rng: np.random.Generator, regions, spread: float) -> tuple[float, float]:
    """Return right ascension and declination [deg] within `spread` degrees of one of the regions (ra, dec)."""
    ra, dec = regions[rng.integers(len(regions))]
    east, north = rng.uniform(-spread, spread, 2)
    return float((ra + east / np.cos(np.radians(dec))) % 360), float(dec + north)
