"""Populations of young stars: what is drawn for each kind of object, in beams and S/N.

Every kind with a disc takes it from the same `draw_disc`, and every field gets its surroundings from the same
distributions (`draw_field`), so that nothing but the kind's own feature tells kinds apart.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from . import discs, surroundings, winds
from .fields import Field, Object, Part

BLUR = 0.25  # sigma of particles in beams: unresolved, and coarse enough to hide single particles
FAINTEST, BRIGHTEST = 25.0, 150.0  # S/N of a wind, and of what could be mistaken for one, outside the disc
VISIBLE = 3.0  # a wind's mean S/N in a beam is at least this where it is small, or nobody could label it
LONG = 60.0  # beams: the walls of B335 reach about as far, with a mean S/N in a beam of 2
FARTHEST = 72.0  # beams that something around a disc reaches
SHARE = 0.4  # a wind's peak is at most this part of a bright disc's


@dataclass(frozen=True)
class Disc:
    """A disc: profile, orientation [rad], peak S/N, size; `edge` is about the radius where it drops below the noise."""

    scale: float
    slope: float
    inclination: float
    angle: float
    snr: float
    fwhm: float
    edge: float

    def part(self) -> Part:
        """Return the disc without structure."""
        shape = partial(
            discs.smooth_disc, scale=self.scale, slope=self.slope, inclination=self.inclination, angle=self.angle
        )
        return Part(shape, self.snr)


def draw_disc(rng: np.random.Generator, width: float, steepest: float = 87.0, largest: float = 15.0) -> Disc:
    """Draw a disc, `largest` beams wide or less, inclined by 35 to `steepest` degrees, in an image of `width` beams."""
    snr = log_uniform(rng, 25, 1000)
    to_noise = 0.5 * np.sqrt(np.log2(snr))  # radius of a Gaussian at one rms, in full widths
    fwhm = log_uniform(rng, 1.0, float(np.clip(0.2 * width / to_noise, 1.1, largest)))
    slope = rng.uniform(0.2, 0.9)
    return Disc(
        scale=fwhm / discs.half_width(1.0, slope),
        slope=slope,
        inclination=float(np.arccos(rng.uniform(np.cos(np.radians(steepest)), np.cos(np.radians(35))))),
        angle=rng.uniform(0, np.pi),
        snr=snr,
        fwhm=fwhm,
        edge=float(np.hypot(fwhm, 1) * to_noise),
    )


def disc_wind(rng: np.random.Generator, width: float) -> Object:
    """Draw a disc with a wide-angle wind: walls, bright and bent arms (Serpens C7), or a faint, wide cavity (B335)."""
    look = rng.choice(["arm", "walls", "cavity"], p=[0.4, 0.45, 0.15])
    armed = look == "arm"
    disc = draw_disc(rng, width, largest=3.0 if look == "cavity" else 15.0)
    reach = draw_reach(rng, disc, width)
    widest = min(np.radians(48), disc.inclination - np.radians(12))  # seen from inside the cone it would be no cone
    opening = rng.uniform(np.radians(18), widest)
    if armed:
        sides, asymmetry = (1.0, rng.uniform(0.35, 0.8)), rng.uniform(0.8, 0.97)
        limb = rng.choice([0, np.pi])
        bright = (limb + rng.normal(0, 0.3), (limb if rng.random() < 0.4 else np.pi - limb) + rng.normal(0, 0.3))
        turn = rng.uniform(0.25, 0.8) * rng.choice([-1, 1])
        bend = (turn, turn * rng.choice([-1, 1]) * rng.uniform(0.3, 1))
        faintest = 1.5 * FAINTEST
    else:
        sides, asymmetry = (1.0, rng.uniform(0.4, 1) if rng.random() < 0.8 else 0.0), rng.uniform(0, 0.5)
        bright = tuple(rng.uniform(0, 2 * np.pi, 2))
        bend = tuple(rng.normal(0, 0.12, 2))
        faintest = FAINTEST
    snr, margin, even = log_uniform(rng, faintest, BRIGHTEST), 1.0, 0.0
    if look == "cavity":  # both lobes, far out, and about as faint as can be seen
        reach = max(reach, rng.uniform(0.5, 1) * min(0.42 * width, FARTHEST))
        sides, even = (1.0, rng.uniform(0.5, 1)), rng.uniform(0.4, 1)
        snr, margin = FAINTEST, rng.uniform(1, 1.5)
    least, most = margin * faintest_seen(reach), max(SHARE * disc.snr, 1.4 * FAINTEST)
    wind = winds.Wind(
        reach=reach / 1.3,
        foot=rng.uniform(0.2, 0.6) * disc.fwhm,
        opening=opening,
        flare=rng.uniform(0.5, 0.8) if armed else rng.uniform(0.65, 1.05),
        thickness=rng.uniform(0.05, 0.15),
        inclination=disc.inclination,
        angle=disc.angle + np.pi / 2 + np.pi * rng.integers(2) + rng.normal(0, 0.08),
        sides=sides,
        asymmetry=asymmetry,
        bright_side=bright,
        bend=bend,
        clumps=rng.uniform(0.15, 0.5),
        even=even,
    )
    parts = (disc.part(), Part(winds.dusty_wind(wind, rng, BLUR), snr, "matched", least, most))
    return Object("disc_wind", parts, fwhm=disc.fwhm, positive=True)


def smooth_disc(rng: np.random.Generator, width: float) -> Object:
    """Draw a disc without structure."""
    disc = draw_disc(rng, width)
    return Object("smooth_disc", (disc.part(),), fwhm=disc.fwhm)


def ringed_disc(rng: np.random.Generator, width: float) -> Object:
    """Draw a disc with one to four rings, some well outside of the rest."""
    disc = draw_disc(rng, width)
    rings = [
        (disc.scale * place, disc.scale * rng.uniform(0.04, 0.15), log_uniform(rng, 0.05, 0.8))
        for place in np.sort(rng.uniform(0.5, 2.4, rng.integers(1, 5)))
    ]
    shape = partial(
        discs.ringed_disc,
        scale=disc.scale * 0.6, slope=disc.slope, inclination=disc.inclination, angle=disc.angle,
        rings=rings, floor=1.0,
    )  # fmt: skip
    return Object("ringed_disc", (Part(shape, disc.snr),), fwhm=disc.fwhm)


def spiral_disc(rng: np.random.Generator, width: float) -> Object:
    """Draw a disc with two or three spiral arms that reach out of it, as bright as winds are."""
    disc = draw_disc(rng, width, steepest=65)
    reach = draw_reach(rng, disc, width)
    shape = partial(
        discs.spiral_arms,
        scale=disc.scale, inclination=disc.inclination, angle=disc.angle,
        pitch=np.radians(rng.uniform(10, 22)) * rng.choice([-1, 1]),
        arms=int(rng.choice([2, 3], p=[0.8, 0.2])),
        phase=rng.uniform(0, 2 * np.pi),
        start=0.4, end=reach / disc.scale,
        sharpness=rng.uniform(1.5, 8), lopsided=rng.uniform(0, 0.8),
    )  # fmt: skip
    return Object(
        "spiral_disc", (disc.part(), Part(shape, log_uniform(rng, FAINTEST, BRIGHTEST), "matched")), fwhm=disc.fwhm
    )


def binary(rng: np.random.Generator, width: float) -> Object:
    """Draw two discs side by side, in half of the cases with a bridge between them."""
    disc, other = draw_disc(rng, width), draw_disc(rng, width)
    other = replace(other, snr=disc.snr * log_uniform(rng, 0.1, 1))
    distance = min(log_uniform(rng, 0.8, 2.5) * (disc.fwhm + other.fwhm) / 2 + 1.2, 0.4 * width)
    turn = rng.uniform(0, 2 * np.pi)
    east, north = distance * np.sin(turn), distance * np.cos(turn)
    parts = [disc.part(), moved(other.part(), east, north)]
    if rng.random() < 0.5:
        bridge = partial(surroundings.gaussian, major=1.2 * distance, minor=0.35 * distance, angle=turn)
        parts.append(moved(Part(bridge, log_uniform(rng, FAINTEST, 60), "matched"), 0.7 * east, 0.7 * north))
    return Object("binary", tuple(parts), fwhm=disc.fwhm)


def irregular_envelope(rng: np.random.Generator, width: float) -> Object:
    """Draw a clumpy envelope with filaments, with or without a star in it."""
    radius = min(log_uniform(rng, 1.5, 8), 0.15 * width)
    cloud = surroundings.irregular_envelope(rng, radius, int(rng.integers(1, 5)), BLUR)
    parts = [Part(cloud, log_uniform(rng, 12, 200))]
    if rng.random() < 0.5:
        parts.append(replace(draw_disc(rng, width), fwhm=1.0).part())
    return Object("irregular_envelope", tuple(parts), fwhm=2.35 * radius)


def streamer_disc(rng: np.random.Generator, width: float) -> Object:
    """Draw a disc with one narrow tail of falling gas that winds onto it."""
    disc = draw_disc(rng, width)
    reach = draw_reach(rng, disc, width)
    tail = surroundings.streamer(
        rng,
        1.4 * reach,
        rng.uniform(0.2, 0.5),
        rng.uniform(0, 2 * np.pi),
        rng.uniform(0.8, 2.2) * rng.choice([-1, 1]),
        BLUR,
    )
    return Object(
        "streamer_disc", (disc.part(), Part(tail, log_uniform(rng, FAINTEST, 100), "matched")), fwhm=disc.fwhm
    )


def jet_knots(rng: np.random.Generator, width: float) -> Object:
    """Draw a disc with the knots of a narrow jet along its axis, on one or both sides."""
    disc = draw_disc(rng, width)
    reach = draw_reach(rng, disc, width)
    knots = surroundings.jet_knots(
        rng,
        1.3 * reach,
        disc.angle + np.pi / 2 + rng.normal(0, 0.1),
        int(rng.integers(2, 9)),
        int(rng.integers(1, 3)),
        rng.uniform(0.4, 1.2),
    )
    return Object(
        "jet_knots", (disc.part(), Part(knots, log_uniform(rng, FAINTEST, BRIGHTEST), "matched")), fwhm=disc.fwhm
    )


def calibrator(rng: np.random.Generator, width: float) -> Object:
    """Draw a bright point source."""
    return Object("calibrator", (Part(surroundings.point, log_uniform(rng, 50, 3000)),))


def compact(rng: np.random.Generator, width: float) -> Object:
    """Draw a small second source."""
    disc = draw_disc(rng, width)
    small = replace(disc, scale=disc.scale / disc.fwhm * rng.uniform(0.3, 2), snr=log_uniform(rng, 8, 150))
    return Object("compact", (small.part(),), fwhm=small.scale / disc.scale * disc.fwhm)


KINDS: dict[str, Callable[[np.random.Generator, float], Object]] = {
    "disc_wind": disc_wind,
    "smooth_disc": smooth_disc,
    "ringed_disc": ringed_disc,
    "spiral_disc": spiral_disc,
    "binary": binary,
    "irregular_envelope": irregular_envelope,
    "streamer_disc": streamer_disc,
    "jet_knots": jet_knots,
    "calibrator": calibrator,
}


def draw_field(kind: str, rng: np.random.Generator, width: float) -> Field:
    """Draw the field of one target: itself, its neighbours, the background, and the level of artefacts.

    Parameters
    ----------
    kind : str
        One of `KINDS`, or ``empty_field``.
    rng : numpy.random.Generator
        Source of the draw.
    width : float
        Width of the image in beams.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind == "empty_field":
        return Field(objects=(), background=background(rng, width))
    if kind not in KINDS:
        raise ValueError(f"there is no kind `{kind}`; there are {', '.join([*KINDS, 'empty_field'])}.")
    target = dress(rng, KINDS[kind](rng, width), width)
    return Field(
        objects=(target, *neighbours(rng, target, width)),
        background=background(rng, width),
        residual=draw_residual(rng, target.parts[0].snr),
    )


def dress(rng: np.random.Generator, target: Object, width: float) -> Object:
    """Put a target a little off the centre of the field, and some into an inner envelope, whatever their kind."""
    if target.fwhm and rng.random() < 0.4:
        size = np.hypot(target.fwhm, 1)
        radius = min(log_uniform(rng, 0.7, 3) * size, max(1.2 * size, 8))  # that of B335: 6 beams
        shape = partial(surroundings.halo, radius=radius, axis_ratio=rng.uniform(0.6, 1), angle=rng.uniform(0, np.pi))
        snr = min(target.parts[0].snr * log_uniform(rng, 0.01, 0.06), 12)
        target = replace(target, parts=(*target.parts, Part(shape, snr)))
    east, north = rng.normal(0, 0.02, 2) * width
    return replace(target, east=float(east), north=float(north))


def neighbours(rng: np.random.Generator, target: Object, width: float) -> tuple[Object, ...]:
    """Draw the other sources of the field, mostly none, rarely one that is close."""
    count = int(rng.choice([0, 1, 2], p=[0.72, 0.21, 0.07]))
    others = []
    for _ in range(count):
        close = rng.random() < 0.15
        distance = rng.uniform(2.5, 5) + target.fwhm / 2 if close else rng.uniform(0.22, 0.4) * width
        turn = rng.uniform(0, 2 * np.pi)
        source = compact(rng, width)
        distance = min(distance, 0.4 * width)
        others.append(
            replace(
                source,
                east=float(target.east + distance * np.sin(turn)),
                north=float(target.north + distance * np.cos(turn)),
            )
        )
    return tuple(others)


def background(rng: np.random.Generator, width: float) -> tuple[Part, ...]:
    """Draw patches of cloud behind the field, in one of eight fields."""
    if rng.random() > 0.125:
        return ()
    patches = surroundings.cloud(rng, 0.45 * width, rng.uniform(0.08, 0.2) * width, 1.5 * BLUR)
    return (Part(patches, rng.uniform(2.0, 4.5)),)


def draw_residual(rng: np.random.Generator, snr: float) -> float:
    """Draw the level of calibration artefacts in thermal rms for a target with this peak S/N."""
    level = rng.uniform(1.0, 2.0) if rng.random() < 0.12 else min(np.exp(rng.normal(np.log(0.25), 0.8)), 1.0)
    return float(min(level, snr / 100))  # nobody publishes an image with a dynamic range below that


def draw_reach(rng: np.random.Generator, disc: Disc, width: float) -> float:
    """Draw how far in beams something extends that has to be seen outside of a disc."""
    nearest = max(2.1 * disc.edge, 5.0)
    return log_uniform(rng, nearest, max(min(0.42 * width, 8 * nearest, FARTHEST), 1.05 * nearest))


def faintest_seen(reach: float) -> float:
    """Return the mean S/N in a beam from which a wind of this reach is seen: long walls stand out after smoothing.

    The kernel is one beam for a reach of `LONG`; by how much it lowers noise: `skyloom.images.cutout.smoothed_noise`.
    """
    return VISIBLE / float(np.sqrt(1 + 2 * (reach / LONG) ** 2))


def moved(part: Part, east: float, north: float) -> Part:
    """Return a part at another place of its object."""
    return replace(part, shape=lambda x, y: part.shape(x - east, y - north))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
