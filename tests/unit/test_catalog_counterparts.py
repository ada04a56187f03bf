from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from skyloom.catalog.counterparts import counterparts, read_reference
from skyloom.errors import UserError

GAMMA_CAT = Path(__file__).parents[3] / "shared/data/cherenkov/gammacat.fits.gz"


def a_reference(path, **changes):
    columns = {"name": ["A", "B", "C"], "ra": [10.0, 359.999, 20.0], "dec": [0.0, 5.0, -30.0]} | changes
    Table(columns).write(path, overwrite=True)
    return path


@pytest.mark.parametrize("ending", ["fits", "fits.gz", "ecsv", "csv", "vot"])
def test_tables_of_all_formats_are_read(tmp_path, ending):
    Table({"name": ["A"], "ra": [10.0], "dec": [-5.0]}).write(
        tmp_path / f"known.{ending}", **({"format": "votable"} if ending == "vot" else {})
    )
    found = read_reference(tmp_path / f"known.{ending}", "name", "ra", "dec")
    assert list(found["name"]) == ["A"] and (found["ra"][0], found["dec"][0]) == (10.0, -5.0)


def test_positions_are_in_degrees_and_those_unknown_left_out(tmp_path):
    hours = MaskedColumn([1.0, 2.0, 3.0], unit="hourangle", mask=[False, False, True])
    found = read_reference(a_reference(tmp_path / "known.ecsv", ra=hours, dec=[0, np.nan, 5]), "name", "ra", "dec")
    assert list(found["name"]) == ["A"] and found["ra"][0] == pytest.approx(15)


def test_the_nearest_within_the_radius_is_named(tmp_path):
    known = read_reference(a_reference(tmp_path / "known.fits"), "name", "ra", "dec")
    names, distances = counterparts([10.05, 0.001, 10.2, 20.0], [0.0, 5.0, 0.0, 30.0], known, 0.1)
    assert list(names.filled("-")) == ["A", "B", "-", "-"]
    assert (
        distances.unit == "arcsec"
        and distances[0] == pytest.approx(180)
        and distances[1] == pytest.approx(7.17, rel=0.01)
    )
    assert list(distances.mask) == [False, False, True, True]
    assert all(counterparts([1.0], [1.0], known[:0], 1)[0].mask) and len(counterparts([], [], known, 1)[0]) == 0


def test_mistakes_are_told_in_a_sentence(tmp_path):
    path = a_reference(tmp_path / "known.fits")
    with pytest.raises(UserError, match="has no column `nam`; did you mean `name`?"):
        read_reference(path, "nam", "ra", "dec")
    with pytest.raises(UserError, match="no such file; it should be a catalog of known sources"):
        read_reference(tmp_path / "none.fits", "name", "ra", "dec")
    (tmp_path / "text.fits").write_text("no table")
    with pytest.raises(UserError, match="cannot be read as a table of known sources"):
        read_reference(tmp_path / "text.fits", "name", "ra", "dec")
    with pytest.raises(UserError, match="`name` and `dec` should be angles as numbers"):
        read_reference(path, "name", "name", "dec")


@pytest.mark.skipif(not GAMMA_CAT.is_file(), reason="gamma-cat is not here")
def test_the_crab_is_the_crab_of_gamma_cat():
    known = read_reference(GAMMA_CAT, "common_name", "ra", "dec")
    assert len(known) == 162
    names, distances = counterparts([83.63, 83.63], [22.02, 24.0], known, 0.1)
    assert names[0] == "Crab nebula" and distances[0] < 60 and names[1] is np.ma.masked
