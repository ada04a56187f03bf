import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import FITSFixedWarning
from hypothesis import given
from hypothesis import strategies as st
from synthetic import BEAM, SCALE, gaussian, header, noise, write

from skyloom.images.fits import Beam, UnusableImage, read_image

DATA = gaussian((40, 50), 25, 20, 6, 4.4, 30) + noise((40, 50), 0.01)


def reason(path):
    with pytest.raises(UnusableImage) as caught:
        read_image(path)
    text = str(caught.value)
    assert text.endswith(".") and text[0].isupper()
    return text


def test_reads_pixels_beam_scale_and_sky(tmp_path):
    got = read_image(write(tmp_path / "a.fits", DATA))
    np.testing.assert_allclose(got.data, DATA, rtol=1e-6)
    assert got.pixel_scale == pytest.approx(SCALE, rel=1e-6)
    assert (got.beam.major, got.beam.minor, got.beam.pa) == pytest.approx((BEAM.major, BEAM.minor, BEAM.pa))
    assert got.wcs.pixel_to_world(25, 20).ra.deg == pytest.approx(83.0)


def test_axes_of_length_one_are_squeezed_and_frequency_is_read(tmp_path):
    card = header(DATA.shape) + fits.Header(
        {"CTYPE3": "FREQ", "CRVAL3": 2.3e11, "CRPIX3": 1, "CDELT3": 1e9, "CUNIT3": "Hz"}
        | {"CTYPE4": "STOKES", "CRVAL4": 1, "CRPIX4": 1, "CDELT4": 1}
    )
    card["WCSAXES"] = 4
    fits.PrimaryHDU(DATA[None, None].astype(np.float32), card).writeto(tmp_path / "a.fits")
    got = read_image(tmp_path / "a.fits")
    assert got.data.shape == DATA.shape
    assert got.frequency == pytest.approx(230.0)


@pytest.mark.parametrize("unit, factor", [("Jy/beam", 1), ("JY/BEAM", 1), ("mJy/beam", 1e-3), ("beam-1 Jy", 1)])
def test_units_become_jansky_per_beam(tmp_path, unit, factor):
    got = read_image(write(tmp_path / "a.fits", DATA, BUNIT=unit))
    np.testing.assert_allclose(got.data, DATA * factor, rtol=1e-5)


def test_the_beam_of_an_aips_history_and_of_a_beam_table(tmp_path):
    card = header(DATA.shape, BMAJ=None, BMIN=None, BPA=None)
    card["HISTORY"] = "AIPS   CLEAN BMAJ=  8.3333E-05 BMIN=  6.1111E-05 BPA=  30.00"
    fits.PrimaryHDU(DATA.astype(np.float32), card).writeto(tmp_path / "a.fits")
    assert read_image(tmp_path / "a.fits").beam.major == pytest.approx(0.3, rel=1e-3)
    bare = header(DATA.shape, BMAJ=None, BMIN=None, BPA=None)
    columns = [
        fits.Column(name=name, format="E", array=[value])
        for name, value in zip(("BMAJ", "BMIN", "BPA"), (0.3, 0.2, 5.0), strict=True)
    ]
    table = fits.BinTableHDU.from_columns(columns, name="BEAMS")
    fits.HDUList([fits.PrimaryHDU(DATA.astype(np.float32), bare), table]).writeto(tmp_path / "b.fits")
    assert read_image(tmp_path / "b.fits").beam.minor == pytest.approx(0.2)


def test_zeros_around_an_image_are_not_observed(tmp_path):
    data = DATA.copy()
    data[:5] = 0
    assert np.isnan(read_image(write(tmp_path / "a.fits", data)).data[:5]).all()


def test_equal_pixels_have_one_hash_whatever_the_header(tmp_path):
    one = read_image(write(tmp_path / "a.fits", DATA))
    two = read_image(write(tmp_path / "b.fits", DATA, OBJECT="other"))
    three = read_image(write(tmp_path / "c.fits", DATA + 1e-3))
    assert one.data_sha256 == two.data_sha256 != three.data_sha256


@pytest.mark.parametrize(
    "cards, word",
    [
        ({"CDELT1": 0.0}, "scale"),
        ({"CDELT1": -1e-4}, "square"),
        ({"CTYPE1": "X", "CTYPE2": "Y"}, "WCS"),
        ({"BUNIT": "K"}, "unit is K"),
        ({"BUNIT": None}, "not given"),
        ({"BMAJ": None}, "beam"),
        ({"BMAJ": -1.0}, "no sense"),
        ({"BMAJ": 1e-6, "BMIN": 1e-6}, "smaller than a pixel"),
    ],
)
def test_bad_headers_give_a_reason(tmp_path, cards, word):
    assert word in reason(write(tmp_path / "a.fits", DATA, **cards))


def test_bad_files_give_a_reason(tmp_path):
    whole = write(tmp_path / "whole.fits", DATA).read_bytes()
    (tmp_path / "empty.fits").write_bytes(b"")
    assert "empty" in reason(tmp_path / "empty.fits")
    for end in (100, 3000, 6000):
        (tmp_path / "cut.fits").write_bytes(whole[:end])
        assert "truncated" in reason(tmp_path / "cut.fits")
    (tmp_path / "page.fits").write_text("<html>not found</html>" * 200)
    assert "FITS" in reason(tmp_path / "page.fits")
    fits.BinTableHDU.from_columns([fits.Column(name="a", format="E", array=[1.0])]).writeto(tmp_path / "table.fits")
    assert "table" in reason(tmp_path / "table.fits")
    assert "NaN" in reason(write(tmp_path / "nan.fits", np.full((40, 50), np.nan)))
    assert "fewer" in reason(write(tmp_path / "small.fits", DATA[:8, :8]))


def test_a_cube_is_refused_with_its_shape(tmp_path):
    card = header(DATA.shape) + fits.Header({"CTYPE3": "FREQ", "CRVAL3": 2.3e11, "CRPIX3": 1, "CDELT3": 1e9})
    card["WCSAXES"] = 3
    fits.PrimaryHDU(np.stack([DATA] * 3).astype(np.float32), card).writeto(tmp_path / "cube.fits")
    assert "cube of 50 x 40 x 3" in reason(tmp_path / "cube.fits")


def stokes(values, first=1.0, **cards):
    """A header whose third axis is frequency and whose fourth is Stokes, and data with a plane a value."""
    card = header(DATA.shape) + fits.Header(
        {"CTYPE3": "FREQ", "CRVAL3": 2.3e11, "CRPIX3": 1, "CDELT3": 1e9, "CUNIT3": "Hz"}
        | {"CTYPE4": "STOKES", "CRVAL4": first, "CRPIX4": 1, "CDELT4": 1}
    )
    card["WCSAXES"] = 4
    card.update(cards)
    return np.stack([DATA[None] * value for value in values]).astype(np.float32), card


def test_of_four_stokes_planes_the_first_is_read(tmp_path):
    fits.PrimaryHDU(*stokes([1, 2, 3, 4])).writeto(tmp_path / "iquv.fits")
    fits.PrimaryHDU(*stokes([1])).writeto(tmp_path / "i.fits")
    full, alone = read_image(tmp_path / "iquv.fits"), read_image(tmp_path / "i.fits")
    np.testing.assert_array_equal(full.data, alone.data)
    assert full.data_sha256 == alone.data_sha256
    assert full.frequency == pytest.approx(230.0)


def test_stokes_before_frequency_is_read_as_well(tmp_path):
    data, card = stokes([1, 2, 3, 4])
    for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT"):
        card[f"{key}3"], card[f"{key}4"] = card[f"{key}4"], card[f"{key}3"]
    del card["CUNIT3"]
    fits.PrimaryHDU(data.swapaxes(0, 1), card).writeto(tmp_path / "a.fits")
    np.testing.assert_allclose(read_image(tmp_path / "a.fits").data, DATA, rtol=1e-6)


def test_stokes_planes_that_do_not_begin_with_i_are_refused(tmp_path):
    fits.PrimaryHDU(*stokes([1, 2, 3], first=2.0)).writeto(tmp_path / "quv.fits")
    assert "Stokes" in reason(tmp_path / "quv.fits")
    fits.PrimaryHDU(*stokes([1, 2], first=-5.0)).writeto(tmp_path / "xx.fits")
    assert "Stokes" in reason(tmp_path / "xx.fits")


def test_four_stokes_planes_of_several_channels_are_a_cube(tmp_path):
    data, card = stokes([1, 2, 3, 4])
    fits.PrimaryHDU(np.concatenate([data, data], axis=1), card).writeto(tmp_path / "a.fits")
    assert "cube of 50 x 40 x 2 x 4" in reason(tmp_path / "a.fits")


@pytest.mark.parametrize("date", [{}, {"DATE-OBS": "2017-10-21T22:29:13.776"}, {"DATE-OBS": "21/10/17"}])
def test_dates_in_a_header_are_no_news(tmp_path, recwarn, date):
    read_image(write(tmp_path / "a.fits", DATA, **date)).wcs.pixel_to_world(1, 1)
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, FITSFixedWarning)] == []


@given(st.floats(0.05, 5), st.floats(0.1, 1), st.floats(0.01, 0.05))
def test_the_beam_area_is_that_of_the_gaussian(major, ratio, scale):
    assert Beam(major, major * ratio, 0).area(scale) == pytest.approx(1.1331 * major**2 * ratio / scale**2, rel=1e-4)
