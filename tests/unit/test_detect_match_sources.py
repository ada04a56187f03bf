import numpy as np
import pytest
from astropy.table import MaskedColumn, Table, vstack
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from skyloom.detect.match_sources import accepted, box_iou, match_sources, values


def sources(rows, cube=0, side=10.0) -> Table:
    """Return rows of (x, y, z) with boxes of `side` pixels around them and lines of 6 channels."""
    x, y, z = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    half = side / 2
    return Table(
        {
            "cube": np.full(len(x), cube),
            "x": x,
            "y": y,
            "z": z,
            "line_fwhm": np.where(np.isnan(z), np.nan, 6.0),
            "x0": x - half,
            "x1": x + half,
            "y0": y - half,
            "y1": y + half,
        }
    )


def detected(rows, score, cube=0, side=10.0) -> Table:
    table = sources(rows, cube, side)
    table["score"] = np.array(score, dtype=float)
    return table


def test_overlap_of_boxes():
    a = [[0, 10, 0, 10]]
    b = [[0, 10, 0, 10], [5, 15, 0, 10], [10, 20, 0, 10], [2, 4, 2, 4], [3, 3, 3, 3], [9, 1, 9, 1]]
    assert box_iou(a, b)[0] == pytest.approx([1, 50 / 150, 0, 4 / 100, 0, 0])
    assert box_iou(np.empty((0, 4)), b).shape == (0, 6)
    assert box_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]])[0, 0] == 0


@given(
    st.lists(st.tuples(*[st.floats(-20, 20)] * 2, *[st.floats(0.01, 30)] * 2), min_size=1, max_size=5),
    st.floats(-100, 100),
    st.floats(0.1, 10),
)
def test_overlap_is_symmetric_and_knows_no_place_or_scale(rows, shift, scale):
    boxes = np.array([[x, x + width, y, y + height] for x, y, width, height in rows])
    overlap = box_iou(boxes, boxes)
    assert np.allclose(overlap, overlap.T) and np.allclose(np.diag(overlap), 1)
    assert np.all((overlap >= 0) & (overlap <= 1 + 1e-12))
    assert np.allclose(box_iou(boxes * scale + shift, boxes * scale + shift), overlap, atol=1e-6)


def test_known_matches():
    truth = sources([(50, 50, 20), (80, 80, 60), (120, 30, 90)])
    found = detected([(80.4, 79.7, 61), (200, 200, 5), (50.1, 50.0, 20.5)], [3, 2, 1])
    assert list(match_sources(truth, found)) == [2, 0, -1]


@pytest.mark.parametrize(("apart", "hit"), [(2.9, True), (3.0, True), (3.1, False)])
def test_centres_are_at_most_three_pixels_apart(apart, hit):
    truth, found = sources([(50, 50, 20)], side=100), detected([(50 + apart, 50, 20)], [1], side=100)
    assert (match_sources(truth, found)[0] == 0) == hit


def test_boxes_overlap_by_four_fifths_unless_no_overlap_is_asked_for():
    truth, wide = sources([(50, 50, 20)]), detected([(50, 50, 20)], [1], side=11.3)
    assert match_sources(truth, wide)[0] == -1
    assert match_sources(truth, wide, iou=0.7)[0] == 0
    wide.remove_columns(["x0", "x1", "y0", "y1"])
    assert match_sources(truth, wide, iou=None)[0] == 0


@pytest.mark.parametrize(("dz", "hit"), [(0, True), (-3, True), (3.1, False), (np.nan, False)])
def test_in_3d_the_line_centre_is_within_half_the_true_width(dz, hit):
    truth, found = sources([(50, 50, 20)]), detected([(50, 50, 20 + dz)], [1])
    assert (match_sources(truth, found, spectral=True)[0] == 0) == hit
    assert match_sources(truth, found)[0] == 0


@pytest.mark.parametrize("z", [33.0, np.nan])
def test_a_source_without_a_line_asks_for_no_line_centre(z):
    truth, found = sources([(50, 50, np.nan)]), detected([(50, 50, z)], [1])
    assert match_sources(truth, found, spectral=True)[0] == 0


def test_two_lines_at_one_place_go_to_their_own_sources():
    truth = sources([(50, 50, 20), (51, 50, 90)])
    found = detected([(51, 50, 21), (50, 50, 90)], [2, 1])
    assert list(match_sources(truth, found, spectral=True)) == [0, 1]
    # In the image alone both belong together crosswise, by distance.
    assert list(match_sources(truth, found)) == [1, 0]


def test_of_two_detections_of_a_source_the_surer_one_counts():
    truth, found = sources([(50, 50, 20)]), detected([(50, 50, 20), (51, 50, 20)], [0.2, 0.9])
    assert match_sources(truth, found)[0] == 1
    found["score"] = 0.5
    assert match_sources(truth, found)[0] == 0, "of equally sure ones the nearest"


def test_no_source_is_lost_to_a_detection_that_has_another_one():
    # The first detection is nearest to the first source, which is the only one that the second can have.
    truth = sources([(50, 50, 20), (52, 50, 20)])
    found = detected([(50.5, 50, 20), (48, 50, 20)], [2, 1])
    assert list(match_sources(truth, found, iou=None)) == [1, 0]


def test_cubes_do_not_mix():
    truth = vstack([sources([(50, 50, 20)], cube=1), sources([(50, 50, 20)], cube=2)])
    found = vstack([detected([(50, 50, 20)], [1], cube=3), detected([(50.5, 50, 20)], [1], cube=2)])
    assert list(match_sources(truth, found)) == [-1, 1]


def test_names_of_cubes():
    truth, found = sources([(50, 50, 20)], cube="a7"), detected([(50, 50, 20)], [1], cube="a7")
    found["cube"] = found["cube"].astype("S")
    assert match_sources(truth, found)[0] == 0
    found["cube"] = [7]
    with pytest.raises(ValueError, match="differently"):
        match_sources(truth, found)


@pytest.mark.parametrize("empty", [Table(), detected([(1, 1, 1)], [1])[:0]])
def test_empty_tables(empty):
    assert list(match_sources(sources([(50, 50, 20)]), empty)) == [-1]
    assert match_sources(empty, detected([(50, 50, 20)], [1])).shape == (0,)
    assert match_sources(empty, empty).shape == (0,)
    assert list(accepted(np.array([-1, -1]), empty, 0.5)) == [-1, -1]


def test_masked_and_missing_values_match_nothing():
    found = detected([(50, 50, 20), (50, 50, 20)], [np.nan, 1])
    found["x"] = MaskedColumn([50, 50], mask=[False, True])
    assert match_sources(sources([(50, 50, 20)]), found)[0] == 0
    assert np.array_equal(values(found, "x"), [50, np.nan], equal_nan=True)
    assert np.isnan(values(found, "flux")).all()


def test_a_threshold_drops_matches():
    found = detected([(50, 50, 20), (80, 80, 20)], [0.4, 0.6])
    assert list(accepted(np.array([1, -1, 0]), found, 0.5)) == [1, -1, -1]
    assert list(accepted(np.array([1, -1, 0]), found, 0.4)) == [1, -1, 0]


def fields(most: int):
    # Crowded on purpose: most detections could belong to several sources.
    place = st.tuples(st.integers(0, 12), st.integers(0, 2), st.just(0))
    return st.lists(place, min_size=1, max_size=most)


@settings(deadline=None)
@given(fields(6), fields(8), st.data())
def test_the_order_of_detections_changes_nothing(true, found, data):
    score = data.draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found)))
    truth, found = sources(true), detected(found, score)
    other = np.array(data.draw(st.permutations(range(len(found)))))
    first, second = match_sources(truth, found, iou=None), match_sources(truth, found[other], iou=None)
    assert np.array_equal(first < 0, second < 0)
    for name in ("x", "y", "score"):
        assert np.array_equal(found[name][first[first >= 0]], found[other][name][second[second >= 0]])


@settings(deadline=None)
@given(fields(6), fields(8), st.data())
def test_pairs_are_one_to_one_and_as_many_as_can_be_above_every_threshold(true, found, data):
    score = data.draw(st.lists(st.integers(0, 5), min_size=len(found), max_size=len(found)))
    truth, found = sources(true), detected(found, score)
    matched = match_sources(truth, found, iou=None)
    used = matched[matched >= 0]
    assert len(np.unique(used)) == len(used)
    apart = np.hypot(truth["x"][:, None] - found["x"], truth["y"][:, None] - found["y"])
    assert np.all(apart[matched >= 0, used] <= 3)
    for threshold in range(6):
        sure = (np.asarray(found["score"]) >= threshold) & (apart <= 3)
        most = np.sum(maximum_bipartite_matching(csr_matrix(sure.astype(int))) >= 0)
        assert np.sum(accepted(matched, found, threshold) >= 0) == most
