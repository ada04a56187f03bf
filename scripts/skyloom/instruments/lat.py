"""How the Fermi-LAT sees: exposure and point spread function of a survey, from the tables of resources/fermi."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import UserError
from ..files import read_table

EVENT_TYPES = ("FB", "PSF3")
"""Front and back together (P8R3_SOURCE_V3), and the quarter of its events with the best directions."""

_SHARED = 0.998
"""Share of the photons that the images of a source hold, cut off at the radius that holds so many (and scaled to 1)."""
_PHASES = (4, 8, 16, 32)
"""Parts of a pixel for which the images are made, between which they are interpolated: as many as make a part smaller
than an eighth of the radius that holds 39 % (that of a Gaussian's standard deviation)."""
_EXACT = 4
"""Parts of a pixel around the source whose share is integrated rather than taken from the density in their middle."""
_TANGENTS = 400


@dataclass(frozen=True)
class Response:
    """Exposure and point spread function of one event type.

    Attributes
    ----------
    event_type : str
        One of `EVENT_TYPES`.
    energies : array, shape (e,)
        [GeV].
    declinations : array, shape (d,)
        [deg].
    yearly : array, shape (e, d)
        Exposure of a year [cm2 s].
    fractions : array, shape (f,)
        Of a source's photons.
    radii : array, shape (e, f)
        That hold them [deg].
    """

    event_type: str
    energies: np.ndarray
    declinations: np.ndarray
    yearly: np.ndarray
    fractions: np.ndarray
    radii: np.ndarray

    def exposure(self, dec, lowest: float, highest: float, years: float, index: float = 2.2) -> np.ndarray:
        """Return the exposure of a survey [cm2 s], the mean over a band's photons.

        Parameters
        ----------
        dec : array_like
            Declinations (ICRS) [deg], of any shape.
        lowest, highest : float
            Of the band [GeV].
        years : float
            Of the survey.
        index : float
            Photon index of the spectrum over which the mean is taken.

        Returns
        -------
        array
            Of the shape of `dec`.
        """
        dec = np.asarray(dec, dtype=float)
        energies, weights = self._band(lowest, highest, index)
        mean = weights @ self._yearly(energies)
        return years * np.interp(dec, self.declinations, mean)

    def profile(self, lowest: float, highest: float, index: float = 2.2) -> "Profile":
        """Return the point spread function of a band, its mean over the photons of a spectrum that are seen.

        Parameters
        ----------
        lowest, highest : float
            Of the band [GeV].
        index : float
            Photon index of the spectrum.
        """
        energies, weights = self._band(lowest, highest, index)
        weights = weights * (self._yearly(energies) @ np.cos(np.radians(self.declinations)))
        known = np.log(self.energies)
        radii = np.exp([np.interp(np.log(energies), known, row) for row in np.log(self.radii).T]).T
        grid = np.geomspace(radii[:, 0].min() / 3, 180.0, 800)
        held = np.zeros(len(grid))
        for weight, row in zip(weights / weights.sum(), radii, strict=True):
            held += weight * _between(row, self.fractions)(grid)
        used = held < 1 - 1e-9
        return Profile(grid[used], held[used])

    def _band(self, lowest: float, highest: float, index: float) -> tuple[np.ndarray, np.ndarray]:
        """Return energies [GeV] within a band, and the share of a power law's photons that each stands for."""
        if not self.energies[0] <= lowest < highest <= self.energies[-1] * (1 + 1e-9):
            raise UserError(
                f"a band from {lowest:g} to {highest:g} GeV is not within the response, "
                f"{self.energies[0]:g} to {self.energies[-1]:g} GeV; choose other bands."
            )
        steps = max(4, math.ceil(10 * math.log(highest / lowest)))
        edges = np.geomspace(lowest, highest, steps + 1)
        middle = np.sqrt(edges[1:] * edges[:-1])
        weights = middle**-index * np.diff(edges)
        return middle, weights / weights.sum()

    def _yearly(self, energies: np.ndarray) -> np.ndarray:
        """Return the exposure of a year [cm2 s] at energies [GeV]; shape (energies, declinations)."""
        known = np.log(self.energies)
        return np.exp([np.interp(np.log(energies), known, row) for row in np.log(self.yearly).T]).T


def _between(radii: np.ndarray, fractions: np.ndarray):
    """Return the share of the photons within a radius as a function, from radii that hold some fractions.

    In log(-log(1 - share)) against log(radius) a Gaussian is a straight line and a King function nearly one. Within the
    first radius the density is flat; beyond the last the line goes on.
    """
    from scipy.interpolate import PchipInterpolator

    x, y = np.log(radii), np.log(-np.log1p(-fractions))
    line = PchipInterpolator(x, y)
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])

    def held(radius: np.ndarray) -> np.ndarray:
        at = np.log(radius)
        value = line(np.clip(at, x[0], x[-1]))
        value = value + 2 * np.minimum(at - x[0], 0) + slope * np.maximum(at - x[-1], 0)
        return -np.expm1(-np.exp(value))

    return held


@dataclass(frozen=True)
class Profile:
    """A point spread function, round and normalised.

    Attributes
    ----------
    radii : array, shape (n,)
        Rising [deg].
    held : array, shape (n,)
        Share of a source's photons within them.
    """

    radii: np.ndarray = field(repr=False)
    held: np.ndarray = field(repr=False)
    _cells: dict = field(default_factory=dict, repr=False, compare=False)

    def radius(self, fraction: float) -> float:
        """Return the radius [deg] that holds a fraction of a source's photons."""
        if not 0 < fraction < 1:
            raise ValueError(f"a fraction of {fraction:g} of the photons is not between 0 and 1")
        wanted = math.log(-math.log1p(-fraction))
        return float(np.exp(np.interp(wanted, np.log(-np.log1p(-self.held)), np.log(self.radii))))

    def density(self, radius) -> np.ndarray:
        """Return the density of a source's photons [1 / sr] at radii [deg]."""
        radius = np.maximum(np.asarray(radius, dtype=float), self.radii[0])
        return self._slope(radius) / (2 * np.pi * np.sin(np.radians(radius))) * (180 / np.pi)

    def image(self, side: int, pixel: float, x: float, y: float) -> np.ndarray:
        """Return the share of a source's photons in each pixel of a square image.

        Parameters
        ----------
        side : int
            Pixels of the image's side.
        pixel : float
            Width of a pixel [deg].
        x, y : float
            The source's place [pixel], 0-based, integer in the middle of a pixel; it may lie outside.

        Returns
        -------
        array of float32, shape (side, side)
            Integrals over the pixels; they sum to 1 where the image holds all of the point spread function.
        """
        return self.total(side, pixel, [x], [y], [1.0])

    def total(self, side: int, pixel: float, xs, ys, counts) -> np.ndarray:
        """Return the expected photons of many sources in each pixel of a square image.

        Parameters
        ----------
        side : int
            Pixels of the image's side.
        pixel : float
            Width of a pixel [deg].
        xs, ys : array_like, shape (n,)
            Places of the sources [pixel], as for `image`.
        counts : array_like, shape (n,)
            Expected photons of each source, in the image or not.

        Returns
        -------
        array of float32, shape (side, side)
        """
        cells = self._of(float(pixel))
        phases, reach = len(cells) - 1, (cells.shape[-1] - 1) // 2
        made = np.zeros((side, side), dtype=np.float32)
        for x, y, count in zip(xs, ys, counts, strict=True):
            column, row = math.floor(x), math.floor(y)
            left, low = max(column - reach, 0), max(row - reach, 0)
            right, high = min(column + reach + 1, side), min(row + reach + 1, side)
            if left >= right or low >= high:
                continue
            part = np.s_[low - row + reach : high - row + reach, left - column + reach : right - column + reach]
            place = made[low:high, left:right]
            for i, down in _parts(y - row, phases):
                for j, across in _parts(x - column, phases):
                    if down * across:
                        place += np.float32(count * down * across) * cells[i, j][part]
        return made

    def kernel(self, pixel: float) -> np.ndarray:
        """Return the point spread function as a kernel for diffuse emission.

        Parameters
        ----------
        pixel : float
            Width of a pixel [deg].

        Returns
        -------
        array of float32, shape (odd, odd)
            It sums to 1.
        """
        kernel = self._of(float(pixel))[0, 0]
        return kernel / kernel.sum()

    def _slope(self, radius: np.ndarray) -> np.ndarray:
        """Return by how much the share grows with the radius [1 / deg]; zero beyond the last radius."""
        x, y = np.log(self.radii), np.log(-np.log1p(-self.held))
        steepness = np.interp(np.log(radius), x, np.gradient(y, x))
        value = np.exp(np.interp(np.log(radius), x, y))
        return np.where(radius <= self.radii[-1], steepness * value * np.exp(-value) / radius, 0.0)

    def _within(self, radius: np.ndarray) -> np.ndarray:
        """Return the share of the photons within radii [deg]."""
        return np.interp(np.log(radius), np.log(self.radii), self.held) * np.minimum(radius / self.radii[0], 1) ** 2

    def _of(self, pixel: float) -> np.ndarray:
        """Return the images of a source in the middle of a pixel and at parts of a pixel above and right of it.

        Shape (phases + 1, phases + 1, odd, odd); the middle pixel is the one below and left of the source.
        """
        if pixel not in self._cells:
            wanted = 8 * pixel / self.radius(0.39)
            phases = next((one for one in _PHASES if one >= wanted), _PHASES[-1])
            reach = max(2, math.ceil(self.radius(_SHARED) / pixel))
            # The source lies in a corner of the cells of a quarter of the plane; the others are its mirror images.
            count, width = (reach + 2) * phases, pixel / phases
            middle = (np.arange(count) + 0.5) * width
            away = np.hypot(middle[:, None], middle[None, :])
            away = np.maximum(away, self.radii[0])
            quarter = self._slope(away) / (2 * np.pi * away) * width**2
            quarter[:_EXACT, :_EXACT] = self._squares(width)
            quarter[away > (reach + 0.5) * pixel] = 0
            quarter *= 0.25 / quarter.sum()
            plane = np.concatenate([quarter[::-1], quarter])
            plane = np.concatenate([plane[:, ::-1], plane], axis=1)
            sums = np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
            size = 2 * reach + 3
            images = np.zeros((phases + 1, phases + 1, size, size), dtype=np.float32)
            # Edges of the pixels, in cells from the plane's edge, for a source that lies `phase` cells beyond a middle.
            edges = count + (np.arange(size + 1) - reach - 1) * phases - phases // 2
            for i in range(phases + 1):
                for j in range(phases + 1):
                    rows, columns = np.clip(edges - i, 0, 2 * count), np.clip(edges - j, 0, 2 * count)
                    at = sums[np.ix_(rows, columns)]
                    images[i, j] = np.diff(np.diff(at, axis=0), axis=1)
            self._cells[pixel] = images
        return self._cells[pixel]

    def _squares(self, width: float) -> np.ndarray:
        """Return the share in each of the cells beside the source; shape (`_EXACT`, `_EXACT`).

        A rectangle with the source in its corner is a sum over directions of the share within the radius at which its
        edge lies; a cell is a difference of four of them.
        """
        angles = (np.arange(_TANGENTS) + 0.5) / _TANGENTS * np.pi / 2
        ends = np.arange(1, _EXACT + 1) * width
        to_edge = np.minimum(ends[None, :, None] / np.cos(angles), ends[:, None, None] / np.sin(angles))
        corners = np.pad(self._within(to_edge).mean(-1) / 4, ((1, 0), (1, 0)))
        return np.diff(np.diff(corners, axis=0), axis=1)


def _parts(offset: float, phases: int) -> list[tuple[int, float]]:
    """Return the two parts of a pixel between which an offset lies, with their weights."""
    first = min(int(offset * phases), phases - 1)
    beyond = offset * phases - first
    return [(first, 1 - beyond), (first + 1, beyond)]


def read_response(folder: str | Path, event_type: str = "FB") -> Response:
    """Return the response of an event type.

    Parameters
    ----------
    folder : str or pathlib.Path
        The project's `resources`, which holds `fermi/psf.ecsv` and `fermi/exposure.ecsv`.
    event_type : str
        One of `EVENT_TYPES`.

    Raises
    ------
    UserError
        If a table is missing or is not of this kind, or has no such event type.
    """
    path = Path(folder) / "fermi"
    psf = _rows(path / "psf.ecsv", event_type, ("event_type", "energy"))
    year = _rows(path / "exposure.ecsv", event_type, ("event_type", "energy", "declination", "exposure"))
    fractions = np.asarray(psf.meta.get("fractions", []), dtype=float)
    names = [name for name in psf.colnames if name.startswith("radius_")]
    energies = np.asarray(psf["energy"], dtype=float)
    declinations = np.unique(np.asarray(year["declination"], dtype=float))
    if not len(fractions) or len(names) != len(fractions):
        raise UserError(f"{path / 'psf.ecsv'}: its `fractions` do not fit its radii; make it by tabulate_lat.py.")
    if len(year) != len(energies) * len(declinations):
        raise UserError(f"{path / 'exposure.ecsv'}: does not fit psf.ecsv; make both by tabulate_lat.py.")
    yearly = np.asarray(year["exposure"], dtype=float).reshape(len(energies), len(declinations))
    radii = np.array([psf[name] for name in names], dtype=float).T
    return Response(event_type, energies, declinations, yearly, fractions, radii)


def _rows(path: Path, event_type: str, columns: tuple) -> Table:
    """Return the rows of an event type of a table that has these columns."""
    table = read_table(path, "a table of the Fermi-LAT's response")
    missing = [name for name in columns if name not in table.colnames]
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`, so it is no table of the Fermi-LAT's response.")
    rows = table[np.asarray(table["event_type"]) == event_type]
    if not len(rows):
        known = ", ".join(sorted(set(table["event_type"])))
        raise UserError(f"{path}: has no event type `{event_type}`; choose one of {known}.")
    return rows
