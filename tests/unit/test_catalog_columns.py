from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd
from astropy.table import Column as TableColumn
from hypothesis import given
from hypothesis import strategies as st

from skyloom.catalog.columns import COMMON, INT_NULL, Column, chosen, read_columns
from skyloom.catalog.reference import page
from skyloom.errors import UserError

DEFINITION = Path(__file__).parents[2] / "resources" / "columns.yaml"
COLUMNS = read_columns(DEFINITION)
BY_NAME = {column.name: column for column in COLUMNS}


def a_column(**changes) -> Column:
    values = {
        "name": "flux",
        "group": COMMON,
        "source": "objects.flux",
        "dtype": "float",
        "ucd": "phot.flux",
        "description": "flux",
        "nullable": True,
        "unit": "Jy",
        "format": ".3g",
    }
    return Column(**values | changes)


@pytest.mark.parametrize("column", COLUMNS, ids=[column.name for column in COLUMNS])
def test_every_column_is_defined_in_full(column):
    assert check_ucd(column.ucd, check_controlled_vocabulary=True)
    assert column.description and len(column.description) > 10
    assert (column.unit is not None) == (column.dtype in ("int", "float"))
    assert bool(column.format) == (column.dtype == "float")
    if column.unit:
        assert units.Unit(column.unit).to_string("fits") and units.Unit(column.unit).to_string("vounit")


def test_every_measured_flux_and_position_has_an_error():
    for name in ("ra", "dec", "flux", "peak_flux"):
        error = BY_NAME[BY_NAME[name].error]
        assert error.ucd.startswith("stat.error")
        assert name in ("ra", "dec") or error.unit == BY_NAME[name].unit


def test_rows_name_their_source_and_model():
    for name in ("source_file", "sha256", "model", "simulated"):
        assert BY_NAME[name].group == COMMON and not BY_NAME[name].nullable


def test_values_are_rounded_and_masked():
    filled = a_column().filled([1.23456, np.nan, -0.00001, np.inf])
    assert list(filled.mask) == [False, True, False, True]
    assert filled[0] == 1.23 and filled[2] == -1e-5
    assert filled.unit == "Jy"


def test_rounded_minus_zero_is_zero():
    assert str(a_column(format=".1f").filled([-0.01])[0]) == "0.0"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=5))
def test_rounding_twice_changes_nothing(values):
    once = a_column().filled(np.array(values, dtype=float))
    assert np.array_equal(once, a_column().filled(once))


def test_given_units_are_converted():
    assert a_column().filled(TableColumn([1.5], unit="mJy"))[0] == 0.0015
    with pytest.raises(UserError, match="`flux` is in arcsec"):
        a_column().filled(TableColumn([1.5], unit="arcsec"))


def test_masked_integers_and_text():
    integers = a_column(dtype="int", unit="", format="").filled(np.ma.MaskedArray([1, 5], [False, True]))
    assert list(integers.mask) == [False, True] and np.asarray(integers)[1] == INT_NULL
    text = a_column(dtype="text", unit=None, format="").filled(["a", ""])
    assert list(text.mask) == [False, True]


def test_a_group_is_there_wholly_or_not_at_all():
    common = {column.source.partition(".")[2] for column in COLUMNS if column.group == COMMON}
    everything = {column.source.partition(".")[2] for column in COLUMNS}
    assert [column.group for column in chosen(COLUMNS, common)].count(COMMON) == len(chosen(COLUMNS, common))
    assert chosen(COLUMNS, everything) == COLUMNS
    with pytest.raises(UserError, match="no column `flux_error`"):
        chosen(COLUMNS, everything - {"flux_error"})
    with pytest.raises(UserError, match="no column `snr`"):
        chosen(COLUMNS, common - {"snr"})


def test_the_page_in_docs_is_that_of_the_definition():
    there = (DEFINITION.parents[1] / "docs" / "catalog.md").read_text(encoding="utf-8")
    assert there == page(COLUMNS), "run: python scripts/document_catalog.py"


ENTRY = DEFINITION.read_text()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("    ucd: pos.eq.ra;meta.main\n", "    ucd: position\n", "column `ra`: 'position' is no valid UCD1"),
        ("unit: arcsec\n", "unit: arcsecs_\n", "the unit 'arcsecs_' is none that astropy knows"),
        ("dtype: bool", "dtype: boolean", "the dtype 'boolean' should be one of text, bool, int, float"),
        ("    format: .7f\n", "    formt: .7f\n", "has an unknown key `formt`; did you mean `format`?"),
        ("    format: .7f\n", "    format: seven\n", "'seven' is no number format"),
        ("    nullable: false\n", "", "column `id` has no `nullable`; add it"),
        ("error: flux_error", "error: flux_err", "has its error in `flux_err`, which is not there"),
        ("- name: name\n", "- name: id\n", "the column `id` is there twice"),
        ("from: predictions.probability\n", "from: probability\n", "should be objects.<column>"),
        ("columns:\n", "colums:\n", "should hold a list `columns:`"),
    ],
)
def test_mistakes_in_the_definition(tmp_path, old, new, sentence):
    assert old in ENTRY
    path = tmp_path / "columns.yaml"
    path.write_text(ENTRY.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_columns(path)
    assert sentence in str(error.value) and str(path) in str(error.value)


def test_a_bool_cannot_be_masked(tmp_path):
    path = tmp_path / "columns.yaml"
    position = ENTRY.index("nullable: false", ENTRY.index("- name: candidate"))
    path.write_text(ENTRY[:position] + "nullable: true" + ENTRY[position + len("nullable: false") :])
    with pytest.raises(UserError, match="a bool cannot be masked"):
        read_columns(path)
