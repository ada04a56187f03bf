"""The chain of networks that searches a cube: a map of sources, their lines, each source alone, what it is like."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import keras
import numpy as np
from astropy.table import Column, Table

from ..detect import line_search as search
from ..images.cubes import Cube
from .predict import outputs
from .running import Stages, of_size

ROUNDS = 2
"""How often sources are taken out of each other's images: the second time with the shapes that the first gave."""
FEWEST_CHANNELS = 16
"""With fewer, there is no line to look for in a spectrum."""
STEP = 16
"""Sides of an image for the map's network are multiples of this [pixel]."""
MERGED = 2.0
"""Candidates nearer than this [pixel] at one frequency are one source."""
LOOKS = 3
"""How often lines are looked for in a spectrum, each time without those already found: the next are fainter."""
FAINT = 5.0
"""Least height, in errors, of the lines of a second look."""


@dataclass
class Filter:
    """How the channels are weighed to see one source, and what the sum shows of it.

    Attributes
    ----------
    weights : numpy.ndarray, shape (channels,)
        Template of `Cube.summed`.
    shape : numpy.ndarray, shape (channels,)
        Spectrum of what the sum shows, in any unit.
    offset : float
        Flux density of the source that the sum does not show [Jy].
    others : list of Candidate
        Other sources in the sum.
    """

    weights: np.ndarray
    shape: np.ndarray
    offset: float
    others: list[search.Candidate]

    def flux_unit(self, rms: np.ndarray, chosen: np.ndarray) -> float:
        """Return the mean flux density [Jy] in the channels `chosen` for a sum of one."""
        rms = np.asarray(rms, float)
        norm = np.sqrt(np.nansum((self.weights / rms) ** 2))
        return float(self.shape[chosen].mean() * norm / np.nansum(self.weights * self.shape / rms**2))


def find_regions(cube: Cube, network: keras.Model, settings) -> list[search.Candidate]:
    """Return the candidates on the image summed over frequency."""
    snr = cube.integrated()
    given = search.map_input(snr)
    height, width = given.shape[:2]
    padded = np.pad(given, ((0, -height % STEP), (0, -width % STEP), (0, 0)))
    heat = outputs(of_size(network, padded.shape), padded[None], 1)[0, :height, :width, 0]
    heat = np.where(np.isfinite(snr[: 2 * height : 2, : 2 * width : 2]), heat, 0)
    return search.regions(heat, settings.map_threshold, settings.dilation)


def give_spectra(cube: Cube, candidates: list, settings, responses: search.Responses) -> None:
    """Give each candidate its spectrum, of its box or solved for together."""
    if settings.deblend:
        search.deblended_spectra(cube, candidates, responses)
    else:
        search.box_spectra(cube, candidates)


def clean_spectra(candidates: list, network: keras.Model) -> np.ndarray:
    """Return the cleaned spectra (n, channels), 0 to 1."""
    if not candidates:
        return np.zeros((0, 0), np.float32)
    given = np.stack([search.line_input(one.spectrum, one.noise) for one in candidates])
    return outputs(of_size(network, given.shape[1:]), given, 8)[..., 0]


def find_lines(cube: Cube, candidates: list, network: keras.Model, settings, responses: search.Responses) -> list:
    """Return the candidates with their lines; those that lie over each other at different frequencies become two."""
    give_spectra(cube, candidates, settings, responses)
    if len(cube.data) < FEWEST_CHANNELS:
        return candidates
    found = []
    for number, lines in enumerate(spectral_lines(candidates, network, settings)):
        found += _split(cube, candidates, number, lines, responses)
    found = _unique(found)
    give_spectra(cube, found, settings, responses)
    for one, lines in zip(found, spectral_lines(found, network, settings), strict=True):
        if np.isfinite(one.z):
            lines = sorted(lines, key=lambda line: abs(line[0] - one.z))
        _set_line(one, lines[0] if lines else None)
    return found


def spectral_lines(candidates: list, network: keras.Model, settings) -> list[list[tuple]]:
    """Return centre, FWHM and errors of the lines of each candidate's spectrum, the highest first.

    The network sees a spectrum by its own height, so that lines much fainter than the highest are lost in the first
    look; they are found in the next, which is without those that are known.
    """
    found: list[list[tuple]] = [[] for _ in candidates]
    left = dict(enumerate(candidates))
    for look in range(LOOKS):
        rest = {}
        for (number, one), clean in zip(left.items(), clean_spectra(list(left.values()), network), strict=True):
            lines = _fitted(one, clean, settings.line_height, FAINT if look else 3.0)
            found[number] += lines
            spectrum = one.spectrum
            for z, line_fwhm, *_ in lines:
                spectrum = search.without_line(spectrum, z, line_fwhm)
            if lines:
                rest[number] = replace(one, spectrum=spectrum)
        left = rest
    return found


def _fitted(one: search.Candidate, clean: np.ndarray, height: float, least: float) -> list[tuple]:
    """Return centre, FWHM and errors of the lines of a cleaned spectrum, the highest first."""
    fits = [search.fit_line(one.spectrum, one.noise, *peak, least) for peak in search.line_peaks(clean, height)]
    return [fit for fit in fits if fit is not None]


def _set_line(one: search.Candidate, line: tuple | None) -> None:
    one.z, one.line_fwhm, one.z_error, one.line_fwhm_error = line or (np.nan,) * 4


def _split(cube: Cube, candidates: list, number: int, lines: list[tuple], responses: search.Responses) -> list:
    """Return a candidate, or one for each place that its lines come from."""
    one = candidates[number]
    if not lines:
        return [replace(one, z=np.nan, line_fwhm=np.nan)]
    placed = []
    for line in lines:
        weights = search.line_weights(cube.rms, *line[:2], [other[:2] for other in lines if other is not line])
        if weights is None:
            continue
        found = search.focus(cube.summed(weights), candidates, number, responses, cube.beam)
        if found.snr >= 4 and np.hypot(found.x - one.x, found.y - one.y) < max(cube.beam[:2]):
            placed.append((line, found))
    if not placed:
        placed = [(lines[0], None)]
    parts = []
    for line, found in placed:
        apart = all(
            np.hypot(found.x - other.x, found.y - other.y) > max(1.0, 3 * np.hypot(found.error, other.error))
            for _, other in parts
        )
        if apart:
            parts.append((line, found))
        if found is None:
            break
    result = []
    for line, found in parts:
        x, y = (found.x, found.y) if len(parts) > 1 else (one.x, one.y)
        part = replace(one, x=x, y=y)
        _set_line(part, line)
        result.append(part)
    return result


def _unique(candidates: list) -> list:
    """Return the candidates without those that another, surer one stands for."""
    kept: list[search.Candidate] = []
    for one in sorted(candidates, key=lambda candidate: -candidate.score):
        same = [
            other
            for other in kept
            if np.hypot(one.x - other.x, one.y - other.y) < MERGED
            and (not np.isfinite(one.z - other.z) or abs(one.z - other.z) < one.line_fwhm + other.line_fwhm)
        ]
        if not same:
            kept.append(one)
    return kept


def template(one: search.Candidate) -> np.ndarray:
    """Return the spectrum that a source is searched with: continuum and lines, smoothed, not below zero [Jy]."""
    spectrum = np.nan_to_num(one.spectrum)
    line = search.window(one.z, one.line_fwhm, len(spectrum)) if np.isfinite(one.z) else np.zeros(len(spectrum), bool)
    level = max(float(np.median(spectrum[~line])) if (~line).any() else 0.0, 0.0)
    if not line.any():
        return np.full(len(spectrum), max(level, one.noise / 10))
    shape = _gaussian(one, len(spectrum))
    height = max(float(np.sum((spectrum - level) * shape) / np.sum(shape**2)), one.noise / 2)
    return level + height * shape


def filter_of(cube: Cube, candidates: list, number: int) -> Filter:
    """Return the filter of a candidate: its own spectrum, or its line alone where another source lies in its beam.

    In the line alone, what lies over the source at other frequencies is not there at all, and need not be taken out.
    """
    one = candidates[number]
    others = [other for other in candidates if other is not one]
    over = [other for other in others if _over_each_other(one, other, cube.beam[0])]
    if over:
        lines = [(other.z, other.line_fwhm) for other in over if np.isfinite(other.z)]
        weights = search.line_weights(cube.rms, one.z, one.line_fwhm, lines)
        if weights is not None:
            beside = ~search.window(one.z, 2 * one.line_fwhm, len(one.spectrum))
            level = max(float(np.median(one.spectrum[beside])), 0.0) if beside.any() else 0.0
            rest = [other for other in others if other not in over]
            return Filter(weights, _gaussian(one, len(one.spectrum)), level, rest)
    weights = template(one)
    return Filter(weights, weights, 0.0, others)


def _over_each_other(one: search.Candidate, other: search.Candidate, beam: float) -> bool:
    """Return whether another source lies within the beam of one that has a line, and has none at its frequency."""
    near = np.isfinite(one.z) and np.hypot(one.x - other.x, one.y - other.y) < beam
    return near and not abs(one.z - other.z) <= (one.line_fwhm + other.line_fwhm) / 2


def _gaussian(one: search.Candidate, channels: int) -> np.ndarray:
    """Return a candidate's line with a height of one, shape (channels,)."""
    return np.exp(-0.5 * ((np.arange(channels) - one.z) * search.FWHM / one.line_fwhm) ** 2)


def focus_all(cube: Cube, candidates: list, responses: search.Responses) -> tuple[list[Filter], list[search.Focused]]:
    """Return for each candidate its filter, and the image of it alone that the filter gives."""
    filters = [filter_of(cube, candidates, number) for number in range(len(candidates))]
    stamps = [
        search.focus(cube.summed(used.weights), [one, *used.others], 0, responses, cube.beam)
        for one, used in zip(candidates, filters, strict=True)
    ]
    return filters, stamps


def line_snr(cube: Cube, candidates: list, responses: search.Responses) -> np.ndarray:
    """Return the S/N of every candidate in its focused image: the plain sum of the line's channels."""
    values = []
    for number, one in enumerate(candidates):
        image = cube.summed(search.window(one.z, one.line_fwhm, len(cube.data)))
        values.append(search.focus(image, candidates, number, responses, cube.beam).snr)
    return np.array(values)


def estimate(networks: Mapping[str, keras.Model], stamps: list[search.Focused]) -> dict[str, np.ndarray]:
    """Return what the networks say of single sources.

    Parameters
    ----------
    networks : mapping of str to keras.Model
        By quantity: ``fwhm_major``, ``fwhm_minor``, ``pa``, ``flux``.
    stamps : list of Focused

    Returns
    -------
    dict
        ``fwhm_major``, ``fwhm_minor`` [pixel], ``pa`` [deg], ``flux`` (in units of the stamp's noise), each with its
        ``_error`` as the network has it, not calibrated; shape (n,).
    """
    given = np.stack([search.stamp_input(one) for one in stamps])
    height = np.array([max(one.snr, 1.0) for one in stamps])
    result = {}
    for name, network in networks.items():
        raw = outputs(network, given, 8).astype(float)
        if name == "pa":
            cosine, sine = raw[:, 0], raw[:, 1]
            result["pa"] = np.degrees(np.arctan2(sine, cosine)) / 2 % 180
            spread = np.exp(0.5 * raw[:, 2]) if raw.shape[1] > 2 else np.full(len(raw), 0.5)
            # The error of an angle from that of its vector; a vector shorter than its error has no direction.
            result["pa_error"] = np.minimum(np.degrees(spread / np.maximum(np.hypot(cosine, sine), 1e-3)) / 2, 52.0)
            continue
        scale = height if name == "flux" else 5.0
        result[name] = scale * np.exp(np.clip(raw[:, 0], -4, 4))
        relative = np.exp(0.5 * np.clip(raw[:, 1], -14, 4)) if raw.shape[1] > 1 else np.full(len(raw), 0.1)
        result[f"{name}_error"] = result[name] * relative
    return result


def characterise(cube: Cube, candidates: list, networks: Mapping, settings, responses: search.Responses) -> list[dict]:
    """Return one row a source with all that is measured; too faint ones are dropped."""
    for turn in range(ROUNDS):
        filters, stamps = focus_all(cube, candidates, responses)
        snr = line_snr(cube, candidates, responses)
        kept = [number for number, value in enumerate(snr) if value >= settings.focused_snr]
        if len(kept) < len(candidates):
            candidates = [candidates[number] for number in kept]
            give_spectra(cube, candidates, settings, responses)
            (filters, stamps), snr = focus_all(cube, candidates, responses), line_snr(cube, candidates, responses)
        if not candidates:
            return []
        values = estimate(networks, stamps)
        for number, (one, stamp) in enumerate(zip(candidates, stamps, strict=True)):
            one.x, one.y = stamp.x, stamp.y
            if "fwhm_major" in values and "pa" in values:
                major, minor = (max(float(values[key][number]), 0.5) for key in ("fwhm_major", "fwhm_minor"))
                one.shape = (max(major, minor), min(major, minor), float(values["pa"][number]))
        if turn < ROUNDS - 1:
            give_spectra(cube, candidates, settings, responses)
    return [
        _row(cube, one, used, stamp, {key: float(value[number]) for key, value in values.items()}, float(snr[number]))
        for number, (one, used, stamp) in enumerate(zip(candidates, filters, stamps, strict=True))
    ]


def _row(cube: Cube, one: search.Candidate, used: Filter, stamp: search.Focused, values: dict, snr: float) -> dict:
    chosen = search.window(one.z, one.line_fwhm, len(cube.data))
    row = {"x": stamp.x, "y": stamp.y, "x_error": stamp.error, "y_error": stamp.error}
    row |= {"z": one.z, "line_fwhm": one.line_fwhm, "z_error": one.z_error, "line_fwhm_error": one.line_fwhm_error}
    moments = search.line_moments(one.spectrum, one.noise, one.z, one.line_fwhm)
    row |= dict(zip(("mean_z", "moment_fwhm", "mean_z_error", "moment_fwhm_error"), moments, strict=True))
    row |= {"score": one.score, "snr": snr, "matched_snr": stamp.snr}
    row |= {name: value for name, value in values.items() if not name.startswith("flux")}
    if row.get("fwhm_minor", 0.0) > row.get("fwhm_major", np.inf):
        for end in ("", "_error"):
            row[f"fwhm_major{end}"], row[f"fwhm_minor{end}"] = row[f"fwhm_minor{end}"], row[f"fwhm_major{end}"]
    if "flux" in values:
        unit = used.flux_unit(cube.rms, chosen)
        row |= {"flux": values["flux"] * unit + used.offset, "flux_error": values["flux_error"] * unit}
        line = ~chosen
        row["continuum"] = float(np.median(one.spectrum[line])) if np.isfinite(one.z) and line.any() else row["flux"]
        row["continuum_error"] = 1.2533 * one.noise / np.sqrt(max(line.sum() if np.isfinite(one.z) else len(line), 1))
    x0, x1, y0, y1 = search.box(stamp.x, stamp.y, one.shape, cube.beam)
    lit = np.flatnonzero(chosen)
    return row | {"x0": x0, "x1": x1, "y0": y0, "y1": y1, "z0": int(lit[0]), "z1": int(lit[-1]) + 1}


UNITS = {
    **dict.fromkeys(("x", "y", "fwhm_major", "fwhm_minor"), "pix"),
    **dict.fromkeys(("flux", "continuum"), "Jy"),
    "pa": "deg",
}
COLUMNS = ("x", "y", "z", "line_fwhm", "mean_z", "moment_fwhm", "flux", "continuum", "fwhm_major", "fwhm_minor", "pa")
WHOLE = ("cube", "x0", "x1", "y0", "y1", "z0", "z1")


def detection_table(rows: list[dict]) -> Table:
    """Return rows of `search_cube`, with the number of their ``cube``, as a table with units."""
    names = list(WHOLE)
    for name in COLUMNS:
        names += [name, f"{name}_error"]
    table = Table()
    for name in [*names, "score", "snr", "matched_snr"]:
        kind = int if name in WHOLE else float
        unit = UNITS.get(name.removesuffix("_error"))
        table[name] = Column([row.get(name, np.nan) for row in rows], dtype=kind, unit=unit)
    return table


def search_cube(cube: Cube, networks: Mapping[str, keras.Model], settings, stages: Stages | None = None) -> list[dict]:
    """Search one cube and return one row a source.

    Parameters
    ----------
    cube : Cube
    networks : mapping of str to keras.Model
        By role: ``map``, ``lines``, and the quantities (`skyloom.learn.chains`).
    settings : skyloom.cases.alma_cubes.Search
    stages : Stages, optional
        Where the time goes.
    """
    stages = stages or Stages()
    now = time.perf_counter()
    candidates = find_regions(cube, networks["map"], settings)
    now = stages.add("map", now)
    if not candidates:
        return []
    responses = search.Responses(cube)
    candidates = find_lines(cube, candidates, networks["lines"], settings, responses)
    now = stages.add("lines", now)
    quantities = {name: network for name, network in networks.items() if name not in ("map", "lines")}
    rows = characterise(cube, candidates, quantities, settings, responses)
    stages.add("sources", now)
    return rows
