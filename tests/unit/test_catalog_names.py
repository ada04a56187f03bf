import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom.catalog.names import iau_name

FORM = re.compile(r"^SKYL J(\d\d)(\d\d)(\d\d\.\d\d)([+-])(\d\d)(\d\d)(\d\d\.\d)$")


def test_known_positions():
    assert iau_name(294.2537083, 7.5693333) == "SKYL J193700.88+073409.5"
    assert iau_name(0.0, -0.0) == "SKYL J000000.00+000000.0"
    assert iau_name(83.633212, -22.01446) == "SKYL J053431.97-220052.0"


def test_truncates_and_never_rounds():
    assert iau_name(359.9999999, 89.9999999) == "SKYL J235959.99+895959.9"
    assert iau_name(15 * 59.999 / 3600, -0.99999) == "SKYL J000059.99-005959.9"


def test_border_of_a_cell_is_exact():
    # 0.1 h = 1.5 deg exactly; in binary floats 1.5 / 15 * 3600 is 360 less or more one bit.
    assert iau_name(1.5, 0.1) == "SKYL J000600.00+000600.0"
    assert iau_name(0.3, 0.7) == "SKYL J000112.00+004200.0"


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90))
def test_name_gives_the_cell_of_the_position(ra, dec):
    hours, minutes, seconds, sign, degrees, arcmin, arcsec = FORM.match(iau_name(ra, dec)).groups()
    assert float(seconds) < 60 and int(minutes) < 60 and int(hours) < 24 and float(arcsec) < 60 and int(arcmin) < 60
    low = 15 * (int(hours) + int(minutes) / 60 + float(seconds) / 3600)
    assert -1e-9 <= ra - low < 15 * 0.01 / 3600 + 1e-9
    assert -1e-9 <= abs(dec) - (int(degrees) + int(arcmin) / 60 + float(arcsec) / 3600) < 0.1 / 3600 + 1e-9
    assert (sign == "-") == (dec < 0)


def test_impossible_declination():
    with pytest.raises(ValueError, match="not on the sky"):
        iau_name(10, 91)
