"""How well sources are found in cubes and measured, from `skyloom.learn.detection_scores`, and what that looks like."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MultipleLocator, PercentFormatter

from ..detect.match_sources import BOX, match_sources, values
from ..images.cubes import Cube
from ..learn.detection_scores import (
    BRIGHT_SNR,
    ELONGATED,
    LOWEST_SNR,
    PA_WITHIN,
    QUANTITIES,
    SNR_EDGES,
    WITHIN,
)
from . import style

WORDS = {
    "x": "x position",
    "y": "y position",
    "z": "line centre",
    "line_fwhm": "line width",
    "flux": "flux",
    "fwhm_major": "major axis",
    "fwhm_minor": "minor axis",
    "pa": "position angle",
}
ONE_SIGMA = 0.6827
TOLERANCE = 0.03
"""How far the share of errors that hold may be from `ONE_SIGMA`."""
SHOWN = 8
"""Sources of an example that get a spectrum and an image of their own."""
CUTOUT = 48
"""Width of a source's own image [pixel]."""
SOFTENING = 3.0
"""S/N at which the palette of images turns from linear to logarithmic."""
_FEWEST = 5
_DENSITY = LinearSegmentedColormap.from_list("density", ["#C6DDEE", style.PALETTE[0], "#052A47"])
_BAND = {"color": style.PALETTE[2], "alpha": 0.13, "lw": 0}
_OUTLINE = [withStroke(linewidth=2.4, foreground="white")]
_POINTS = {"s": 7, "color": style.PALETTE[0], "alpha": 0.4, "linewidths": 0, "rasterized": True}


def completeness_purity(detectors: dict[str, dict], where: str = "3d") -> Figure:
    """Return completeness and purity against S/N for several detectors, with intervals.

    Parameters
    ----------
    detectors : dict of str to dict
        Names and `skyloom.learn.detection_scores.detector_scores`.
    where : str
        "2d" for matches in the image, "3d" for matches in the cube.
    """
    figure, axes = style.new_figure(8, 4.3, ncols=2, sharey=True)
    colours = style.colours(detectors)
    for ax, name, snr in zip(axes, ("completeness", "purity"), ("source_snr", "detection_snr"), strict=True):
        for place, (detector, scores) in enumerate(detectors.items()):
            bins = [row for row in scores[where]["bins"] if row[name]["value"] is not None]
            # A little beside each other, so that intervals can be told apart.
            x = np.array([row[snr] for row in bins]) * 1.025 ** (place - (len(detectors) - 1) / 2)
            ax.errorbar(x, *_with_bars([row[name] for row in bins]), color=colours[detector], **_line("o"))
        ax.axvline(LOWEST_SNR, color=style.GREY, lw=0.9, ls=":")
        ax.set(xscale="log", ylim=(-0.03, 1.03), ylabel=name)
        style.plain_log(ax.xaxis)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    cube = {"2d": "in the image", "3d": "in the cube"}[where]
    axes[0].set(xlabel="true S/N of the source", title=f"Completeness {cube}")
    axes[1].set(xlabel="S/N of the detection", title=f"Purity {cube}")
    axes[1].tick_params(labelleft=True)
    handles = []
    for detector, scores in detectors.items():
        at = scores[where]["detectable"]
        text = f"{detector}: {_share(at['completeness'])} complete, {_share(at['purity'])} pure"
        handles.append(Line2D([], [], color=colours[detector], marker="o", ms=4, lw=1.2, label=text))
    handles.append(
        Line2D([], [], color=style.GREY, lw=0.9, ls=":", label=f"S/N {LOWEST_SNR:g}, from which the text counts")
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def trade_off(detectors: dict[str, dict], where: str = "3d") -> Figure:
    """Return purity against completeness over all thresholds of the score, the chosen threshold marked.

    Parameters
    ----------
    detectors, where
        As in `completeness_purity`.
    """
    figure, ax = style.new_figure(5.4, 4.6)
    colours = style.colours(detectors)
    lowest = 1.0
    for detector, scores in detectors.items():
        line, chosen = scores[f"curve_{where}"], scores[where]["detectable"]
        ax.plot(line["completeness"], line["purity"], color=colours[detector], label=detector)
        at = chosen["completeness"]["value"], chosen["purity"]["value"]
        if None not in at:
            ax.plot(*at, "o", ms=8, mfc="none", mec=colours[detector], mew=1.8)
            lowest = min(lowest, *at)
    ring = Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec=style.GREY, mew=1.8, label="chosen threshold")
    # The corner where detectors are used, with some way to it.
    start = max(0.0, np.floor(10 * lowest - 2.5) / 10)
    frame = (start - 0.02 * (1 - start), 1 + 0.02 * (1 - start))
    ax.set(xlim=frame, ylim=frame, xlabel="completeness", ylabel="purity")
    ax.set_title(
        f"Sources of S/N ≥ {LOWEST_SNR:g}, {'matched in the image' if where == '2d' else 'matched in the cube'}"
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(handles=[*ax.get_legend_handles_labels()[0], ring], loc="lower left")
    return figure


def _with_bars(intervals: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Return values and the lengths of their bars, shapes (n,) and (2, n); no bar where there is no interval."""
    value, low, high = (
        np.array([interval[end] for interval in intervals], dtype=float) for end in ("value", "low", "high")
    )
    return value, np.nan_to_num(np.maximum([value - low, high - value], 0))


def _line(marker: str) -> dict:
    return {"marker": marker, "ms": 4, "lw": 1.2, "elinewidth": 1.2, "capsize": 2}


def _share(interval: dict) -> str:
    return "none" if interval["value"] is None else f"{interval['value']:.1%}"


def residuals(rows: Table, summary: dict) -> Figure:
    """Return what was measured against the truth: positions, fluxes, position angles and sizes.

    Parameters
    ----------
    rows : astropy.table.Table
        From `skyloom.learn.detection_scores.residuals`.
    summary : dict
        Their `skyloom.learn.detection_scores.residual_summary`.
    """
    figure, axes = style.new_figure(8, 10.4, nrows=3, ncols=2)
    if not len(rows):
        for ax in axes.flat:
            style.say_empty(ax, "no source was found")
        return figure
    overall = summary["all"]
    _positions(axes[0, 0], rows, overall)
    _distances(axes[0, 1], rows, summary)
    _fluxes(axes[1, 0], rows, overall)
    _angles(axes[1, 1], rows, overall)
    for ax, name, word in ((axes[2, 0], "fwhm_major", "Major"), (axes[2, 1], "fwhm_minor", "Minor")):
        _sizes(ax, rows, name)
        ax.set_title(f"{word} axis")
    return figure


def _positions(ax: Axes, rows: Table, overall: dict) -> None:
    dx, dy = values(rows, "dx"), values(rows, "dy")
    reach = 1.1 * max(0.1, float(np.nanquantile(np.abs([dx, dy]), 0.98)))
    inside = (np.abs(dx) <= reach) & (np.abs(dy) <= reach)
    ax.scatter(dx[inside], dy[inside], **_POINTS)
    radius = overall["position_residual"]["value"]
    ax.add_patch(Ellipse((0, 0), 2 * radius, 2 * radius, fill=False, ec=style.PALETTE[1], lw=1.5))
    ax.axhline(0, color=style.GREY, lw=0.8)
    ax.axvline(0, color=style.GREY, lw=0.8)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel="x, detected − true [pixel]", ylabel="y, detected − true [pixel]", title="Positions")
    text = [f"{len(rows)} sources, {np.sum(~inside)} of them outside", f"circle: median, {radius:.3f} pixel"]
    text += [f"mean {name}: {_mean(overall[f'd{name}'])} pixel" for name in "xy"]
    _note(ax, "\n".join(text))


def _mean(interval: dict) -> str:
    error = "" if interval["high"] is None else f" ± {interval['high'] - interval['value']:.4f}"
    return f"{interval['value']:+.4f}{error}"


def _note(ax: Axes, text: str, x: float = 0.03, y: float = 0.97) -> None:
    box = {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1.5}
    ax.text(x, y, text, transform=ax.transAxes, va="top", fontsize=7.5, linespacing=1.35, bbox=box)


def _distances(ax: Axes, rows: Table, summary: dict) -> None:
    snr, distance = values(rows, "snr"), values(rows, "distance")
    ax.scatter(snr, np.maximum(distance, 1e-4), **_POINTS)
    _running(ax, snr, distance)
    _snr_axis(ax, snr)
    ax.set(yscale="log", ylabel="distance, detected to true [pixel]", title="Position residuals")
    ax.set_ylim(bottom=max(1e-4, 0.5 * float(np.nanquantile(distance, 0.005))))
    style.plain_log(ax.yaxis)
    bright = summary["bright"]["position_residual"]
    if bright["value"] is not None:
        _note(ax, f"median at S/N ≥ {BRIGHT_SNR:g}: {bright['value']:.3f} pixel", y=0.07)


def _fluxes(ax: Axes, rows: Table, overall: dict) -> None:
    ax.set_title("Flux")
    if overall["flux_within"]["value"] is None:
        style.say_empty(ax, "not measured")
        return
    snr, ratio = values(rows, "snr"), values(rows, "flux_ratio")
    ax.axhspan(1 - WITHIN, 1 + WITHIN, **_BAND)
    ax.axhline(1, color=style.GREY, lw=0.8)
    low, high = 0.4, 1.6
    inside = (ratio >= low) & (ratio <= high)
    ax.scatter(snr[inside], ratio[inside], **_POINTS)
    for beyond, edge, marker in ((ratio < low, low, 7), (ratio > high, high, 6)):
        ax.scatter(snr[beyond], np.full(beyond.sum(), edge), marker=marker, s=22, color=style.PALETTE[0], alpha=0.5)
    _running(ax, snr, ratio)
    _snr_axis(ax, snr)
    ax.set(ylim=(low - 0.03, high + 0.03), ylabel="flux, detected / true")
    _note(ax, f"within {WITHIN:.0%}: {_share(overall['flux_within'])}")


def _running(ax: Axes, snr: np.ndarray, value: np.ndarray) -> None:
    """Draw medians in bins of S/N, with bars from the 16th to the 84th percentile."""
    for low, high in zip(SNR_EDGES[:-1], SNR_EDGES[1:], strict=True):
        inside = (snr >= low) & (snr < high) & np.isfinite(value)
        if inside.sum() >= _FEWEST:
            bottom, middle, top = np.quantile(value[inside], [0.16, 0.5, 0.84])
            bars = [[middle - bottom], [top - middle]]
            look = {"color": style.PALETTE[1], "marker": "s", "ms": 4, "lw": 1.4, "capsize": 2}
            ax.errorbar(np.median(snr[inside]), middle, bars, **look)


def _snr_axis(ax: Axes, snr: np.ndarray) -> None:
    ax.set(xscale="log", xlabel="true S/N of the source")
    known = snr[np.isfinite(snr) & (snr > 0)]
    if len(known):
        ax.set_xlim(known.min() * 0.9, known.max() * 1.1)
    style.plain_log(ax.xaxis)


def _angles(ax: Axes, rows: Table, overall: dict) -> None:
    ax.set_title("Position angle")
    if overall["pa_within"]["value"] is None:
        style.say_empty(ax, "not measured")
        return
    difference = values(rows, "pa_difference")
    long = values(rows, "axis_ratio") > ELONGATED
    edges = np.linspace(-90, 90, 31)
    ax.axvspan(-PA_WITHIN, PA_WITHIN, **_BAND)
    ax.hist(difference, edges, color=style.LIGHT, ec=style.GREY, lw=0.6, label="all")
    ax.hist(
        difference[long], edges, histtype="step", color=style.PALETTE[0], lw=1.5, label=f"axis ratio > {ELONGATED:g}"
    )
    ax.set_ylim(top=1.22 * ax.get_ylim()[1])
    ax.xaxis.set_major_locator(MultipleLocator(30))
    ax.set(xlim=(-90, 90), xlabel="position angle, detected − true [deg]", ylabel="sources")
    ax.legend(loc="upper right", fontsize=7.5)
    share = f"within {PA_WITHIN:g}°: {_share(overall['pa_within'])}\n"
    _note(ax, share + f"axis ratio > {ELONGATED:g}: {_share(overall['pa_within_elongated'])}")


def _sizes(ax: Axes, rows: Table, name: str) -> None:
    true = values(rows, name)
    measured = true * values(rows, f"{name}_ratio")
    known = np.isfinite(measured) & np.isfinite(true)
    if not known.any():
        style.say_empty(ax, "not measured")
        return
    true, measured = true[known], measured[known]
    top = 1.08 * max(true.max(), float(np.quantile(measured, 0.99)))
    image = ax.hexbin(true, measured, gridsize=28, extent=(0, top, 0, top), mincnt=1, cmap=_DENSITY, lw=0.2, bins="log")
    line = np.array([0, top])
    ax.plot(line, line, color=style.PALETTE[1], lw=1)
    for factor in (1 - WITHIN, 1 + WITHIN):
        ax.plot(line, factor * line, color=style.PALETTE[1], lw=0.8, ls="--")
    ax.set(xlim=(0, top), ylim=(0, top), aspect="equal", xlabel="true FWHM [pixel]", ylabel="detected FWHM [pixel]")
    ax.figure.colorbar(image, ax=ax, label="sources", shrink=0.8, format="%g")
    within = np.mean(np.abs(measured / true - 1) <= WITHIN)
    _note(ax, f"within {WITHIN:.0%}: {within:.1%}\n{np.sum(measured > top)} above the frame")


def coverage(summary: dict) -> Figure:
    """Return how many errors of one standard deviation hold, by S/N, for each quantity that has errors.

    Parameters
    ----------
    summary : dict
        From `skyloom.learn.detection_scores.residual_summary`.
    """
    measured = [name for name in QUANTITIES if summary["all"]["coverage"][name]["value"] is not None]
    columns = min(4, max(1, len(measured)))
    count = -(-len(measured) // columns) if measured else 1
    figure, axes = style.new_figure(
        8, 0.7 + 2.2 * count, nrows=count, ncols=columns, sharex=True, sharey=True, squeeze=False
    )
    for ax in axes.flat[len(measured) :]:
        ax.axis("off")
    if not measured:
        style.say_empty(axes.flat[0], "nothing was measured with an error")
    for ax, name in zip(axes.flat, measured, strict=False):
        bins = [row for row in summary["bins"] if row["coverage"][name]["value"] is not None]
        ax.axhspan(ONE_SIGMA - TOLERANCE, ONE_SIGMA + TOLERANCE, **_BAND)
        ax.axhline(ONE_SIGMA, color=style.GREY, lw=0.9)
        snr = np.array([row["snr"] for row in bins])
        ax.errorbar(snr, *_with_bars([row["coverage"][name] for row in bins]), color=style.PALETTE[0], **_line("o"))
        ax.set(xscale="log", ylim=(0, 1.03))
        ax.set_title(f"{WORDS[name]}: {_share(summary['all']['coverage'][name])}", fontsize=9)
        style.plain_log(ax.xaxis)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.tick_params(labelbottom=True)
    if measured:
        figure.supxlabel("true S/N of the source", fontsize=9)
        figure.supylabel("share of 1σ intervals that hold the truth", fontsize=9)
    return figure


@dataclass(frozen=True)
class _Source:
    """A detection of an example: its number, its colour, its columns, and the z of its true source (NaN if none)."""

    number: int
    colour: str
    at: dict[str, float]
    true_z: float


def example(cube: Cube, detections: Table, truth: Table | None = None, title: str = "") -> Figure:
    """Return a page on one cube: its integrated image, and for each source its spectrum and its focused image.

    Parameters
    ----------
    cube : skyloom.images.cubes.Cube
    detections : astropy.table.Table
        Those of this cube; the surest `SHOWN` have a spectrum and an image.
    truth : astropy.table.Table, optional
        True sources of this cube.
    title : str
        Name of the cube.
    """
    sources = _sources(detections, truth)
    shown = sources[:SHOWN]
    rows = max(1, -(-len(shown) // 2))
    height = 5.1 + (1.65 * rows if shown else 0.8)
    figure = style.plt.figure(figsize=(8, height))

    def axes(left: float, top: float, wide: float, high: float) -> Axes:
        """Return axes at a place in inches from the upper left corner; images and spectra line up only by hand."""
        return figure.add_axes((left / 8, 1 - (top + high) / height, wide / 8, high / height))

    _field(axes(0.6, 0.3, 4.35, 4.35), axes(5.05, 0.8, 0.12, 3.35), cube, sources, truth, title)
    _legend(axes(5.95, 0.3, 1.95, 4.35), sources, truth)
    for place, source in enumerate(shown):
        left, top = 0.6 + 3.95 * (place % 2), 5.3 + 1.65 * (place // 2)
        _spectrum(axes(left, top, 1.75, 0.95), cube, source)
        _focused(axes(left + 1.88, top - 0.03, 1.2, 1.2), cube, source, truth)
    if not shown:
        style.say_empty(axes(0.6, 5.2, 7, 0.6), "nothing was found")
    return figure


def _sources(detections: Table, truth: Table | None) -> list[_Source]:
    """Return the detections, the surest first."""
    columns = ("x", "y", "z", *BOX, "z0", "z1", "score", "snr", "fwhm_major", "fwhm_minor", "pa", "flux", "flux_error")
    known = {name: values(detections, name) for name in columns}
    true_z = np.full(len(detections), np.nan)
    if truth is not None:
        matched = match_sources(truth, detections, iou=None, spectral=bool(np.isfinite(known["z"]).any()))
        true_z[matched[matched >= 0]] = values(truth, "z")[matched >= 0]
    colours = style.PALETTE[:-1]
    return [
        _Source(
            place + 1,
            colours[place % len(colours)],
            {name: float(column[index]) for name, column in known.items()},
            float(true_z[index]),
        )
        for place, index in enumerate(np.argsort(-known["score"], kind="stable"))
    ]


def _field(ax: Axes, bar: Axes, cube: Cube, sources: list[_Source], truth: Table | None, title: str) -> None:
    snr = cube.integrated()
    height, width = snr.shape
    shown = _image(ax, snr, (-0.5, width - 0.5, -0.5, height - 0.5))
    ticks = [tick for tick in (0, 3, 10, 30, 100, 300, 1000, 3000) if tick <= shown.norm.vmax]
    ax.figure.colorbar(shown, cax=bar, label="S/N, summed over all channels", ticks=ticks, format="%g").minorticks_off()
    _true_ellipses(ax, cube, truth)
    for source in sources:
        x0, x1, y0, y1 = (source.at[name] for name in BOX)
        if not np.isfinite([x0, x1, y0, y1]).all():
            continue
        # Half-open boxes of pixels, whose centres are whole numbers.
        ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=source.colour, lw=1.3))
        # At another corner each, so that overlapping sources keep their numbers apart.
        right, upper = source.number % 2 == 1, (source.number - 1) % 4 < 2
        look = {"ha": "left" if right else "right", "va": "bottom" if upper else "top"}
        look |= {"color": source.colour, "fontsize": 9, "fontweight": "bold", "clip_on": True}
        ax.text(x1 if right else x0 - 1, y1 - 1 if upper else y0, f"{source.number}", **look)
    _beam(ax, cube.beam, 0.03 * width)
    ax.set(xlabel="x [pixel]", ylabel="y [pixel]", title=title)


def _image(ax: Axes, snr: np.ndarray, extent: tuple[float, float, float, float]):
    peak = float(np.nanmax(snr, initial=10.0))
    ax.set_facecolor(style.LIGHT)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True)
    norm = AsinhNorm(linear_width=SOFTENING, vmin=0, vmax=peak)
    return ax.imshow(
        snr, cmap=style.IMAGE_PALETTE, norm=norm, origin="lower", extent=extent, interpolation="nearest", aspect="equal"
    )


def _true_ellipses(ax: Axes, cube: Cube, truth: Table | None) -> None:
    if truth is None:
        return
    for x, y, *shape in zip(
        *(values(truth, name) for name in ("x", "y", "fwhm_major", "fwhm_minor", "pa")), strict=True
    ):
        if not np.isfinite([x, y, *shape]).all():
            continue
        major, minor, pa = seen_with(cube.beam, *shape)
        ax.add_patch(
            Ellipse((x, y), minor, major, angle=pa, fill=False, ec=style.INK, lw=1, ls="--", path_effects=_OUTLINE)
        )


def seen_with(beam: tuple[float, float, float], major: float, minor: float, pa: float) -> tuple[float, float, float]:
    """Return FWHM of the axes [pixel] and position angle [deg] of a Gaussian source as it is seen with a beam.

    Convolved Gaussians add their covariances.
    """

    def covariance(major: float, minor: float, pa: float) -> np.ndarray:
        # East is -x.
        sin, cos = np.sin(np.radians(pa)), np.cos(np.radians(pa))
        axes = np.array([[-sin, cos], [cos, sin]])
        return axes @ np.diag([major**2, minor**2]) @ axes.T

    (small, large), vectors = np.linalg.eigh(covariance(*beam) + covariance(major, minor, pa))
    x, y = vectors[:, 1]
    return float(np.sqrt(large)), float(np.sqrt(max(small, 0))), float(np.degrees(np.arctan2(-x, y)) % 180)


def _beam(ax: Axes, beam: tuple[float, float, float], margin: float) -> None:
    """Draw the beam in the lower left corner."""
    major, minor, pa = beam
    left, low = ax.get_xlim()[0], ax.get_ylim()[0]
    centre = (left + margin + major / 2, low + margin + major / 2)
    ax.add_patch(Ellipse(centre, minor, major, angle=pa, fc="white", ec=style.INK, lw=0.8, alpha=0.9))


def _legend(ax: Axes, sources: list[_Source], truth: Table | None) -> None:
    """List the sources that were found, and what the lines mean."""
    ax.axis("off")
    lines = [(f"{len(sources)} found" + (f", {len(truth)} true" if truth is not None else ""), style.INK)]
    for source in sources[:SHOWN]:
        snr, flux, error = (source.at[name] for name in ("snr", "flux", "flux_error"))
        text = f"{source.number}" + (f"   S/N {snr:.1f}" if np.isfinite(snr) else "")
        if np.isfinite(flux):
            text += f"\n     {1e3 * flux:.2f}" + (f" ± {1e3 * error:.2f}" if np.isfinite(error) else "") + " mJy"
        lines.append((text, source.colour))
    if len(sources) > SHOWN:
        lines.append((f"and {len(sources) - SHOWN} less sure", style.INK))
    y = 1.0
    for text, colour in lines:
        ax.text(0, y, text, transform=ax.transAxes, color=colour, va="top", fontsize=8, linespacing=1.25)
        y -= 0.035 * (1 + text.count("\n")) + 0.012
    handles = [
        Line2D([], [], ls="", marker="s", ms=8, mfc="none", mec=style.GREY, mew=1.3, label="box of a detection"),
        Line2D([], [], color=style.GREY, lw=5, alpha=0.3, label="range of its line"),
    ]
    if any(np.isfinite(source.at["fwhm_major"]) for source in sources):
        handles.append(Line2D([], [], color=style.GREY, lw=1.3, label="its shape with the beam"))
    if truth is not None:
        handles.append(
            Line2D([], [], color=style.INK, lw=1, ls="--", label="true shape with the\nbeam; true line centre")
        )
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.06, -0.02), fontsize=7.5, handlelength=1.5)


def spectrum(cube: Cube, box: tuple[float, float, float, float]) -> np.ndarray:
    """Return the flux density in a box x0, x1, y0, y1 of each channel [Jy], shape (channels,).

    NaN in channels, or in all for a box, without an observed pixel.
    """
    if not np.isfinite(box).all():
        return np.full(len(cube.data), np.nan)
    x0, x1, y0, y1 = (max(0, round(edge)) for edge in box)
    inside = cube.data[:, y0:y1, x0:x1]
    observed = np.isfinite(inside).any(axis=(1, 2))
    return np.where(observed, np.nansum(inside, axis=(1, 2)), np.nan) / cube.beam_area


def _spectrum(ax: Axes, cube: Cube, source: _Source) -> None:
    flux = 1e3 * spectrum(cube, tuple(source.at[name] for name in BOX))
    ax.step(np.arange(len(flux)), flux, where="mid", color=style.INK, lw=0.9)
    z0, z1 = source.at["z0"], source.at["z1"]
    if np.isfinite(source.at["z"]) and np.isfinite([z0, z1]).all():
        ax.axvspan(z0 - 0.5, z1 - 0.5, color=source.colour, alpha=0.25, lw=0)
        frequency = np.interp(source.at["z"], np.arange(len(flux)), cube.frequency) / 1e9
        what = f"{frequency:.3f} GHz"
    else:
        what = "no line"
    if np.isfinite(source.true_z):
        ax.axvline(source.true_z, color=style.INK, lw=1, ls="--")
    ax.set(xlim=(-0.5, len(flux) - 0.5), xlabel="channel", ylabel="in box [mJy]")
    ax.set_title(f"{source.number}: {what}", color=source.colour, fontsize=8.5)
    _small(ax)


def _small(ax: Axes) -> None:
    ax.tick_params(labelsize=7)
    ax.xaxis.label.set_size(7.5)
    ax.yaxis.label.set_size(7.5)


def _focused(ax: Axes, cube: Cube, source: _Source, truth: Table | None) -> None:
    """Show the source in the sum over its line, or over all channels if it has none."""
    x, y, z0, z1 = (source.at[name] for name in ("x", "y", "z0", "z1"))
    if not np.isfinite([x, y]).all():
        style.say_empty(ax, "no position")
        return
    channels = len(cube.data)
    left, low = (int(np.floor(centre)) - CUTOUT // 2 for centre in (x, y))
    columns, rows = (slice(max(0, start), max(0, start + CUTOUT)) for start in (left, low))
    line = np.ones(channels, bool)
    if np.isfinite([source.at["z"], z0, z1]).all():
        line = (np.arange(channels) >= round(z0)) & (np.arange(channels) < round(z1))
    part = replace(cube, data=cube.data[:, rows, columns])
    if part.data.size and line.any():
        snr = part.summed(line)
        x_low, y_low = columns.start - 0.5, rows.start - 0.5
        _image(ax, snr, (x_low, x_low + snr.shape[1], y_low, y_low + snr.shape[0]))
        ax.set_title(f"peak S/N {np.nanmax(snr, initial=0):.0f}", fontsize=7.5, fontweight="normal", pad=3)
    _true_ellipses(ax, cube, truth)
    if np.isfinite([source.at[name] for name in ("fwhm_major", "fwhm_minor", "pa")]).all():
        shape = seen_with(cube.beam, *(source.at[name] for name in ("fwhm_major", "fwhm_minor", "pa")))
        ax.add_patch(
            Ellipse(
                (x, y), shape[1], shape[0], angle=shape[2], fill=False, ec=source.colour, lw=1.3, path_effects=_OUTLINE
            )
        )
    ax.plot(x, y, "+", color=source.colour, ms=6, mew=1.3, path_effects=_OUTLINE)
    ax.set(xlim=(left - 0.5, left + CUTOUT - 0.5), ylim=(low - 0.5, low + CUTOUT - 0.5), xticks=[], yticks=[])
    ax.set_xlabel(f"{CUTOUT} pixels, {'line only' if line.sum() < channels else 'all channels'}", fontsize=7.5)
