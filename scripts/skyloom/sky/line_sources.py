"""Sources of a spectral cube: elliptical Gaussians with a continuum and lines, and how they are drawn.

Pixels count from 0, x to the West and y to the North, as in `skyloom.images.cubes`. The numbers that are drawn are
those of the DeepFocus simulations (Delli Veneri et al. 2023, MNRAS 518, 3407), except that a size is a full width at
half maximum here.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

FWHM = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian in units of its standard deviation."""
STRIPS = 9
"""Parts of constant velocity that a rotating disc is made of."""
_TRIES = 100


@dataclass(frozen=True)
class Line:
    """A Gaussian line: centre and full width at half maximum [channel], flux density at its peak [Jy]."""

    centre: float
    fwhm: float
    peak: float


@dataclass(frozen=True)
class LineSource:
    """A source of a cube.

    Attributes
    ----------
    x, y : float
        Centre [pixel].
    fwhm_major, fwhm_minor : float
        Full widths at half maximum [pixel].
    pa : float
        Position angle of the major axis [deg, North to East], 0 to 180.
    continuum : float
        Flux density at the reference frequency [Jy].
    index : float
        Spectral index of the continuum.
    lines : tuple of Line
        None for a source of continuum only.
    gradient : float
        How far the lines shift along the major axis [channel/pixel], as in a rotating disc.
    """

    x: float
    y: float
    fwhm_major: float
    fwhm_minor: float
    pa: float
    continuum: float
    index: float
    lines: tuple[Line, ...] = ()
    gradient: float = 0.0


def gaussian(source: LineSource, shape: tuple[int, int]) -> np.ndarray:
    """Return the image of a source of unit flux, shape (height, width), float32."""
    return _gaussian(source, shape)[0].astype(np.float32)


def parts(source: LineSource, shape: tuple[int, int], channels: int, tilt: np.ndarray) -> list:
    """Return images and spectra whose products sum up to a source.

    Parameters
    ----------
    source : LineSource
    shape : tuple of int
        (height, width) [pixel].
    channels : int
    tilt : numpy.ndarray, shape (channels,)
        Frequency over the reference frequency of the continuum.

    Returns
    -------
    list of (numpy.ndarray, shape (height, width), numpy.ndarray, shape (channels,))
        Images sum up to a flux of one, and spectra are in Jy; the lines of a rotating disc come in `STRIPS` parts, of
        one velocity each.
    """
    image, along = _gaussian(source, shape)
    whole = image.astype(np.float32)
    found = [(whole, source.continuum * tilt**source.index)]
    if source.lines and not source.gradient:
        found.append((whole, line_profile(source.lines, channels)))
    elif source.lines:
        half = STRIPS // 2
        width = 3 * source.fwhm_major / FWHM / half
        at = np.clip(along / width, -half, half)
        for strip in range(-half, half + 1):
            part = (image * np.clip(1 - np.abs(at - strip), 0, None)).astype(np.float32)
            found.append((part, line_profile(source.lines, channels, strip * width * source.gradient)))
    return found


def _gaussian(source: LineSource, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(shape, dtype=float)
    along, across = _own_axes(source, x, y)
    major, minor = source.fwhm_major / FWHM, source.fwhm_minor / FWHM
    image = np.exp(-0.5 * ((along / major) ** 2 + (across / minor) ** 2)) / (2 * np.pi * major * minor)
    return image, along


def _own_axes(source: LineSource, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions along the major and the minor axis [pixel]; East is -x."""
    sin, cos = np.sin(np.radians(source.pa)), np.cos(np.radians(source.pa))
    north, east = y - source.y, source.x - x
    return north * cos + east * sin, east * cos - north * sin


def line_profile(lines: tuple[Line, ...], channels: int, shift: float = 0.0) -> np.ndarray:
    """Return the flux density of lines in each channel [Jy], shifted by `shift` channels, shape (channels,)."""
    z = np.arange(channels, dtype=float)
    profile = np.zeros(channels)
    for line in lines:
        profile += line.peak * np.exp(-0.5 * ((z - line.centre - shift) * FWHM / line.fwhm) ** 2)
    return profile


def width_of(lines: tuple[Line, ...], gradient: float = 0.0, fwhm_major: float = 0.0) -> tuple[float, float]:
    """Return centre and full width at half maximum [channel] of the brightest line, with what is blended into it.

    Both are those of the range around the highest peak where the profile is above half of it, so that two peaks count
    as one line unless it dips below that between them.
    """
    if not lines:
        return float("nan"), float("nan")
    first = max(lines, key=lambda line: line.peak)
    spread = gradient * fwhm_major
    widths = [float(np.hypot(line.fwhm, spread)) for line in lines]
    reach = 3 * max(widths)
    z = np.arange(first.centre - reach, first.centre + reach, 0.01)
    profile = sum(
        line.peak * line.fwhm / width * np.exp(-0.5 * ((z - line.centre) * FWHM / width) ** 2)
        for line, width in zip(lines, widths, strict=True)
    )
    near = np.abs(z - first.centre) <= 0.75 * (first.fwhm + max(line.fwhm for line in lines))
    labels, _ = ndimage.label(profile >= profile[near].max() / 2)
    top = np.flatnonzero(near)[np.argmax(profile[near])]
    above = z[labels == labels[top]]
    return float(above[0] + above[-1]) / 2, float(above[-1] - above[0])


def draw_sources(rng: np.random.Generator, settings, channels: int, side: int) -> list[LineSource]:
    """Draw the sources of one cube: one in the middle and two to five others, none brighter than it.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : skyloom.cases.alma_cubes.Sky
        Numbers, sizes and shares.
    channels : int
    side : int
        Width of the image [pixel].

    Returns
    -------
    list of LineSource
        The first is the central one.
    """
    count = int(rng.integers(settings.fewest, settings.most + 1))
    looks = sorted((_draw(rng, settings, channels) for _ in range(count)), key=_brightness, reverse=True)
    # Amplitudes are relative so far; the brightest pixel of the cube gets the brightness asked for.
    scale = np.exp(rng.uniform(*np.log(settings.brightness))) * 1e-3 / _brightness(looks[0])
    found: list[LineSource] = []
    for look in looks:
        found.append(_placed(rng, settings, channels, side, _scaled(look, scale), found))
    return found


def _placed(rng, settings, channels: int, side: int, source: LineSource, found: list[LineSource]) -> LineSource:
    """Put the first source in the middle, others apart from all, or over one of them at another frequency."""
    if not found:
        return replace(source, x=side / 2 + rng.uniform(-0.5, 0.5), y=side / 2 + rng.uniform(-0.5, 0.5))
    under = found[int(rng.integers(len(found)))] if rng.random() < settings.overlapping else None
    if under and under.lines and source.lines:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1) * settings.overlap_within
        beside = replace(source, x=under.x + distance * np.cos(angle), y=under.y + distance * np.sin(angle))
        for _ in range(_TRIES):
            moved = _shifted(beside, rng.uniform(settings.margin, channels - 1 - settings.margin))
            inside = all(settings.margin <= line.centre <= channels - 1 - settings.margin for line in moved.lines)
            if (
                inside
                and not _blended(moved, under)
                and _apart(moved, [other for other in found if other is not under], settings)
            ):
                return moved
    for _ in range(_TRIES):
        x, y = side / 2 + rng.uniform(-settings.field, settings.field, 2) * side
        if _apart(replace(source, x=x, y=y), found, settings):
            break
    return replace(source, x=float(x), y=float(y))


def _apart(source: LineSource, others: list[LineSource], settings) -> bool:
    return all(np.hypot(source.x - other.x, source.y - other.y) >= settings.apart for other in others)


def _shifted(source: LineSource, centre: float) -> LineSource:
    """Move the lines so that the first one has this centre."""
    shift = centre - source.lines[0].centre
    return replace(source, lines=tuple(replace(line, centre=line.centre + shift) for line in source.lines))


def _blended(one: LineSource, other: LineSource) -> bool:
    """Return whether any of their lines are nearer than the sum of their widths."""
    return any(abs(a.centre - b.centre) < a.fwhm + b.fwhm for a in one.lines for b in other.lines)


def _draw(rng, settings, channels: int) -> LineSource:
    """Draw a source without a place, its surface brightness in relative units."""
    sizes = np.sort(rng.uniform(*settings.size, 2))[::-1]
    amplitude, ratio = rng.uniform(1, 5, 2)
    flux = amplitude * 2 * np.pi * sizes.prod() / FWHM**2
    kind = rng.random(4)
    margin = settings.margin
    centre, fwhm = rng.uniform(margin, channels - 1 - margin), rng.uniform(*settings.line_fwhm)
    lines = (Line(centre, fwhm, ratio * flux),)
    if kind[0] < settings.double_peaked:
        lines = tuple(Line(centre + side * 0.65 * fwhm, fwhm, ratio * flux) for side in (-1, 1))
    if kind[1] < settings.more_lines:
        other = rng.uniform(margin, channels - 1 - margin)
        lines += (Line(other, fwhm, ratio * flux * rng.uniform(0.3, 0.8)),)
    gradient = 0.0
    if kind[2] < settings.rotating:
        gradient = float(rng.uniform(0.5, 1) * fwhm / sizes[0] * rng.choice([-1, 1]))
    if kind[3] < settings.continuum_only:
        lines, gradient = (), 0.0
    return LineSource(
        x=0.0,
        y=0.0,
        fwhm_major=float(sizes[0]),
        fwhm_minor=float(sizes[1]),
        pa=float(rng.uniform(0, 180)),
        continuum=flux,
        index=float(rng.uniform(*settings.spectral_index)),
        lines=lines,
        gradient=gradient,
    )


def _brightness(source: LineSource) -> float:
    """Return the highest surface brightness [flux per pixel]."""
    peak = source.continuum + max((line.peak for line in source.lines), default=0.0)
    return peak * FWHM**2 / (2 * np.pi * source.fwhm_major * source.fwhm_minor)


def _scaled(source: LineSource, factor: float) -> LineSource:
    lines = tuple(replace(line, peak=line.peak * factor) for line in source.lines)
    return replace(source, continuum=source.continuum * factor, lines=lines)
