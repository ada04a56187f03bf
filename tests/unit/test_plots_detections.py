import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import Ellipse, Rectangle

from skyloom.images.cubes import Cube
from skyloom.learn import detection_scores as scored
from skyloom.plots import detections, style
from skyloom.sky.line_sources import LineSource, gaussian

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
BEAM = (9.0, 7.0, 60.0)
CHANNELS, SIDE = 32, 96


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    found += [ax.get_title(loc) for ax in figure.axes for loc in ("left", "center", "right")]
    legends = [legend for ax in figure.axes if (legend := ax.get_legend())] + figure.legends
    return found + [text.get_text() for legend in legends for text in legend.get_texts()]


def true_sources(count: int = 60, seed: int = 1) -> Table:
    rng = np.random.default_rng(seed)
    x, y = np.full(count, 40.0), np.full(count, 50.0)
    return Table(
        {
            "cube": np.arange(count),
            "source": np.zeros(count, int),
            "x": x,
            "y": y,
            "z": np.full(count, 15.0),
            "line_fwhm": np.full(count, 5.0),
            "fwhm_major": rng.uniform(4, 8, count),
            "fwhm_minor": rng.uniform(2, 4, count),
            "pa": rng.uniform(0, 180, count),
            "flux": rng.uniform(1e-3, 4e-3, count),
            "snr": np.geomspace(2.5, 60, count),
            "x0": x - 9,
            "x1": x + 9,
            "y0": y - 9,
            "y1": y + 9,
            "z0": np.full(count, 10),
            "z1": np.full(count, 21),
        }
    )


def seen(truth: Table, error: float = 0.05, seed: int = 2) -> Table:
    rng = np.random.default_rng(seed)
    found = truth.copy()
    found.remove_column("source")
    found["score"] = np.linspace(0.3, 0.9, len(found))
    for name, unit in {"x": 1, "y": 1, "flux": truth["flux"], "fwhm_major": 5, "fwhm_minor": 3, "pa": 60}.items():
        found[f"{name}_error"] = np.full(len(found), error) * unit
        found[name] = found[name] + found[f"{name}_error"] * rng.normal(size=len(found))
    return found


def scores(truth: Table, found: Table, threshold: float = 0.0) -> dict:
    return scored.detector_scores(truth, found, threshold, beam_fwhm=8.0, random=np.random.default_rng(0))


def measured(truth: Table, found: Table) -> tuple[Table, dict]:
    rows = scored.residuals(truth, found, np.arange(len(truth)))
    return rows, scored.residual_summary(rows, np.random.default_rng(0))


# Completeness and purity


@pytest.mark.parametrize("where", ["2d", "3d"])
def test_completeness_and_purity_of_each_detector_stand_in_each_bin(where):
    truth = true_sources()
    found = seen(truth)
    found["z"] += 4
    results = {"chain": scores(truth, seen(truth)), "peer": scores(truth, found, 0.5)}
    figure = detections.completeness_purity(results, where)
    for ax, name in zip(figure.axes, ("completeness", "purity"), strict=True):
        for bars, (detector, result) in zip(ax.containers, results.items(), strict=True):
            bins = [row for row in result[where]["bins"] if row[name]["value"] is not None]
            assert np.allclose(bars.lines[0].get_ydata(), [row[name]["value"] for row in bins]), detector
            ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
            assert np.allclose(ends, [[row[name]["low"], row[name]["high"]] for row in bins])
    share = {"2d": results["peer"]["2d"]["detectable"]["completeness"]["value"], "3d": 0.0}[where]
    assert any(text.startswith(f"peer: {share:.1%} complete") for text in texts(figure))


def test_the_curve_rings_the_chosen_threshold():
    truth = true_sources()
    found = seen(truth)
    found["x"][::5] += 20
    result = scores(truth, found, 0.5)
    (ax,) = detections.trade_off({"chain": result}).axes
    (ring,) = [line for line in ax.lines if line.get_marker() == "o"]
    chosen = result["3d"]["detectable"]
    assert tuple(ring.get_xydata()[0]) == (chosen["completeness"]["value"], chosen["purity"]["value"])
    assert np.min(np.hypot(*(ax.lines[0].get_xydata() - ring.get_xydata()[0]).T)) < 1e-9, "it lies on the curve"
    assert ax.get_xlim()[0] < ring.get_xdata()[0] and ax.get_ylim()[0] < ring.get_ydata()[0]


# Residuals


def test_every_source_is_in_its_panel_or_said_to_be_outside():
    truth = true_sources()
    found = seen(truth)
    found["x"][0] += 2.9
    found["flux"][:3] *= 5
    figure = detections.residuals(*measured(truth, found))
    position, _, flux, angle, *sizes = figure.axes
    inside = len(position.collections[0].get_offsets())
    assert inside < 60 and f"60 sources, {60 - inside} of them outside" in "\n".join(texts(figure))
    assert sum(len(points.get_offsets()) for points in flux.collections if len(points.get_offsets()) > 0) >= 60
    assert sum(bar.get_height() for bar in angle.patches if isinstance(bar, Rectangle) and bar.get_width() == 6) == 60
    for ax in sizes[:2]:
        (density,) = [part for part in ax.collections if part.get_array() is not None]
        assert density.get_array().sum() == 60
        assert "[pixel]" in ax.get_xlabel() and "[pixel]" in ax.get_ylabel()


def test_bias_is_drawn_to_its_side():
    truth = true_sources()
    found = seen(truth, 0.01)
    found["x"] += 0.3
    figure = detections.residuals(*measured(truth, found))
    assert np.ma.median(figure.axes[0].collections[0].get_offsets()[:, 0]) == pytest.approx(0.3, abs=0.01)
    (circle,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    assert circle.width / 2 == pytest.approx(0.3, abs=0.01)


def test_what_was_not_measured_is_said():
    truth = true_sources()
    found = seen(truth)["cube", "x", "y", "z", "score", "snr"]
    assert texts(detections.residuals(*measured(truth, found))).count("not measured") == 4
    assert "nothing was measured with an error" in texts(detections.coverage(measured(truth, found)[1]))


def test_coverage_has_a_panel_for_each_quantity_with_errors():
    truth = true_sources(300)
    _, summary = measured(truth, seen(truth))
    figure = detections.coverage(summary)
    shown = [ax for ax in figure.axes if ax.containers]
    assert [ax.get_title("left").split(":")[0] for ax in shown] == [
        detections.WORDS[name] for name in ("x", "y", "flux", "fwhm_major", "fwhm_minor", "pa")
    ]
    drawn = shown[2].containers[0].lines[0].get_ydata()
    wanted = [row["coverage"]["flux"]["value"] for row in summary["bins"] if row["count"]]
    assert np.allclose(drawn, wanted)


@pytest.mark.parametrize("missing", ["detections", "truth", "both"])
def test_figures_of_nothing(missing, tmp_path):
    truth, found = true_sources(), seen(true_sources())
    truth = truth[:0] if missing != "detections" else truth
    found = found[:0] if missing != "truth" else found
    results = {"chain": scores(truth, found)}
    rows = scored.residuals(truth, found, np.full(len(truth), -1))
    figures = [
        detections.completeness_purity(results),
        detections.trade_off(results),
        detections.residuals(rows, results["chain"]["residuals"]),
        detections.coverage(results["chain"]["residuals"]),
    ]
    assert "no source was found" in texts(figures[2])
    # The empty residuals are words only.
    for number in (0, 1, 3) if missing == "both" else (0,):
        style.save(tmp_path / f"{number}.png", figures[number])


# An example


def a_cube(sources=((40.0, 50.0, 15.0, 3e-3),), noise: float = 1e-4) -> Cube:
    """Return sources (x, y, z, peak flux) as wide as the beam on some noise, unobserved below y = 10."""
    rng = np.random.default_rng(3)
    data = rng.normal(0, noise, (CHANNELS, SIDE, SIDE)).astype(np.float32)
    area = np.pi * BEAM[0] * BEAM[1] / 4 / np.log(2)
    for x, y, z, flux in sources:
        line = flux * np.exp(-4 * np.log(2) * ((np.arange(CHANNELS) - z) / 5) ** 2)
        data += line[:, None, None] * area * gaussian(LineSource(x, y, *BEAM, 1, 0), (SIDE, SIDE))
    data[:, :10] = np.nan
    return Cube(data, np.full(CHANNELS, noise), BEAM, 230e9 + 10e6 * np.arange(CHANNELS))


@given(
    st.floats(0, 30), st.floats(0.1, 1), st.floats(0, 180), st.floats(1, 20), st.floats(0.3, 1), st.floats(-180, 180)
)
def test_a_source_is_seen_as_wide_as_itself_and_the_beam(major, ratio, pa, beam, beam_ratio, beam_pa):
    shape = detections.seen_with((beam, beam * beam_ratio, beam_pa), major, major * ratio, pa)
    assert shape[0] >= shape[1] - 1e-9 and 0 <= shape[2] <= 180
    total = major**2 * (1 + ratio**2) + beam**2 * (1 + beam_ratio**2)
    assert shape[0] ** 2 + shape[1] ** 2 == pytest.approx(total)
    assert max(beam, major) - 1e-9 <= shape[0] <= np.hypot(beam, major) + 1e-9


def test_a_point_is_seen_as_the_beam_and_moments_of_a_convolved_image_agree():
    assert detections.seen_with(BEAM, 0, 0, 0) == pytest.approx(BEAM)
    source = LineSource(48, 48, 12, 5, 20, 1, 0)
    beam = np.fft.ifftshift(gaussian(LineSource(48, 48, *BEAM, 1, 0), (SIDE, SIDE)))
    image = np.fft.irfft2(np.fft.rfft2(gaussian(source, (SIDE, SIDE))) * np.fft.rfft2(beam), s=(SIDE, SIDE))
    y, x = np.indices(image.shape) - 48.0
    xx, yy, xy = (np.sum(image * product) / image.sum() for product in (x * x, y * y, x * y))
    major, minor, pa = detections.seen_with(BEAM, 12, 5, 20)
    assert (major**2 + minor**2) / (8 * np.log(2)) == pytest.approx(xx + yy, rel=0.01)
    # East is -x, so the axis turns against x from North.
    assert pa == pytest.approx(np.degrees(0.5 * np.arctan2(-2 * xy, yy - xx)) % 180, abs=0.5)


def test_the_spectrum_of_a_wide_box_is_the_flux():
    cube = a_cube(noise=1e-6)
    flux = detections.spectrum(cube, (15, 66, 25, 76))
    assert flux[15] == pytest.approx(3e-3, rel=0.02) and flux[0] == pytest.approx(0, abs=1e-4)
    assert np.isnan(detections.spectrum(cube, (20, 30, 0, 10))).all()
    assert np.isnan(detections.spectrum(cube, (-9, -2, 20, 30))).all()


def test_an_example_shows_what_is_true_and_what_was_found():
    truth, found = true_sources(1), seen(true_sources(1), 0.01)
    figure = detections.example(a_cube(), found, truth, "cube 3")
    field, spectrum = figure.axes[0], figure.axes[3]
    (box,) = [patch for patch in field.patches if isinstance(patch, Rectangle)]
    # The first pixel of the box is 31, and pixel centres are whole numbers.
    assert box.get_xy() == (30.5, 40.5) and (box.get_width(), box.get_height()) == (18, 18)
    true_shape = [patch for patch in field.patches if isinstance(patch, Ellipse) and patch.get_linestyle() == "--"]
    assert [patch.center for patch in true_shape] == [(40, 50)]
    (span,) = [patch for patch in spectrum.patches if isinstance(patch, Rectangle)]
    assert span.get_x() == 9.5 and span.get_width() == 11
    assert [tuple(line.get_xdata()) for line in spectrum.lines if line.get_linestyle() == "--"] == [(15, 15)]
    assert {"cube 3", "1 found, 1 true", "1: 230.150 GHz"} <= set(texts(figure))


def test_the_focused_image_lies_where_the_source_is():
    truth, found = true_sources(1), seen(true_sources(1), 0.01)
    found["x0"], found["x1"] = 31, 49
    focused = detections.example(a_cube(), found, truth).axes[4]
    (image,) = focused.images
    left, right, low, _ = image.get_extent()
    row, column = np.unravel_index(np.nanargmax(image.get_array()), image.get_array().shape)
    assert (left + 0.5 + column, low + 0.5 + row) == (40, 50)
    assert right - left == image.get_array().shape[1]


def test_surest_first_and_at_most_some_are_shown():
    found = seen(true_sources(12))
    found["cube"] = 0
    figure = detections.example(a_cube(), found, None, "cube")
    assert len(figure.axes) == 3 + 2 * detections.SHOWN
    assert "12 found" in texts(figure) and f"and {12 - detections.SHOWN} less sure" in texts(figure)
    first = [text for text in figure.axes[2].texts if text.get_text().startswith("1 ")]
    assert f"{found['snr'][-1]:.1f}" in first[0].get_text() and to_hex(first[0].get_color()) == style.PALETTE[0].lower()


def test_a_source_without_line_or_shape_at_the_border(tmp_path):
    found = Table(
        {
            "cube": [0, 0, 0],
            "x": [2.0, 200.0, np.nan],
            "y": [93.0, 200.0, 4.0],
            "z": [np.nan, 5.0, 5.0],
            "x0": [-3.0, 190, np.nan],
            "x1": [8.0, 210, 3],
            "y0": [88.0, 190, 3],
            "y1": [99.0, 210, 3],
            "z0": [0, 40, 3],
            "z1": [32, 50, 4],
            "score": [0.5, 0.4, np.nan],
        }
    )
    figure = detections.example(a_cube(), found, true_sources(1))
    assert "1: no line" in texts(figure)
    style.save(tmp_path / "example.png", figure)


@pytest.mark.parametrize("data", [a_cube().data, np.full((CHANNELS, SIDE, SIDE), np.nan, np.float32)])
def test_an_example_without_detections_or_data(data, tmp_path):
    cube = Cube(data, np.full(CHANNELS, 1e-4), BEAM, np.arange(CHANNELS) + 1.0)
    for found in (Table(), seen(true_sources(1))[:0]):
        assert "nothing was found" in texts(detections.example(cube, found, true_sources(1)[:0]))
    style.save(tmp_path / "example.png", detections.example(cube, seen(true_sources(1)), None))
