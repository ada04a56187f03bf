import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from small_archive import archive, crop_arguments, label_arguments

import crop
import label_objects
from skyloom.errors import UserError
from skyloom.files import read_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = archive(tmp_path_factory.mktemp("labels"))
    crop.main(crop_arguments(folder))
    return folder


def labelled(folder, *more):
    label_objects.main(label_arguments(folder, *more))
    return read_table(folder / "labels.ecsv")


def by_truth(folder):
    return labelled(folder, "--truth", str(folder / "truth.ecsv"))


def written(folder, text):
    (folder / "people.csv").write_text("id,label,who,note\n" + text)
    return "--label-file", str(folder / "people.csv")


def test_truth_becomes_labels_and_splits(folder):
    labels = by_truth(folder)
    assert set(labels["who"]) == {"truth"} and set(labels["split"]) == {"train", "validation", "test"}
    assert (labels["label"] == 1).sum() == 8 and set(labels["kind"][labels["label"] == 1]) == {"disc_wind"}
    for split in ("train", "validation", "test"):
        assert set(labels["label"][labels["split"] == split]) == {0, 1}
    groups = {name: set(labels["split"][labels["group"] == name]) for name in labels["group"]}
    assert all(len(splits) == 1 for splits in groups.values())


def test_content_under_two_names_is_taken_once(folder):
    labels = by_truth(folder)
    duplicates = read_table(folder / "duplicates.ecsv")
    assert list(duplicates["filename"]) == ["zz_again.fits"] and list(duplicates["kept"]) == [
        "field_19.cont.pbcor.fits"
    ]
    assert not any(name.startswith("zz_again") for name in labels["object_id"])


def test_a_label_of_a_duplicate_goes_to_the_file_that_is_kept(folder):
    truth = str(folder / "truth.ecsv")
    with pytest.raises(UserError, match="zz_again.01.*different labels|different labels.*keep one"):
        labelled(folder, "--truth", truth, *written(folder, "zz_again.01,wind,me,\n"))
    labels = labelled(folder, "--truth", truth, *written(folder, "zz_again.01,other,me,\n"))
    assert "field_19.cont.pbcor.01" in labels["object_id"]


def test_the_order_of_the_tables_does_not_matter(folder, tmp_path):
    first = by_truth(folder)
    objects = Table.read(folder / "o.ecsv")
    objects[::-1].write(tmp_path / "o.ecsv")
    arguments = label_arguments(folder, "--truth", str(folder / "truth.ecsv"))
    arguments[arguments.index(str(folder / "o.ecsv"))] = str(tmp_path / "o.ecsv")
    label_objects.main(arguments)
    again = read_table(folder / "labels.ecsv")
    assert all((first[name] == again[name]).all() for name in first.colnames)


def test_a_person_wins_over_the_truth(folder):
    labels = labelled(
        folder, "--truth", str(folder / "truth.ecsv"), *written(folder, "field_00.cont.pbcor.01,other,me,looked\n")
    )
    row = labels[labels["object_id"] == "field_00.cont.pbcor.01"][0]
    assert (row["label"], row["who"], row["kind"]) == (0, "me", "disc_wind")


@pytest.mark.parametrize(
    "text, message",
    [
        ("field_00.cont.pbcor.09,wind,me,\n", "no object `field_00.cont.pbcor.09`.*nearest id"),
        ("field_00.cont.pbcor.01,wind,a,\nfield_00.cont.pbcor.01,other,b,\n", "both labels"),
        ("field_00.cont.pbcor.01,wind,a,\n", "no negatives"),
        ("field_00.cont.pbcor.01,other,a,\n", "no positives"),
        ("field_00.cont.pbcor.01,wind,a,\nfield_01.cont.pbcor.01,other,a,\n", "only 1 positive targets"),
    ],
)
def test_bad_labels_end_in_one_sentence(folder, text, message):
    with pytest.raises(UserError, match=message):
        labelled(folder, *written(folder, text))


def test_the_command_line_ends_with_status_one(folder):
    command = [sys.executable, "scripts/label_objects.py", *label_arguments(folder, *written(folder, "x,wind,me,\n"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1 and "people.csv" in done.stderr and "Traceback" not in done.stderr


def test_our_own_label_file_has_both_labels():
    table = Table.read(ROOT / "resources/labels/disk_winds.csv", format="ascii.csv", comment="#")
    assert table.colnames == ["id", "label", "who", "note"]
    assert set(table["label"]) == {"wind", "other"} and len(np.unique(table["id"])) == len(table)
