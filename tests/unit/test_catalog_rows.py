from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from catalog_fixtures import make_labels, make_objects, make_predictions

from skyloom.catalog.check import check_catalog
from skyloom.catalog.columns import read_columns
from skyloom.catalog.names import iau_name
from skyloom.catalog.rows import join_predictions, make_catalog, merge_catalogs, used_objects
from skyloom.errors import UserError

DEFINITION = read_columns(Path(__file__).parents[2] / "resources" / "columns.yaml")
# Those of a case that classifies cutouts.
COLUMNS = [column for column in DEFINITION if column.group in ("common", "radio_image")]


def a_catalog(objects: Table | None = None, case: str = "disk_winds", seed: int = 1) -> Table:
    objects = make_objects(seed=seed) if objects is None else objects
    predictions = join_predictions(objects, make_predictions(objects))
    return make_catalog(COLUMNS, case, objects, predictions, make_labels(objects), "abc", "0.1.0")


def test_predictions_are_joined_by_id():
    objects = make_objects()
    joined = join_predictions(objects, make_predictions(objects))
    assert list(joined["object_id"]) == list(objects["object_id"])


def test_catalog_keeps_what_was_measured():
    objects = make_objects()
    catalog = a_catalog(objects)
    check_catalog(catalog, COLUMNS)
    assert catalog.colnames == [column.name for column in COLUMNS]
    for row in objects:
        found = catalog[catalog["id"] == row["object_id"]][0]
        assert found["ra"] == pytest.approx(row["ra"], abs=1e-7)
        assert found["flux"] == pytest.approx(row["flux"], rel=1e-4)
        assert found["sha256"] == row["sha256"]
        assert found["name"] == iau_name(found["ra"], found["dec"])


def test_order_is_by_position_whatever_the_input():
    objects = make_objects()
    assert np.all(np.diff(a_catalog(objects)["ra"]) >= 0)
    assert list(a_catalog(objects)["id"]) == list(a_catalog(objects[::-1])["id"])


def test_right_ascension_rounded_up_to_the_full_circle_is_zero():
    objects = make_objects(3)
    objects["ra"][1] = 359.99999999
    catalog = a_catalog(objects)
    assert catalog["ra"][0] == 0.0 and catalog["name"][0].startswith("SKYL J000000.00")
    check_catalog(catalog, COLUMNS)


def test_objects_that_trained_and_their_twins_are_used():
    objects = make_objects()
    objects["data_sha256"][-1] = objects["data_sha256"][0]
    used = used_objects(objects, make_labels(objects))
    # The first three trained or validated; the fourth lies in the third's image; the last is the first's twin.
    assert list(np.flatnonzero(used)) == [0, 1, 2, 3, len(objects) - 1]


def test_test_objects_are_known():
    objects = make_objects()
    catalog = a_catalog(objects)
    known = {row["id"]: row["known"] for row in catalog}
    assert known[objects["object_id"][3]] == 1 and known[objects["object_id"][4]] == 0
    assert known[objects["object_id"][7]] is np.ma.masked


def test_empty_catalog_has_all_columns():
    catalog = a_catalog(make_objects(3)[:0])
    assert len(catalog) == 0 and catalog.colnames == [column.name for column in COLUMNS]
    check_catalog(catalog, COLUMNS)


def test_join_mistakes():
    objects = make_objects()
    predictions = make_predictions(objects)
    with pytest.raises(UserError, match="has no prediction"):
        join_predictions(objects, predictions[1:])
    with pytest.raises(UserError, match="has no object"):
        join_predictions(objects[1:], predictions)
    with pytest.raises(UserError, match="object .* is there twice"):
        join_predictions(objects[[0, 0, 1]], predictions)


def test_merged_catalog_masks_what_a_case_does_not_measure():
    radio = a_catalog()
    objects = make_objects(seed=9)
    common = {column.source for column in COLUMNS if column.group == "common"}
    objects.keep_columns([name for name in objects.colnames if f"objects.{name}" in common | {"objects.flags"}])
    gamma = a_catalog(objects, case="cherenkov")
    assert "flux" not in gamma.colnames
    merged = merge_catalogs(COLUMNS, [gamma, radio])
    check_catalog(merged, COLUMNS)
    assert merged.colnames == [column.name for column in COLUMNS]
    assert list(dict.fromkeys(merged["case"])) == ["cherenkov", "disk_winds"]
    assert np.all(merged["flux"].mask == (merged["case"] == "cherenkov"))
    assert merge_catalogs(COLUMNS, [radio, gamma]).pformat() == merged.pformat()
    with pytest.raises(UserError, match="is there twice"):
        merge_catalogs(COLUMNS, [radio, radio])


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("sha256", "abc", "a sha256 has not 64 hexadecimal digits (1 rows)"),
        ("model", np.ma.masked, "`model` is masked (1 rows)"),
        ("source_file", np.ma.masked, "`source_file` is masked (1 rows)"),
        ("flux_error", 0.0, "`flux` has no positive `flux_error` (1 rows)"),
        ("pos_error", -1.0, "`ra` has no positive `pos_error` (1 rows)"),
        ("probability", 1.2, "a probability is not within 0 and 1 (1 rows)"),
        ("ra", 360.0, "a position is not on the sky (1 rows)"),
        ("dec", -91.0, "a position is not on the sky (1 rows)"),
        ("candidate", np.ma.masked, "`candidate` is masked (1 rows)"),
    ],
)
def test_untrustworthy_rows(column, value, sentence):
    catalog = a_catalog()
    catalog[column][4] = value
    with pytest.raises(UserError) as error:
        check_catalog(catalog, COLUMNS)
    assert sentence in str(error.value)


def test_wrong_units_and_twins():
    catalog = a_catalog()
    catalog["flux"].unit = "mJy"
    with pytest.raises(UserError, match="`flux` is in mJy instead of Jy"):
        check_catalog(catalog, COLUMNS)
    catalog = a_catalog()
    catalog["id"][1] = catalog["id"][0]
    with pytest.raises(UserError, match="an id is not unique in its case"):
        check_catalog(catalog, COLUMNS)
