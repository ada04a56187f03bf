import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.learn.datasets import Samples, joined, read_attrs, read_split, write_dataset
from skyloom.learn.labels import UNMATCHED, check_both_classes, duplicated_files, read_label_file, truth_labels
from skyloom.learn.splits import assign_splits, check_no_leakage, target_groups

ARCSEC = 1 / 3600


def test_targets_join_by_sky_by_name_and_by_chains():
    ra = np.array([10, 10 + 8 * ARCSEC, 10 + 16 * ARCSEC, 50, 80, 120])
    name = np.array(["", "", "", "x", "x", ""])
    number = target_groups(ra, np.zeros(6), [name], 10)
    assert number[0] == number[1] == number[2]
    assert number[3] == number[4]
    assert len(set(number)) == 3


def test_no_objects_have_no_targets():
    assert len(target_groups(np.zeros(0), np.zeros(0), [], 10)) == 0


@settings(deadline=None)
@given(st.integers(6, 80), st.integers(3, 20), st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(0, 99))
def test_splits_are_whole_groups_of_both_classes(count, positives, validation, test, seed):
    groups = np.array([f"g{index // 2}" for index in range(2 * (count + positives))])
    labels = (np.arange(len(groups)) // 2 < positives).astype(int)
    split = assign_splits(groups, labels, validation, test, seed)
    check_no_leakage({name: groups[split == name] for name in np.unique(split)})
    for name in ("train", "validation", "test"):
        assert set(labels[split == name]) == {0, 1}
    order = np.random.default_rng(seed).permutation(len(groups))
    np.testing.assert_array_equal(assign_splits(groups[order], labels[order], validation, test, seed), split[order])


def test_shares_are_kept_and_the_seed_matters():
    groups = np.array([f"g{index}" for index in range(200)])
    labels = np.arange(200) % 4 == 0
    split = assign_splits(groups, labels, 0.2, 0.25, 1)
    assert (split == "test").sum() == pytest.approx(50, abs=2) and (split == "validation").sum() == pytest.approx(
        40, abs=2
    )
    assert (split != assign_splits(groups, labels, 0.2, 0.25, 2)).any()


def test_too_few_targets_are_an_error():
    with pytest.raises(UserError, match="only 2 positive targets"):
        assign_splits(np.array(list("abcdefg")), np.array([1, 1, 0, 0, 0, 0, 0]), 0.2, 0.2, 0)


def test_the_gate_names_the_target_also_inside_a_pair():
    check_no_leakage({"train": ["a", "b|c"], "test": ["d"]})
    with pytest.raises(UserError, match="`c` stands in both train and test"):
        check_no_leakage({"train": ["a", "b|c"], "test": ["c"]})


def test_datasets_go_round_and_are_equal_byte_by_byte(tmp_path):
    text = np.array(["a", "bé"])
    samples = Samples(np.ones((2, 8, 8, 2), np.float32), np.array([0, 1], np.int8), text, text, text)
    none = Samples(samples.x[:0], samples.y[:0], text[:0], text[:0], text[:0])
    splits = {"train": joined([samples, none]), "validation": none, "test": samples}
    for name in ("a.h5", "b.h5"):
        write_dataset(tmp_path / name, splits, {"case": "c", "seed": 4})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    back = read_split(tmp_path / "a.h5", "train")
    assert back.id.tolist() == ["a", "bé"] and back.x.dtype == np.float32
    assert len(read_split(tmp_path / "a.h5", "validation")) == 0
    assert read_attrs(tmp_path / "a.h5") == {"case": "c", "seed": 4}
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(UserError, match="a.h5"):
        read_split(tmp_path / "a.h5", "train")


def objects(*rows):
    names = ("object_id", "filename", "ra", "dec", "beam_major")
    return Table(rows=[(name, name.split(".")[0], ra * ARCSEC, 0.0, 1.0) for name, ra in rows], names=names)


def truth(*rows):
    names = ("filename", "kind", "is_wind", "ra", "dec", "labelled")
    return Table(rows=[(file, kind, wind, ra * ARCSEC, 0.0, told) for file, kind, wind, ra, told in rows], names=names)


def test_truth_labels_by_position_and_file():
    found = objects(
        ("f.01", 100.0), ("f.02", 140.0), ("g.01", 100.3), ("g.02", 160.0), ("h.01", 100.0), ("i.01", 100.0)
    )
    true = truth(
        ("f", "disc_wind", True, 100.5, True),
        ("g", "binary", False, 100.0, True),
        ("h", "disc_wind", True, 100.0, False),
    )
    labels = truth_labels(found, true, 2.0)
    # A detection beside a wind may be a piece of it; beside anything else it is a negative; nothing is told of h and i.
    assert labels == {"f.01": (1, "disc_wind"), "g.01": (0, "binary"), "g.02": (0, UNMATCHED)}


def test_in_a_field_with_a_wind_only_the_wind_is_labelled():
    found = objects(("f.01", 100.0), ("f.02", 140.0), ("f.03", 160.0))
    true = truth(("f", "disc_wind", True, 100.0, True), ("f", "smooth_disc", False, 140.0, True))
    assert truth_labels(found, true, 2.0) == {"f.01": (1, "disc_wind")}  # no companion, no piece of a wall
    true["is_wind"] = False
    labels = truth_labels(found, true, 2.0)
    assert labels == {"f.01": (0, "disc_wind"), "f.02": (0, "smooth_disc"), "f.03": (0, UNMATCHED)}


def test_each_true_object_takes_its_nearest_detection_only():
    labels = truth_labels(
        objects(("f.01", 101.0), ("f.02", 100.2)), truth(("f", "binary", False, 100.0, True)), match_radius=2.0
    )
    assert labels == {"f.01": (0, UNMATCHED), "f.02": (0, "binary")}


def label_file(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text("# a remark\nid,label,who,note\n" + text)
    return path


def test_label_files_are_read(tmp_path):
    path = label_file(tmp_path, 'a.01,wind,me,"far, far"\na.02,no,,\na.03,1,you,\n')
    assert read_label_file(path, ["a.01", "a.02", "a.03"]) == {"a.01": (1, "me"), "a.02": (0, ""), "a.03": (1, "you")}


@pytest.mark.parametrize(
    "text, message",
    [
        ("a.9,wind,me,\n", "no object `a.9`.*nearest id is `a.01`"),
        ("a.01,wind,me,\na.01,other,you,\n", "`a.01` has both labels"),
        ("a.01,perhaps,me,\n", "`perhaps`; write wind or other"),
    ],
)
def test_bad_label_files_say_what_is_wrong(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_label_file(label_file(tmp_path, text), ["a.01", "b.77"])


def test_a_label_file_without_a_column_or_at_all(tmp_path):
    (tmp_path / "x.csv").write_text("id,label\na,1\n")
    with pytest.raises(UserError, match="column `who`"):
        read_label_file(tmp_path / "x.csv", ["a"])
    with pytest.raises(UserError, match="no such file"):
        read_label_file(tmp_path / "none.csv", ["a"])


@pytest.mark.parametrize("labels, what", [([0, 0], "positives"), ([1], "negatives"), ([], "positives")])
def test_one_class_alone_is_an_error(labels, what):
    with pytest.raises(UserError, match=f"no {what}"):
        check_both_classes(np.array(labels))


def test_duplicates_are_found_by_content():
    rows = [("p2", "b", "kept", "x"), ("p1", "a", "kept", "x"), ("p3", "c", "kept", "y"), ("p4", "d", "dropped", "x")]
    found = duplicated_files(Table(rows=rows, names=("product_id", "filename", "status", "data_sha256")))
    assert [tuple(row) for row in found] == [("p2", "b", "x", "a")]
    assert len(duplicated_files(Table(rows=rows[2:3], names=("product_id", "filename", "status", "data_sha256")))) == 0


def test_a_split_without_an_example_is_said_and_leaves_no_file(tmp_path):
    text = np.array(["a"])
    one = Samples(np.ones((1, 8, 8, 2), np.float32), np.array([1], np.int8), text, text, text)
    with pytest.raises(UserError, match=r"a\.h5: there is no example for its split validation; simulate more"):
        write_dataset(tmp_path / "a.h5", {"train": iter([one]), "validation": iter([])}, {})
    assert list(tmp_path.iterdir()) == []
