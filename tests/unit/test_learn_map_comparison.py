"""Estimators of sources in counts maps side by side, on tables whose truth is known."""

import numpy as np
import pytest
from unit.test_learn_map_calibration import PIXEL, tables

from skyloom.learn import map_comparison


@pytest.fixture(scope="module")
def compared():
    """Return results of a good estimator and of one whose positions are three times as far away."""
    results = {}
    for name, factor in (("good", 2.0), ("poor", 6.0)):
        truth, found = tables(400, seed=5, error_factor=factor)
        both = dict.fromkeys(("test", "published"), truth)
        random = np.random.default_rng(0)
        results[name] = map_comparison.results(both, dict.fromkeys(both, found), 3.0, 0.01, 0.68, random)
    return truth, results, map_comparison.table(results)


def test_the_bound_stands_beside_what_is_measured(compared):
    truth, results, table = compared
    radius = np.asarray(truth["radius_bound"])
    # The distance of a round Gaussian is below 1.177 of its standard deviation half of the time.
    assert list(table["published_bound"]) == pytest.approx([np.median(radius) * 1.1774] * 2, rel=1e-3)
    assert list(table["published_68_bound"]) == pytest.approx([np.median(radius) * 1.5096] * 2, rel=1e-3)
    for row in table:
        assert row["median_bound"] == results[row["name"]]["test"]["residuals"]["all"]["median_bound"]
    assert np.all(table["published_median"] > table["published_bound"])
    assert table["published_median"][1] > 2 * table["published_median"][0]


def test_the_text_says_what_the_table_says(compared):
    _, results, table = compared
    text = map_comparison.as_markdown(table, results, 0.02)
    header, good = (next(line for line in text.splitlines() if line.startswith(start)) for start in ("| | ", "| good"))
    cells = dict(zip(header.split(" | ")[1:], good.split(" | ")[1:], strict=True))
    assert cells["bound of those found [deg]"] == f"{table['median_bound'][0]:.4f}"
    assert cells["published: median [deg]"].startswith(f"{table['published_median'][0]:.4f} (")
    assert f"{table['published_bound'][0]:.4f} deg" in text
    assert f"{table['published_68_bound'][0]:.4f} deg" in text


def test_nothing_found_has_no_bound_of_what_was_found(compared):
    truth, _, _ = compared
    found = tables(400, seed=5)[1]
    none = found[:0]
    none.meta = {"cubes": 400, "pixel": PIXEL}
    both, found = dict.fromkeys(("test", "published"), truth), {"test": none, "published": found}
    result = map_comparison.results(both, found, 3.0, 0.01, 0.68, np.random.default_rng(0))
    table = map_comparison.table({"none": result})
    assert np.ma.is_masked(table["median_bound"][0]) and table["published_bound"][0] > 0
    assert "| none | 400 | " in map_comparison.as_markdown(table, {"none": result}, 0.02)
