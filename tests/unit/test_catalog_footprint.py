import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from catalog_fixtures import make_fields
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.catalog.footprint import read_area, searched_area, write_area
from skyloom.errors import UserError
from skyloom.images.footprint import observed_disc

WHOLE_SKY = 4 * np.pi * (180 / np.pi * 3600) ** 2  # square arcsec


def test_area_is_that_of_the_kept_fields():
    fields = make_fields()
    expected = np.pi * np.sum(fields["radius"][1:] ** 2)
    assert searched_area(fields).sky_fraction * WHOLE_SKY == pytest.approx(expected, rel=0.15)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 360, exclude_max=True), st.floats(-89, 89), st.floats(2, 36000))
def test_the_centre_is_inside_and_twice_the_radius_outside(ra, dec, radius):
    fields = make_fields(2)[1:]
    fields["ra"], fields["dec"], fields["radius"] = ra * units.deg, dec * units.deg, radius * units.arcsec
    area = searched_area(fields)
    centre = SkyCoord(ra, dec, unit="deg")
    outside = centre.directional_offset_by(np.arange(0, 360, 45) * units.deg, 2 * radius * units.arcsec)
    assert area.contains_skycoords(centre)
    assert not np.any(area.contains_skycoords(outside))


def test_overlapping_fields_count_once():
    fields = make_fields(2)[[1, 1]]
    assert searched_area(fields).sky_fraction == searched_area(fields[:1]).sky_fraction


def test_written_area_is_read_back_and_has_no_date(tmp_path):
    area = searched_area(make_fields())
    write_area(tmp_path / "a.moc.fits", area)
    write_area(tmp_path / "b.moc.fits", area)
    assert read_area(tmp_path / "a.moc.fits") == area
    assert (tmp_path / "a.moc.fits").read_bytes() == (tmp_path / "b.moc.fits").read_bytes()
    assert b"DATE" not in (tmp_path / "a.moc.fits").read_bytes()[:5760]


def test_nothing_searched_is_a_valid_area(tmp_path):
    write_area(tmp_path / "none.moc.fits", searched_area(make_fields(1)))
    assert read_area(tmp_path / "none.moc.fits").empty()


def test_observed_disc_is_where_the_pixels_are():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], [83.6, 22.0], [101.0, 101.0]
    wcs.wcs.cdelt = [-0.5 / 3600, 0.5 / 3600]
    y, x = np.mgrid[:201, :201]
    data = np.where(np.hypot(x - 130, y - 100) < 60, 1.0, np.nan)
    ra, dec, radius = observed_disc(data, wcs, 0.5)
    # 30 pixels to the right is 15 arcsec to the West.
    assert (83.6 - ra) * np.cos(np.radians(22.0)) * 3600 == pytest.approx(15, abs=0.1)
    assert dec == pytest.approx(22.0, abs=1e-4) and radius == pytest.approx(30, rel=0.01)


def test_mistakes(tmp_path):
    fields = make_fields()
    fields.remove_column("radius")
    with pytest.raises(UserError, match="no column `radius`"):
        searched_area(fields)
    (tmp_path / "bad.moc.fits").write_text("no MOC")
    with pytest.raises(UserError, match="cannot be read as a MOC"):
        read_area(tmp_path / "bad.moc.fits")
