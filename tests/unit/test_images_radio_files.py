"""Radio images in files: axes, units, beams, clusters, and images that stay on disk."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.images.fits import UnusableImage, read_image
from skyloom.images.radio_files import read_field
from skyloom.learn.field_files import sky_angle
from skyloom.sky.cluster_lists import read_clusters

COLUMNS = SimpleNamespace(name="name", ra="ra", dec="dec", redshift="redshift", mass="mass", r500="r500")
SIDE, PIXEL, BEAM = 48, 5.0, 20.0
IMAGE = np.random.default_rng(1).normal(0, 1e-4, (SIDE, SIDE + 8)).astype(np.float32)


def header(rotation=0.0, **cards):
    """Return the header of a celestial image around (150, 30) deg."""
    card = fits.Header()
    cosine, sine = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    card["CTYPE1"], card["CTYPE2"] = "RA---SIN", "DEC--SIN"
    card["CRVAL1"], card["CRVAL2"] = 150.0, 30.0
    card["CRPIX1"], card["CRPIX2"] = (SIDE + 9) / 2, (SIDE + 1) / 2
    card["CDELT1"], card["CDELT2"] = -PIXEL / 3600, PIXEL / 3600
    card["PC1_1"], card["PC1_2"], card["PC2_1"], card["PC2_2"] = cosine, sine, -sine, cosine
    card["CUNIT1"] = card["CUNIT2"] = "deg"
    card["BMAJ"], card["BMIN"], card["BPA"] = BEAM / 3600, BEAM / 3600, 10.0
    card["BUNIT"] = "Jy/beam"
    card["CTYPE3"], card["CRVAL3"], card["CRPIX3"], card["CDELT3"] = "FREQ", 1.44e8, 1.0, 1e6
    card["CTYPE4"], card["CRVAL4"], card["CRPIX4"], card["CDELT4"] = "STOKES", 1.0, 1.0, 1.0
    for key, value in cards.items():
        if value is None:
            del card[key]
        else:
            card[key] = value
    return card


def write(path, data=IMAGE, **cards):
    fits.PrimaryHDU(data, header(**cards)).writeto(path, output_verify="silentfix")
    return path


def reason(path):
    with pytest.raises(UnusableImage) as caught:
        read_field(path)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(1, 1), (), (1,)])
def test_axes_of_length_one_may_be_there_or_not(tmp_path, shape):
    got = read_field(write(tmp_path / "a.fits", IMAGE.reshape(*shape, *IMAGE.shape)))
    np.testing.assert_array_equal(got.field.image[:], IMAGE)
    assert got.field.frequency == pytest.approx(144.0) and got.flags == ()
    assert got.wcs.naxis == 2 and got.field.pixel == pytest.approx(PIXEL)


def test_axes_in_any_order(tmp_path):
    """Stokes and frequency first, declination before right ascension: the pixels are where the sky has them."""
    card = header()
    swapped = fits.Header()
    for new, old in enumerate((4, 2, 3, 1), start=1):
        for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT"):
            if f"{key}{old}" in card:
                swapped[f"{key}{new}"] = card[f"{key}{old}"]
    for key in ("BMAJ", "BMIN", "BPA", "BUNIT"):
        swapped[key] = card[key]
    fits.PrimaryHDU(IMAGE.T[:, None, :, None], swapped).writeto(tmp_path / "a.fits")
    got = read_field(tmp_path / "a.fits")
    np.testing.assert_array_equal(got.field.image[:], IMAGE)
    plain = read_field(write(tmp_path / "b.fits"))
    here, there = (one.wcs.pixel_to_world(3, 40) for one in (got, plain))
    assert here.separation(there).arcsec < 1e-3


def test_the_hash_is_that_of_other_readers(tmp_path):
    path = write(tmp_path / "a.fits", IMAGE[None, None])
    assert read_field(path).data_sha256 == read_image(path).data_sha256


@pytest.mark.parametrize(
    "unit, factor", [("JY/BEAM", 1), ("mJy/beam", 1e-3), ("beam-1 Jy", 1), ("Jy/pixel", "area"), ("mJy/pixel", "milli")]
)
def test_units_become_jansky_per_beam(tmp_path, unit, factor):
    got = read_field(write(tmp_path / "a.fits", BUNIT=unit))
    area = got.field.beam_area
    factor = {"area": area, "milli": 1e-3 * area}.get(factor, factor)
    np.testing.assert_allclose(got.field.image[:], IMAGE * factor, rtol=1e-5)


def test_what_is_not_told_is_assumed_and_said(tmp_path):
    got = read_field(write(tmp_path / "a.fits", BUNIT=None, CTYPE3=None))
    assert got.flags == ("unit_assumed",) and np.isnan(got.field.frequency)
    assert "K" in reason(write(tmp_path / "b.fits", BUNIT="K"))


def test_the_beam_of_an_aips_history(tmp_path):
    card = header(BMAJ=None, BMIN=None, BPA=None)
    card["HISTORY"] = "AIPS   CLEAN BMAJ=  5.5556E-03 BMIN=  5.5556E-03 BPA=  30.00"
    fits.PrimaryHDU(IMAGE, card).writeto(tmp_path / "a.fits")
    assert read_field(tmp_path / "a.fits").field.beam == pytest.approx((20.0, 20.0, 30.0), rel=1e-3)


def test_what_was_not_observed_is_no_number(tmp_path):
    data = IMAGE.copy()
    data[:5], data[5, 5], data[-8:] = np.nan, np.inf, 0
    image = read_field(write(tmp_path / "a.fits", data)).field.image
    assert np.isnan(image[:5]).all() and np.isnan(image[5, 5]) and np.isnan(image[-8:]).all()
    assert np.isfinite(image[6:-8]).all()
    assert "No pixel" in reason(write(tmp_path / "b.fits", np.full_like(IMAGE, np.nan)))


def test_bad_files_are_said(tmp_path):
    assert "cube" in reason(write(tmp_path / "a.fits", np.stack([IMAGE, IMAGE])[None]))
    assert "beam" in reason(write(tmp_path / "b.fits", BMAJ=None))
    (tmp_path / "c.fits").write_bytes(b"SIMPLE  = nonsense")
    assert "broken" in reason(tmp_path / "c.fits")
    Table({"a": [1.0]}).write(tmp_path / "d.fits")
    assert "table" in reason(tmp_path / "d.fits") or "no pixels" in reason(tmp_path / "d.fits")
    assert "smaller than a pixel" in reason(write(tmp_path / "e.fits", BMAJ=1e-4, BMIN=1e-4))


def test_a_large_image_stays_on_disk(tmp_path):
    data = np.ones((3000, 3000), np.float32)
    data[::7] = 2
    write(tmp_path / "a.fits", data)
    tracemalloc.start()
    image = read_field(tmp_path / "a.fits").field.image
    rows = image[1000:1010]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.shape == (10, 3000) and rows.dtype == np.float32 and rows.dtype.isnative
    assert peak < data.nbytes / 2


def cluster_table(*rows):
    return Table(rows=[dict(zip(("name", "ra", "dec", "redshift", "r500"), row, strict=True)) for row in rows])


def test_the_cluster_nearest_to_the_middle_is_taken_if_it_is_in_the_image(tmp_path):
    path = write(tmp_path / "a.fits")
    known = cluster_table(
        ("far", 150.2, 30.0, 0.2, 4.0), ("off", 150.01, 30.01, 0.3, 2.0), ("near", 150.0, 30.005, 0.1, 3.0)
    )
    got = read_field(path, known)
    assert got.cluster == "near"
    assert got.field.cluster.x == pytest.approx((SIDE + 7) / 2, abs=0.01)
    assert got.field.cluster.y == pytest.approx((SIDE - 1) / 2 + 0.005 * 3600 / PIXEL, abs=0.01)
    assert got.field.cluster.r500 == pytest.approx(3.0 * 60 / PIXEL) and got.field.cluster.redshift == 0.1
    assert read_field(path, known[:1]).field.cluster is None
    beside = cluster_table(("beside", 150.0, 30.05, 0.1, 2.0), ("too far", 150.0, 30.2, 0.1, 2.0))
    assert read_field(path, beside).cluster == "beside", "its R500 reaches into the image"
    told = write(tmp_path / "b.fits", CL_RA=150.01, CL_DEC=30.0, CL_R500=1.5, CL_Z=0.4)
    assert read_field(told, known).field.cluster.redshift == 0.4, "the header knows what was observed"


def test_the_radius_of_a_cluster_follows_from_its_mass(tmp_path):
    """A2744: M500 of 9.84e14 Msun (Planck Collaboration 2016, PSZ2) at z = 0.308 is 1.3 Mpc, or 4.8 arcmin."""
    path = tmp_path / "a.csv"
    path.write_text("name,ra,dec,redshift,mass\nA2744,3.58,-30.39,0.308,9.84\nunknown,1,1,-1,5\n")
    got = read_clusters(path, COLUMNS)
    assert list(got["name"]) == ["A2744"] and got["r500"][0] == pytest.approx(4.8, abs=0.2)
    Table(
        {"name": ["a"], "ra": [1.0], "dec": [2.0], "redshift": [0.1], "r500": [300.0]}, units={"r500": "arcsec"}
    ).write(tmp_path / "b.vot", format="votable")
    assert read_clusters(tmp_path / "b.vot", COLUMNS)["r500"][0] == pytest.approx(5.0)


def test_a_list_that_cannot_be_used_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,ra,decl,redshift,mass\nA,1,2,0.1,5\n")
    with pytest.raises(UserError, match="did you mean `decl`"):
        read_clusters(path, COLUMNS)
    path.write_text("name,ra,dec,redshift\nA,1,2,0.1\n")
    with pytest.raises(UserError, match=r"search\.clusters"):
        read_clusters(path, COLUMNS)
    with pytest.raises(UserError, match="no such"):
        read_clusters(tmp_path / "none.csv", COLUMNS)


@given(st.floats(0, 179), st.floats(-170, 170))
def test_position_angles_are_those_on_the_sky(pa, rotation):
    wcs = WCS(header(rotation=rotation)).celestial
    # The matrix turns pixels by the rotation, hence angles by as much the other way.
    assert (sky_angle(wcs, 27, 23, pa) - pa + rotation + 90) % 180 - 90 == pytest.approx(0, abs=0.3)
