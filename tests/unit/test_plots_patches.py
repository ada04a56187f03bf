"""Figures of gamma-ray sources in patches of the sky."""

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot
from patch_fixtures import patch_tables

from skyloom.images.patches import Patch
from skyloom.learn import patch_calibration, patch_scores
from skyloom.plots import patches

BANDS = ((0.3, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 7.0), (7.0, 20.0))


@pytest.fixture(scope="module")
def made():
    calibration = patch_calibration.calibrate(
        *patch_tables(60, other=(0.1, 0.05)), SimpleNamespace(purity=0.9, confidence=0.68)
    )
    truth, detections = patch_tables(40, seed=1)
    found = patch_calibration.apply(calibration, detections)
    scores, rows = patch_scores.scores(truth, found, calibration["threshold"], 0.68, np.random.default_rng(0))
    return SimpleNamespace(calibration=calibration, truth=truth, found=found, scores=scores, rows=rows)


def some_patches(made, numbers=(0, 1)):
    rng = np.random.default_rng(0)
    for number in numbers:
        counts = tuple(rng.poisson(3, (side, side)).astype(np.float32) for side in (32, 32, 64, 128, 256))
        one = Patch(counts, np.ones(5), 30.0, 40.0, 12.8, BANDS)
        tables = (table[np.asarray(table["cube"]) == number] for table in (made.found, made.truth))
        yield one, rng.random((128, 128)), *tables


def drawn(figure) -> int:
    """Return how many bytes a small picture of a figure takes."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=40)
    pyplot.close(figure)
    return len(content.getvalue())


def test_every_figure_is_drawn(made):
    figures = {
        "purity": patches.purity(made.scores["found"]),
        "flux": patches.flux(made.scores, made.rows),
        "positions": patches.positions(made.scores, made.rows),
        "roc": patches.roc(made.scores, made.calibration),
        "tracers": patches.tracers(made.rows, made.rows),
        "patches": patches.patches(list(some_patches(made))),
    }
    for name, figure in figures.items():
        assert drawn(figure) > 5000, name


def test_figures_without_any_detection_are_drawn(made):
    found = made.found[:0]
    scores, rows = patch_scores.scores(made.truth, found, 0.5, 0.68, np.random.default_rng(0))
    empty = [(one, image, found, truth) for one, image, _, truth in some_patches(made, (0,))]
    for figure in (
        patches.purity(scores["found"]),
        patches.flux(scores, rows),
        patches.positions(scores, rows),
        patches.roc(scores, made.calibration),
        patches.tracers(rows, rows),
        patches.patches(empty),
        patches.patches([]),
    ):
        assert drawn(figure) > 500


def test_the_published_points_stand_beside_ours(made):
    figure = patches.purity(made.scores["found"])
    diamonds = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert diamonds[0].get_xdata() == pytest.approx(list(patch_scores.PUBLISHED["all"]))
    assert diamonds[0].get_ydata() == pytest.approx([0.41, 0.74, 0.88, 0.93, 0.96])
    pyplot.close(figure)


def test_a_source_is_drawn_where_it_is_with_longitude_to_the_left(made):
    one, image, found, truth = next(some_patches(made, (0,)))
    truth = truth[:1].copy()
    truth["x"], truth["y"], truth["flux"], truth["core"], truth["snr"] = 33.5, 83.5, 1e-8, True, 50.0
    figure = patches.patches([(one, image, found[:0], truth)])
    crosses = [line for line in figure.axes[2].lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert (crosses[0].get_xdata()[0], crosses[0].get_ydata()[0]) == pytest.approx((3.0, 2.0))
    pyplot.close(figure)
