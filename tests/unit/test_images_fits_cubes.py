import gzip
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy import constants, units
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic import BEAM, SCALE, celestial

from skyloom.errors import UserError
from skyloom.images.fits import UnusableImage, read_image
from skyloom.images.fits_cubes import open_cube, subcubes

DATA = Path(__file__).resolve().parents[3] / "shared/data/alma_cubes"
SHAPE = (5, 18, 24)
PIXELS = np.random.default_rng(1).normal(0, 2, SHAPE).astype(np.float32)
REST, FIRST, STEP = 1.15e11, 1.13e11, 2e7
FREQUENCY = FIRST + STEP * np.arange(SHAPE[0])
C = constants.c.value
AXES = {
    "FREQ": {"CRVAL": FIRST, "CDELT": STEP, "CUNIT": "Hz"},
    "STOKES": {"CRVAL": 1.0, "CDELT": 1.0},
}


def sky(height, width, axis1=None):
    """Keys of the celestial axes, longitude first, with some of the first changed."""
    wcs = celestial(height, width).wcs
    keys = ("CTYPE", "CRVAL", "CRPIX", "CDELT")
    return [
        {key: getattr(wcs, key.lower())[axis] for key in keys} | {"CUNIT": "deg"} | (axis1 or {} if axis == 0 else {})
        for axis in (0, 1)
    ]


def write(path, data=PIXELS, axes=None, cards=None, history=None, tables=(), **spectral):
    """Write data whose axes in FITS order are longitude, latitude and a spectral axis, unless `axes` says which."""
    spectral = {"CTYPE": "FREQ", "CRPIX": 1.0} | (spectral or AXES["FREQ"])
    axes = axes or [*sky(*np.shape(data)[-2:]), spectral][: np.ndim(data)]
    header = fits.Header()
    for number, axis in enumerate(axes, 1):
        header.update({f"{key}{number}": value for key, value in axis.items()})
    known = {
        "RADESYS": "ICRS",
        "BMAJ": BEAM.major / 3600,
        "BMIN": BEAM.minor / 3600,
        "BPA": BEAM.pa,
        "BUNIT": "Jy/beam",
    }
    header.update({key: value for key, value in (known | (cards or {})).items() if value is not None})
    for line in history or ():
        header["HISTORY"] = line
    data = np.asarray(data)
    data = data.astype(np.float32) if data.dtype == np.float64 else data
    fits.HDUList([fits.PrimaryHDU(data, header), *tables]).writeto(path, overwrite=True)
    return path


def reason(path, **options):
    with pytest.raises(UnusableImage) as caught:
        cube = open_cube(path, **options)
        cube.channel_rms()
    text = str(caught.value)
    assert text.endswith(".") and text[0].isupper()
    return text


# Axes


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_axes_may_come_in_any_order(tmp_path, order):
    """Pixels, sky and frequencies are the same however the axes of the file are permuted."""
    planes = np.stack([PIXELS, PIXELS + 100])
    lon, lat = sky(*SHAPE[1:])
    axes = [
        lon,
        lat,
        {"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"],
        {"CTYPE": "STOKES", "CRPIX": 1.0} | AXES["STOKES"],
    ]
    numpy_order = [3 - axis for axis in order[::-1]]
    cube = open_cube(write(tmp_path / "a.fits", planes.transpose(numpy_order), [axes[axis] for axis in order]))
    assert cube.shape == SHAPE
    assert (cube.stokes, cube.flags) == ("I", [])
    np.testing.assert_array_equal(cube.read(), PIXELS)
    part = np.s_[1:4, 3:9, 10:11]
    np.testing.assert_array_equal(cube.read(*part), PIXELS[part])
    np.testing.assert_allclose(cube.frequency, FREQUENCY, rtol=1e-12)
    where, expected = cube.wcs.pixel_to_world(3.0, 7.0), celestial(*SHAPE[1:]).pixel_to_world(3.0, 7.0)
    assert where.separation(expected).arcsec < 1e-6
    plain = open_cube(write(tmp_path / "b.fits"))
    assert cube.data_sha256 == plain.data_sha256


bounds = st.tuples(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 4)).map(lambda at: slice(*at))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Cubes of the same pixels, some missing, stored in different ways."""
    folder = tmp_path_factory.mktemp("stored")
    data = PIXELS.copy()
    data[0, :3] = np.nan
    cubes = [open_cube(write(folder / "plain.fits", data))]
    (folder / "packed.fits.gz").write_bytes(gzip.compress((folder / "plain.fits").read_bytes()))
    with fits.open(folder / "plain.fits") as hdus:
        tiles = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="GZIP_1", quantize_level=0)
        tiles.writeto(folder / "tiles.fits")
    axes = [{"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"], *sky(*SHAPE[1:])]
    cubes.append(open_cube(write(folder / "spectra.fits", data.transpose(1, 2, 0), axes)))
    return data, [*cubes, open_cube(folder / "packed.fits.gz"), open_cube(folder / "tiles.fits")]


@given(bounds, bounds, bounds)
def test_a_section_is_that_of_the_whole(stored, z, y, x):
    data, cubes = stored
    for cube in cubes:
        np.testing.assert_array_equal(cube.read(z, y, x), data[z, y, x], err_msg=cube.path.name)


def test_pixels_have_one_hash_however_they_are_stored(stored, tmp_path):
    data, cubes = stored
    assert len({cube.data_sha256 for cube in cubes}) == 1
    changed = data.copy()
    changed[4, 17, 23] += 1e-3
    assert open_cube(write(tmp_path / "a.fits", changed)).data_sha256 != cubes[0].data_sha256
    assert open_cube(write(tmp_path / "b.fits", data[::-1])).data_sha256 != cubes[0].data_sha256


@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "i4", "u1"])
@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30)])
def test_one_channel_is_the_image_that_the_reader_of_images_gives(tmp_path, kind, shape):
    data = (np.random.default_rng(2).normal(100, 20, shape)).astype(kind)
    cards = {} if kind[0] == "f" else {"BSCALE": 0.013, "BZERO": -1.7, "BLANK": int(data.flat[0])}
    path = tmp_path / "a.fits"
    write(path, data)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update(cards)
    cube, image = open_cube(path), read_image(path)
    assert cube.shape == (1, 20, 30)
    np.testing.assert_array_equal(cube.read()[0], image.data)
    assert np.isnan(cube.read()).any() == (kind[0] != "f")
    assert cube.data_sha256 == image.data_sha256
    assert (cube.beam, cube.pixel_scale) == (image.beam, image.pixel_scale)


def test_a_plain_image_has_its_rest_frequency_and_a_flag(tmp_path):
    cube = open_cube(write(tmp_path / "a.fits", PIXELS[0], cards={"RESTFRQ": REST}))
    assert (cube.shape, cube.flags) == ((1, *SHAPE[1:]), ["no_spectral_axis"])
    assert cube.frequency.tolist() == [REST]
    assert cube.read(z=slice(1, None)).shape == (0, *SHAPE[1:])
    assert np.isnan(open_cube(write(tmp_path / "b.fits", PIXELS[0])).frequency).all()


def test_an_axis_that_only_the_wcs_has_tells_the_frequency(tmp_path):
    axes = [*sky(*SHAPE[1:]), {"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"]]
    cube = open_cube(write(tmp_path / "a.fits", PIXELS[0], axes, {"WCSAXES": 3}))
    assert cube.shape == (1, *SHAPE[1:])
    assert cube.frequency.tolist() == [FIRST]


def test_of_several_stokes_planes_i_is_read_wherever_it_is(tmp_path):
    planes = np.stack([PIXELS + 200, PIXELS + 100, PIXELS])

    def axes(first, step):
        stokes = {"CTYPE": "STOKES", "CRPIX": 1.0, "CRVAL": first, "CDELT": step}
        return [*sky(*SHAPE[1:]), {"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"], stokes]

    backwards = open_cube(write(tmp_path / "a.fits", planes, axes(3.0, -1.0)))
    np.testing.assert_array_equal(backwards.read(), PIXELS)
    alone = open_cube(write(tmp_path / "b.fits", planes[:1], axes(-5.0, -1.0)))
    assert (alone.stokes, alone.flags) == ("XX", ["not_stokes_i"])
    assert "Stokes I" in reason(write(tmp_path / "c.fits", planes, axes(-5.0, -1.0)))


def test_an_image_that_is_turned_or_mirrored_is_flagged(tmp_path):
    for number, (matrix, flags) in enumerate(
        [((1, 0, 0, 1), []), ((0.9, -0.436, 0.436, 0.9), ["north_not_up"]), ((-1, 0, 0, 1), ["north_not_up"])]
    ):
        cards = dict(zip(("PC1_1", "PC1_2", "PC2_1", "PC2_2"), map(float, matrix), strict=True))
        assert open_cube(write(tmp_path / f"{number}.fits", cards=cards)).flags == flags


# Frequencies


@pytest.mark.parametrize(
    ("spectral", "cards"),
    [
        ({"CTYPE": "FREQ", "CRVAL": FIRST / 1e9, "CDELT": STEP / 1e9, "CUNIT": "GHz"}, {}),
        ({"CTYPE": "freq", "CRVAL": FIRST, "CDELT": STEP}, {}),
        ({"CTYPE": "FREQ-LSR", "CRVAL": FIRST, "CDELT": STEP, "CUNIT": "HZ"}, {}),
        ({"CTYPE": "FREQ-OHEL", "CRVAL": FIRST, "CDELT": STEP, "CUNIT": "HZ"}, {}),
        ({"CTYPE": "VRAD", "CRVAL": C * (1 - FIRST / REST), "CDELT": -C * STEP / REST, "CUNIT": "m/s"}, {}),
        (
            {"CTYPE": "VRAD", "CRVAL": C * (1 - FIRST / REST) / 1e3, "CDELT": -C * STEP / REST / 1e3, "CUNIT": "KM/S"},
            {},
        ),
        ({"CTYPE": "VELO-LSR", "CRVAL": C * (1 - FIRST / REST), "CDELT": -C * STEP / REST}, {"VELREF": 257}),
        ({"CTYPE": "VELO", "CRVAL": C * (1 - FIRST / REST), "CDELT": -C * STEP / REST}, {"VELREF": 257}),
        ({"CTYPE": "VOPT-F2W", "CRVAL": C * (REST / FIRST - 1), "CDELT": -C * REST * STEP / FIRST**2}, {}),
        ({"CTYPE": "FELO-HEL", "CRVAL": C * (REST / FIRST - 1), "CDELT": -C * REST * STEP / FIRST**2}, {"VELREF": 2}),
        ({"CTYPE": "ZOPT-F2W", "CRVAL": REST / FIRST - 1, "CDELT": -REST * STEP / FIRST**2}, {}),
        ({"CTYPE": "WAVE-F2W", "CRVAL": C / FIRST, "CDELT": -C * STEP / FIRST**2, "CUNIT": "m"}, {}),
        ({"CTYPE": "WAVN", "CRVAL": FIRST / C, "CDELT": STEP / C, "CUNIT": "m-1"}, {}),
    ],
    ids=lambda value: value.get("CTYPE"),
)
def test_axes_that_are_regular_in_frequency_all_tell_the_same(tmp_path, spectral, cards):
    for key in ("RESTFRQ", "RESTFREQ"):
        cube = open_cube(write(tmp_path / f"{key}.fits", cards=cards | {key: REST}, **spectral))
        np.testing.assert_allclose(cube.frequency, FREQUENCY, rtol=1e-10)
        assert cube.flags == []
        assert cube.rest_frequency == REST


@pytest.mark.parametrize(
    ("kind", "cards", "frequency", "flags"),
    [
        ("VOPT", {}, lambda beta: REST / (1 + beta), []),
        ("VELO-HEL", {"VELREF": 2}, lambda beta: REST / (1 + beta), []),
        ("VELO", {"VELREF": 2}, lambda beta: REST / (1 + beta), []),
        ("VELO-HEL", {}, lambda beta: REST / (1 + beta), ["velocity_convention_assumed"]),
        ("VELO", {}, lambda beta: REST * np.sqrt((1 - beta) / (1 + beta)), ["velocity_convention_assumed"]),
        ("VRAD", {}, lambda beta: REST * (1 - beta), []),
    ],
)
def test_channels_regular_in_velocity(tmp_path, kind, cards, frequency, flags):
    velocity = {"CTYPE": kind, "CRVAL": 5000.0, "CDELT": 400.0, "CUNIT": "km/s"}
    cube = open_cube(write(tmp_path / "a.fits", cards=cards | {"RESTFRQ": REST}, **velocity))
    beta = (5000 + 400 * np.arange(SHAPE[0])) * 1e3 / C
    np.testing.assert_allclose(cube.frequency, frequency(beta), rtol=1e-12)
    np.testing.assert_allclose(cube.spectral_values, beta * C, rtol=1e-12)
    assert cube.flags == flags


@pytest.mark.parametrize("kind", ["VELO-HEL", "VRAD", "VOPT", "FELO-LSR", "VOPT-F2W"])
def test_velocities_without_a_rest_frequency_are_flagged_not_guessed(tmp_path, kind):
    velocity = {"CTYPE": kind, "CRVAL": 574.0, "CDELT": 4.0, "CUNIT": "km/s"}
    path = write(tmp_path / "a.fits", **velocity)
    cube = open_cube(path)
    assert cube.flags == ["no_rest_frequency"]
    assert cube.rest_frequency is None
    assert np.isnan(cube.frequency).all()
    if "F" not in kind:
        np.testing.assert_allclose(cube.spectral_values, 574e3 + 4e3 * np.arange(SHAPE[0]))
    np.testing.assert_array_equal(cube.read(), PIXELS)
    given_by_user = open_cube(path, rest_frequency=1.42e9)
    assert "rest_frequency_given" in given_by_user.flags
    assert given_by_user.frequency[0] == pytest.approx(1.42e9 / (1 + 574e3 / C), rel=1e-5)


def test_the_rest_frequency_of_aips_is_the_one_that_the_file_left_out(tmp_path):
    velocity = {"CRVAL": 5e6, "CDELT": 4e5, "CUNIT": "m/s"}
    for kind, velref, alternative in (("VELO-LSR", 257, 1 - 5.4e6 / C), ("FELO-HEL", 2, 1 / (1 + 5.4e6 / C))):
        cards = {"VELREF": velref, "ALTRVAL": REST * alternative, "ALTRPIX": 2.0}
        cube = open_cube(write(tmp_path / f"{velref}.fits", cards=cards, CTYPE=kind, **velocity))
        assert cube.rest_frequency == pytest.approx(REST, rel=1e-12)
        assert cube.flags == ["rest_frequency_derived"]


def test_frequencies_that_make_no_sense_are_unknown(tmp_path):
    cube = open_cube(write(tmp_path / "a.fits", CTYPE="FREQ", CRVAL=0.0, CDELT=1.0, CUNIT="Hz"))
    assert cube.flags == ["no_frequency"]
    assert np.isnan(cube.frequency).all()


# Beams


def beam_table(rows, **units_of):
    names = ("BMAJ", "BMIN", "BPA", "CHAN", "POL")
    columns = [
        fits.Column(
            name=name, format="J" if name in ("CHAN", "POL") else "E", array=list(values), unit=units_of.get(name)
        )
        for name, values in zip(names, zip(*rows, strict=True), strict=False)
    ]
    return fits.BinTableHDU.from_columns(columns, name="BEAMS")


NO_BEAM = {"BMAJ": None, "BMIN": None, "BPA": None}


def test_a_beam_a_channel_is_put_where_it_belongs(tmp_path):
    """Rows in any order, angles on both sides of North, a channel without data and two polarisations."""
    own = [(0.30, 0.20, 179.0), (0.32, 0.21, 1.0), (0.31, 0.22, -1.0), (0.0, 0.0, 0.0), (0.33, 0.20, 3.0)]
    rows = [(*beam, channel, 0) for channel, beam in enumerate(own)]
    rows += [(9.0, 9.0, 0.0, channel, 1) for channel in range(5)]
    table = beam_table([rows[at] for at in (7, 4, 2, 9, 0, 6, 3, 1, 5, 8)], BMAJ="arcsec", BMIN="arcsec", BPA="deg")
    cube = open_cube(write(tmp_path / "a.fits", cards=NO_BEAM, tables=[table]))
    np.testing.assert_allclose(cube.beams[[0, 1, 4]], [own[0], own[1], own[4]], rtol=1e-6)
    assert np.isnan(cube.beams[3]).all()
    assert cube.beams[2, 2] == pytest.approx(179.0)
    assert (cube.beam.major, cube.beam.minor) == pytest.approx((0.315, 0.205))
    assert cube.beam.pa == pytest.approx(0.0, abs=1e-3) or cube.beam.pa == pytest.approx(180.0, abs=1e-3)
    assert cube.beam_pixels[0] == pytest.approx(0.315 / SCALE)
    assert cube.flags == ["beam_per_channel", "beam_varies"]


@example(90.0, [1.0, -4.0, 3.0, 0.0, -2.0])
@given(st.floats(0, 179.9), st.permutations([-4.0, -2.0, 0.0, 1.0, 3.0]))
@settings(max_examples=20)
def test_the_median_angle_of_beams_is_that_of_an_angle(tmp_path_factory, pa, offsets):
    rows = [(0.3, 0.2, pa + offset, channel, 0) for channel, offset in enumerate(offsets)]
    path = tmp_path_factory.mktemp("beams") / "a.fits"
    got = open_cube(write(path, cards=NO_BEAM, tables=[beam_table(rows)])).beam.pa
    assert 0 <= got < 180
    assert (got - pa + 90) % 180 - 90 == pytest.approx(0, abs=1e-4)


def test_units_of_a_beam_table_are_heeded(tmp_path):
    table = beam_table([(0.3 / 3600, 0.2 / 3600, 0.5, 0, 0)], BMAJ="deg", BMIN="deg", BPA="rad")
    cube = open_cube(write(tmp_path / "a.fits", cards=NO_BEAM, tables=[table]))
    assert (cube.beam.major, cube.beam.minor, cube.beam.pa) == pytest.approx((0.3, 0.2, np.degrees(0.5)))
    assert cube.beams is None


def test_the_last_clean_of_an_aips_history_is_the_beam(tmp_path):
    lines = [
        "AIPS   CLEAN BMAJ=  1.6667E-04 BMIN=  1.1111E-04 BPA=  10.00",
        "AIPS   CLEAN NITER=     1000 PRODUCT=1",
        "AIPS   CLEAN BMAJ=  8.3333E-05 BMIN=  6.1111E-05 BPA= -30.00",
    ]
    cube = open_cube(write(tmp_path / "a.fits", cards=NO_BEAM, history=lines), beam=(1, 1, 0))
    assert (cube.beam.major, cube.beam.minor, cube.beam.pa) == pytest.approx((0.3, 0.22, 150.0), rel=1e-3)
    assert cube.flags == ["beam_from_history"]


def test_the_users_beam_stands_in_for_a_missing_one_only(tmp_path):
    path = write(tmp_path / "a.fits", cards=NO_BEAM)
    assert "no beam" in reason(path)
    cube = open_cube(path, beam=(0.4, 0.3, -10))
    assert (cube.beam.major, cube.beam.minor, cube.beam.pa) == (0.4, 0.3, 170)
    assert cube.flags == ["beam_given"]
    assert open_cube(write(tmp_path / "b.fits"), beam=(0.4, 0.3, 20)).beam.major == pytest.approx(BEAM.major)
    assert "no sense" in reason(write(tmp_path / "c.fits", cards={"BMAJ": -1.0}))
    for wrong in ((0.3, 0.4, 0), (0.3, 0.0, 0), (np.nan, 0.1, 0)):
        with pytest.raises(UserError, match="a.fits"):
            open_cube(path, beam=wrong)
    with pytest.raises(UserError, match="rest frequency"):
        open_cube(path, beam=(0.4, 0.3, 0), rest_frequency=-1)


# Units


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("Jy/beam", 1), ("JY/BEAM", 1), ("Jy/Beam", 1), ("beam-1 Jy", 1), ("Jy beam^-1", 1), ("JY/BM", 1)]
    + [("mJy/beam", 1e-3), ("MJY/BEAM", 1e-3), ("uJy/beam", 1e-6), ("UJY/BEAM", 1e-6)],
)
def test_units_become_jansky_per_beam(tmp_path, unit, factor):
    cube = open_cube(write(tmp_path / "a.fits", cards={"BUNIT": unit}))
    np.testing.assert_allclose(cube.read(), PIXELS * factor, rtol=1e-6)
    assert cube.unit == unit


@pytest.mark.parametrize(("unit", "factor"), [("K", 1), ("Kelvin", 1), ("KELVIN", 1), ("mK", 1e-3), ("K (Tmb)", 1)])
def test_brightness_temperatures_become_flux_densities(tmp_path, unit, factor):
    """Rayleigh and Jeans: S = 2 k T nu^2 / c^2 times the beam's solid angle, here a well-known formula in numbers."""
    cube = open_cube(write(tmp_path / "a.fits", cards={"BUNIT": unit}))
    kelvin_per_jansky = 1.222e6 / ((FREQUENCY / 1e9) ** 2 * BEAM.major * BEAM.minor)
    np.testing.assert_allclose(cube.read(), factor * PIXELS / kelvin_per_jansky[:, None, None], rtol=1e-3)
    # A section has the factors of its own channels.
    np.testing.assert_array_equal(cube.read(z=slice(3, 5)), cube.read()[3:5])


def test_brightness_temperatures_use_the_beam_of_their_channel(tmp_path):
    rows = [(0.3 + 0.1 * channel, 0.2, 0.0, channel, 0) for channel in range(SHAPE[0])]
    cube = open_cube(write(tmp_path / "a.fits", cards=NO_BEAM | {"BUNIT": "K"}, tables=[beam_table(rows)]))
    ratio = cube.read()[4] / PIXELS[4] / (cube.read()[0] / PIXELS[0])
    np.testing.assert_allclose(ratio, 0.7 / 0.3 * (FREQUENCY[4] / FREQUENCY[0]) ** 2, rtol=1e-5)


def test_the_flux_of_a_model_in_jansky_per_pixel_is_kept(tmp_path):
    model = np.zeros(SHAPE, dtype=np.float32)
    model[2, 5, 7] = 3.0
    cube = open_cube(write(tmp_path / "a.fits", model, cards={"BUNIT": "JY/PIXEL"}))
    data = cube.read()
    assert np.isfinite(data).all()
    assert data.sum() / cube.beam_area == pytest.approx(3.0, rel=1e-6)
    surface = open_cube(write(tmp_path / "b.fits", model, cards={"BUNIT": "MJy/sr"}))
    pixel = (SCALE * units.arcsec).to_value(units.rad) ** 2
    assert np.nansum(surface.read()) / surface.beam_area == pytest.approx(3e6 * pixel, rel=1e-5)


@pytest.mark.parametrize("unit", [None, "", "Jy", "erg/s", "Jy/beam km/s", "K.KM/S", "W.U.", "counts", "M/S"])
def test_other_units_are_refused_by_name(tmp_path, unit):
    assert (unit or "not given") in reason(write(tmp_path / "a.fits", cards={"BUNIT": unit}))


# Values


def test_zeros_and_infinities_are_not_observed(tmp_path):
    data = PIXELS.copy()
    data[0], data[1, :3], data[2, 0, 0] = 0, 0, np.inf
    cube = open_cube(write(tmp_path / "a.fits", data))
    got = cube.read()
    assert np.isnan(got[0]).all() and np.isnan(got[1, :3]).all() and np.isnan(got[2, 0, 0])
    assert np.isfinite(got).sum() == PIXELS.size - SHAPE[1] * SHAPE[2] - 3 * SHAPE[2] - 1
    assert np.isnan(cube.channel_rms()[0])
    assert np.isfinite(cube.channel_rms()[1:]).all()


def test_the_middle_of_the_band_is_the_nearest_channel_that_was_observed(tmp_path):
    data = np.arange(1, 8, dtype=np.float32)[:, None, None] * np.ones((7, 20, 20), np.float32)
    for name, empty, wanted in (("whole", [], 4), ("gap", [2, 3], 5), ("rest", [1, 2, 3, 4, 5, 6], 1)):
        some = data.copy()
        some[empty] = np.nan
        assert np.all(open_cube(write(tmp_path / f"{name}.fits", some)).middle() == wanted)
    with pytest.raises(UnusableImage, match="No pixel holds a value"):
        open_cube(write(tmp_path / "none.fits", data * np.nan)).middle()


def test_the_noise_of_each_channel_is_found_beside_sources_and_holes(tmp_path):
    rng = np.random.default_rng(4)
    sigma = np.array([1.0, 3.0, 0.2, 5.0, 2.0])
    data = rng.normal(0, sigma[:, None, None], (5, 200, 180)).astype(np.float32)
    data[:, 60:90, 60:90] += 40
    data[:, :30] = np.nan
    data[4] = np.nan
    cube = open_cube(write(tmp_path / "a.fits", data, cards={"BUNIT": "mJy/beam"}))
    for sample in (10**6, 10_000):
        got = cube.channel_rms(sample)
        np.testing.assert_allclose(got[:4], sigma[:4] * 1e-3, rtol=0.04)
        assert np.isnan(got[4])


@given(st.integers(16, 40), st.integers(16, 40), st.integers(1, 3000))
@settings(max_examples=30)
def test_the_noise_is_found_for_any_shape_and_sample(tmp_path_factory, height, width, sample):
    data = np.random.default_rng(5).normal(0, 1, (2, height, width)).astype(np.float32)
    path = write(tmp_path_factory.mktemp("rms") / "a.fits", data)
    got = open_cube(path).channel_rms(sample)
    if sample > 100:
        np.testing.assert_allclose(got, 1, rtol=0.6)


@pytest.mark.parametrize("kind", ["f4", "f8", "i4"])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_reading_a_section_needs_little_more_memory_than_the_section(tmp_path, kind, order):
    data = np.ones((40, 160, 160), dtype=kind)
    axes = [*sky(160, 160), {"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"]]
    stored = [2 - axis for axis in order[::-1]]
    cube = open_cube(write(tmp_path / "a.fits", data.transpose(order), [axes[axis] for axis in stored]))
    for part in (np.s_[:20, 20:120, :], np.s_[3:4, :, :], np.s_[:, 5:6, :]):
        tracemalloc.start()
        size = cube.read(*part).nbytes
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * size + 50_000


# Files that cannot be used


@pytest.mark.parametrize(
    ("axis1", "cards", "word"),
    [
        ({"CDELT": 0.0}, {}, "scale"),
        ({"CDELT": -1e-4}, {}, "square"),
        ({"CTYPE": "X"}, {}, "WCS"),
        ({}, {"PC3_1": 0.5, "PC1_3": 0.5}, "mixed"),
        ({}, {"BMAJ": 1e-6, "BMIN": 1e-6}, "smaller than a pixel"),
        ({}, {"BMAJ": None}, "no beam"),
    ],
)
def test_bad_headers_give_a_reason(tmp_path, axis1, cards, word):
    axes = [*sky(*SHAPE[1:], axis1), {"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"]]
    assert word in reason(write(tmp_path / "a.fits", PIXELS, axes, cards))


def test_kelvin_without_frequencies_gives_a_reason(tmp_path):
    velocity = {"CTYPE": "VELO-HEL", "CRVAL": 574.0, "CDELT": 4.0, "CUNIT": "km/s"}
    assert "without frequencies" in reason(write(tmp_path / "a.fits", cards={"BUNIT": "K"}, **velocity))


def test_an_axis_that_is_neither_spectral_nor_stokes_gives_a_reason(tmp_path):
    assert "Axis 3 has 5 pixels and FIELD" in reason(write(tmp_path / "a.fits", CTYPE="FIELD", CRVAL=1.0, CDELT=1.0))
    axes = [*sky(*SHAPE[1:]), {"CTYPE": "FREQ", "CRPIX": 1.0} | AXES["FREQ"], {"CTYPE": "FIELD"}]
    assert open_cube(write(tmp_path / "b.fits", PIXELS[None], axes)).shape == SHAPE


def test_bad_files_give_a_reason(tmp_path):
    whole = write(tmp_path / "whole.fits").read_bytes()
    (tmp_path / "empty.fits").write_bytes(b"")
    assert "empty" in reason(tmp_path / "empty.fits")
    for end in (100, 2000, 3000, len(PIXELS.tobytes()) + 1000):
        (tmp_path / "cut.fits").write_bytes(whole[:end])
        with pytest.raises(UnusableImage, match="truncated"):
            open_cube(tmp_path / "cut.fits")
    packed = gzip.compress(np.random.default_rng(0).bytes(100) + whole)
    (tmp_path / "junk.fits.gz").write_bytes(packed)
    assert "FITS" in reason(tmp_path / "junk.fits.gz")
    packed = gzip.compress(whole)
    (tmp_path / "cut.fits.gz").write_bytes(packed[: len(packed) // 2])
    assert "truncated" in reason(tmp_path / "cut.fits.gz")
    (tmp_path / "page.fits").write_text("<html>not found</html>" * 200)
    assert "FITS" in reason(tmp_path / "page.fits")
    fits.BinTableHDU.from_columns([fits.Column(name="a", format="E", array=[1.0])]).writeto(tmp_path / "table.fits")
    assert "table" in reason(tmp_path / "table.fits")
    fits.PrimaryHDU().writeto(tmp_path / "nothing.fits")
    assert "nothing" in reason(tmp_path / "nothing.fits")
    assert "NaN" in reason(write(tmp_path / "nan.fits", np.full(SHAPE, np.nan)))
    assert "NaN" in reason(write(tmp_path / "zero.fits", np.zeros(SHAPE)))
    assert "fewer" in reason(write(tmp_path / "small.fits", PIXELS[:, :8]))
    fits.PrimaryHDU(PIXELS).writeto(tmp_path / "bare.fits")
    assert "WCS" in reason(tmp_path / "bare.fits")
    groups = fits.GroupData(
        np.zeros((3, 1, 1, 1, 2), dtype=np.float32), parnames=["UU"], pardata=[[0, 1, 2]], bitpix=-32
    )
    fits.GroupsHDU(groups).writeto(tmp_path / "uv.fits")
    assert "visibilities" in reason(tmp_path / "uv.fits")
    (tmp_path / "card.fits").write_bytes(whole.replace(b"CTYPE1  = 'RA---SIN'", b"CTYPE1  = #RA---SIN#"))
    assert "header is broken" in reason(tmp_path / "card.fits")
    with pytest.raises(UserError, match="absent.fits"):
        open_cube(tmp_path / "absent.fits")


def test_a_truncated_compressed_hdu_gives_a_reason(tmp_path):
    with fits.open(write(tmp_path / "plain.fits")) as hdus:
        fits.CompImageHDU(hdus[0].data, hdus[0].header).writeto(tmp_path / "tiles.fits")
    whole = (tmp_path / "tiles.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[: len(whole) - 4000])
    assert "truncated" in reason(tmp_path / "cut.fits")


# Subcubes

lengths = st.tuples(st.integers(1, 12), st.integers(1, 60), st.integers(1, 60))


@given(lengths, st.integers(1, 40), st.integers(0, 12), st.integers(1, 8), st.integers(0, 3))
def test_cores_tile_the_cube_and_keep_their_distance_from_the_edge(
    shape, size, overlap, spectral_size, spectral_overlap
):
    too_much = size <= 2 * overlap and size < max(shape[1:])
    too_much |= spectral_size <= 2 * spectral_overlap and spectral_size < shape[0]
    if too_much:
        with pytest.raises(UserError, match="overlap"):
            subcubes(shape, size, overlap, spectral_size, spectral_overlap)
        return
    blocks = subcubes(shape, size, overlap, spectral_size, spectral_overlap)
    covered = np.zeros(shape, dtype=int)
    for block in blocks:
        covered[block.core] += 1
        spans = (block.z, block.y, block.x)
        for length, side, margin, span, core in zip(
            shape, (spectral_size, size, size), (spectral_overlap, overlap, overlap), spans, block.core, strict=True
        ):
            assert span.stop - span.start == min(side, length)
            assert core.start - span.start >= margin or span.start == core.start == 0
            assert span.stop - core.stop >= margin or span.stop == core.stop == length
    assert np.all(covered == 1)


@given(lengths, st.tuples(*[st.floats(-0.5, 1.5)] * 3))
def test_a_position_has_one_owner_even_just_outside(shape, share):
    blocks = subcubes(shape, 16, 4, 5, 1)
    position = [part * length for part, length in zip(share, shape, strict=True)]
    owners = [block for block in blocks if block.owns(*position, shape)]
    assert len(owners) == 1
    inside = [min(max(at, 0), length - 1) for at, length in zip(position, shape, strict=True)]
    spans = (owners[0].z, owners[0].y, owners[0].x)
    assert all(span.start <= at < span.stop for at, span in zip(inside, spans, strict=True))


def test_all_channels_are_in_one_block_unless_told():
    blocks = subcubes((100, 300, 200), 256, 32)
    assert [block.z for block in blocks] == [slice(0, 100)] * len(blocks)
    assert {(block.y.start, block.y.stop) for block in blocks} == {(0, 256), (44, 300)}


# Real cubes

REAL = {
    "NGC3256_CO10_ALMA_SV_cube.fits": ((50, 128, 128), 6.845, 4.514, 1.0),
    "NGC2903_WSRT_HI_113x89x70.fits": ((113, 89, 70), 57.416, 48.315, 20.0),
    "M17_SWex_5x31x31.fits": ((5, 31, 31), 2.061, 1.491, 0.4),
    "small_perplanebeam_SDC335.fits": ((11, 21, 20), 6.085, 4.215, 0.78),
    "Pisco_CII/Pisco.cii.455kms.dirty.fits": ((1, 257, 257), 0.2817, 0.1974, 0.04),
    "Pisco_CII/Pisco.cii.455kms.image.fits": ((1, 257, 257), 0.2817, 0.1974, 0.04),
    "Pisco_CII/Pisco.cii.455kms.image.pbcor.fits": ((1, 257, 257), 0.2817, 0.1974, 0.04),
}


def real(name):
    if not DATA.is_dir():
        pytest.skip(f"the real cubes are not here: {DATA} is absent")
    return DATA / name


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("name", REAL)
def test_a_real_cube_is_read_as_astropy_reads_it(name):
    path = real(name)
    cube, header = open_cube(path), fits.getheader(path)
    shape, major, minor, scale = REAL[name]
    assert cube.shape == shape
    assert (cube.beam.major, cube.beam.minor, cube.pixel_scale) == pytest.approx((major, minor, scale), rel=1e-3)
    whole = fits.getdata(path).astype(np.float32).reshape(shape)
    np.testing.assert_array_equal(cube.read(), np.where(whole == 0, np.nan, whole))
    parts = [cube.read(block.z, block.y, block.x) for block in subcubes(shape, 24, 4, 10, 2)]
    together = np.full(shape, -1, dtype=np.float32)
    for block, part in zip(subcubes(shape, 24, 4, 10, 2), parts, strict=True):
        together[block.z, block.y, block.x] = part
    np.testing.assert_array_equal(together, cube.read())
    rms = cube.channel_rms()
    assert np.array_equal(np.isfinite(rms), np.isfinite(cube.read()).any(axis=(1, 2)))
    if header["CTYPE3"] == "FREQ":
        expected = header["CRVAL3"] + (np.arange(shape[0]) + 1 - header["CRPIX3"]) * header["CDELT3"]
        np.testing.assert_allclose(cube.frequency, expected, rtol=1e-12)
        spectral = WCS(header).spectral.pixel_to_world(np.arange(shape[0])).to_value(units.Hz)
        np.testing.assert_allclose(cube.frequency, np.atleast_1d(spectral), rtol=1e-9)
        assert cube.rest_frequency == header["RESTFRQ"]
    centre = WCS(header).celestial.pixel_to_world(11.0, 13.0)
    assert cube.wcs.pixel_to_world(11.0, 13.0).separation(centre).arcsec < 1e-6


def test_hydrogen_in_ngc2903_has_velocities_and_frequencies_with_a_rest_frequency():
    path = real("NGC2903_WSRT_HI_113x89x70.fits")
    cube, header = open_cube(path), fits.getheader(path)
    assert cube.flags == ["no_rest_frequency"]
    velocity = header["CRVAL3"] + (np.arange(113) + 1 - header["CRPIX3"]) * header["CDELT3"]
    np.testing.assert_allclose(cube.spectral_values, velocity)
    assert cube.specsys == "BARYCENT"
    hydrogen = 1.420405751768e9
    cube = open_cube(path, rest_frequency=hydrogen)
    np.testing.assert_allclose(cube.frequency, hydrogen / (1 + velocity / C), rtol=1e-12)
    # The header's FREQR is that of the middle channel in the observatory's frame, within its 30 km/s of the Sun's.
    assert abs(np.interp(59.9998, np.arange(113), cube.frequency) / header["FREQR"] - 1) < 30e3 / C


def test_the_beams_of_sdc335_are_those_of_its_table():
    path = real("small_perplanebeam_SDC335.fits")
    cube, table = open_cube(path), fits.getdata(path, "BEAMS")
    np.testing.assert_allclose(cube.beams[:, 0], table["BMAJ"])
    assert table["BMIN"].min() <= cube.beam.minor <= table["BMIN"].max()
    assert np.all((cube.beams[:, 2] >= 0) & (cube.beams[:, 2] < 180))
    assert "beam_per_channel" in cube.flags


def test_pisco_is_the_image_that_the_reader_of_images_gives():
    path = real("Pisco_CII/Pisco.cii.455kms.image.fits")
    cube, image = open_cube(path), read_image(path)
    np.testing.assert_array_equal(cube.read()[0], image.data)
    assert cube.data_sha256 == image.data_sha256
    model = real("Pisco_CII/Pisco.cii.455kms.model.fits")
    beam = (cube.beam.major, cube.beam.minor, cube.beam.pa)
    flux = open_cube(model, beam=beam).read().sum(dtype=float) / cube.beam_area
    assert flux == pytest.approx(fits.getdata(model).sum(dtype=float), rel=1e-5)


@pytest.mark.parametrize(("kind", "word"), [("psf", "unit"), ("pb", "beam"), ("residual", "beam"), ("model", "beam")])
def test_products_of_casa_that_are_no_sky_give_a_reason(kind, word):
    assert word in reason(real(f"Pisco_CII/Pisco.cii.455kms.{kind}.fits"))
