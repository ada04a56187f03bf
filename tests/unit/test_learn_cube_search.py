"""Cubes from files, searched with stand-ins for the networks: functions that read sources off what they are given."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.convolution import Gaussian2DKernel, convolve_fft
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from synthetic import celestial

from skyloom.cases.alma_cubes import Observation, Search, telescope_of
from skyloom.detect import line_search as search
from skyloom.detect import simulated_cubes
from skyloom.images.cubes import Cube
from skyloom.images.fits import UnusableImage
from skyloom.images.fits_cubes import open_cube
from skyloom.learn import backend
from skyloom.seeds import generator
from skyloom.sky import line_sources as sky

backend.start(1)

from skyloom.learn import cube_chain, cube_search  # noqa: E402  (keras reads its environment when it is imported)

INSTRUMENTS = Path(__file__).parents[2] / "resources"
CHANNELS, SIDE, PIXEL = 48, 160, 0.1
SHAPE = (5.0, 3.0, 30.0)
"""Of all sources [pixel of 0.1 arcsec], so that a stand-in knows the shape of whatever it is shown."""
C = 299792.458
FWHM = np.sqrt(8 * np.log(2))
AS_THEY_ARE = {"probability": {"weights": [1.0, 0.0, 0.0], "bias": 0.0}, "errors": {}, "threshold": 0.5}
"""A calibration that changes nothing."""
PLACES = [(30.3, 41.7), (104.2, 28.1), (78.6, 80.2), (127.7, 112.4), (36.0, 127.0)]
LINES = [(14.3, 6.0), (30.0, 4.0), (22.2, 8.0), (35.0, 5.0), (25.5, 7.0)]


def source(x, y, *lines, continuum=0.003, scale=1.0):
    major, minor, angle = SHAPE
    return sky.LineSource(x, y, scale * major, scale * minor, angle, continuum, 0.0, lines)


SOURCES = [source(*place, sky.Line(*line, 0.008)) for place, line in zip(PLACES, LINES, strict=True)]


@pytest.fixture(scope="module")
def telescope():
    return telescope_of(Observation(side=SIDE, channels=CHANNELS, integration=60, pixel=PIXEL), INSTRUMENTS)


@pytest.fixture(scope="module")
def simulated(telescope):
    return simulate(telescope, SOURCES)


def simulate(telescope, sources, noise=True):
    """Return a cube and its truth."""
    band = telescope.band
    data = telescope.signal(simulated_cubes.sky_parts(sources, band))
    if noise:
        data += telescope.noise(CHANNELS, generator(1, "t")) * np.float32(band.rms)
    cube = Cube(data, np.full(CHANNELS, band.rms), band.beam, band.frequency, band.dirty_beam)
    responses = search.Responses(cube)
    return cube, [simulated_cubes.truth_row(n, one, band, responses) for n, one in enumerate(sources)]


def write(path, cube, pixel=PIXEL, dirty=True, reverse=False, **cards):
    """Write a cube as a file, by frequency rising or falling."""
    header = celestial(*cube.data.shape[1:], scale=pixel).to_header()
    step = -1 if reverse else 1
    frequency = cube.frequency[::step]
    header.update(BMAJ=cube.beam[0] * pixel / 3600, BMIN=cube.beam[1] * pixel / 3600, BPA=cube.beam[2], BUNIT="Jy/beam")
    header.update(CTYPE3="FREQ", CUNIT3="Hz", CRPIX3=1.0, CRVAL3=frequency[0], CDELT3=frequency[1] - frequency[0])
    header.update(cards)
    hdus = [fits.PrimaryHDU(cube.data[::step].astype(">f4"), header)]
    if dirty:
        hdus.append(fits.ImageHDU(cube.dirty_beam, name=cube_search.DIRTY_BEAM))
    fits.HDUList(hdus).writeto(path)
    return open_cube(path)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Let a network be any function of its input."""
    monkeypatch.setattr(cube_chain, "outputs", lambda network, given, batch_size=64: network(np.asarray(given)))


def bright_maxima(given):
    """Stand for the map's network: what is twenty times its noise and higher than all within eight pixels.

    Like the trained networks it marks nothing where an image ends.
    """
    snr = ndimage.gaussian_filter(3 * np.sinh(5 * given[0, ..., 1]), 1)
    peaks = (snr == ndimage.maximum_filter(snr, 9)) & (snr > 20)
    peaks[:3] = peaks[-3:] = peaks[:, :3] = peaks[:, -3:] = False
    y, x = np.nonzero(peaks)
    return search.map_target(2 * x + 0.5, 2 * y + 0.5, (2 * given.shape[1], 2 * given.shape[2]))[None]


def lines_above(given):
    """Stand for the network of the lines: what is five times its noise, or nothing."""
    snr = np.sinh(4 * given[..., 1])
    return np.where(snr > 5, np.clip(given[..., 0], 0, 1), 0)[..., None]


def networks(beam, dirty_beam):
    """Return stand-ins that say `SHAPE`, and the flux that the beam makes of a peak."""
    responses = search.Responses(Cube(np.zeros((1, SIDE, SIDE), np.float32), np.ones(1), beam, np.ones(1), dirty_beam))
    middle = search.STAMP // 2
    rows, columns = np.indices((search.STAMP, search.STAMP)) - middle
    peak = search.peak_of(responses.at(SHAPE, columns, rows), middle, middle)[2]
    targets = search.stamp_target(*([value] for value in SHAPE), [1 / peak])[0]

    def always(*values):
        return lambda given: np.tile(np.array([*values, 2 * np.log(0.05)]), (len(given), 1))

    return {
        "map": bright_maxima,
        "lines": lines_above,
        "fwhm_major": always(targets[0]),
        "fwhm_minor": always(targets[1]),
        "pa": always(targets[2], targets[3]),
        "flux": always(targets[4]),
    }


@pytest.fixture(scope="module")
def trained(telescope):
    return networks(telescope.band.beam, telescope.band.dirty_beam)


@pytest.fixture(scope="module")
def file(tmp_path_factory, simulated):
    return write(tmp_path_factory.mktemp("cubes") / "cube.fits", simulated[0], RESTFRQ=345.8e9)


@pytest.fixture(scope="module")
def table(file, trained):
    """What is found in the whole cube at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cube_chain, "outputs", lambda network, given, batch_size=64: network(np.asarray(given)))
        return cube_search.search_file(file, trained, AS_THEY_ARE, Search())


def near(rows, x, y, within=8.0):
    """Return the only row near a place."""
    (found,) = (row for row in rows if np.hypot(row["x"] - x, row["y"] - y) < within)
    return found


# Whole files


def test_the_sources_of_a_file_are_in_its_pixels_and_channels(simulated, table):
    assert len(table) == len(SOURCES)
    for wanted in simulated[1]:
        row = near(table, wanted["x"], wanted["y"])
        assert (row["x"], row["y"]) == pytest.approx((wanted["x"], wanted["y"]), abs=0.3)
        assert (row["z"], row["line_fwhm"]) == pytest.approx((wanted["z"], wanted["line_fwhm"]), abs=1)
        # The noise is that of the file's pixels, to which sidelobes add.
        assert row["snr"] == pytest.approx(wanted["snr"], rel=0.15)
        assert 0 < row["probability"] <= 1 and row["candidate"]
        count = row["z1"] - row["z0"]
        assert row["rms"] == pytest.approx(simulated[0].rms[0] / np.sqrt(count), rel=0.15)
        wider = abs(count / (wanted["z1"] - wanted["z0"]) - 1)
        assert row["peak_flux"] == pytest.approx(wanted["peak"], rel=0.05 + wider, abs=3 * row["rms"])
        assert row["flux"] == pytest.approx(wanted["flux"], rel=0.1 + wider)
        assert row["flags"] == "channels_untrained"


@pytest.mark.parametrize("subcube", [96, 128])
def test_a_cube_in_parts_has_the_same_sources(file, table, trained, subcube):
    parts = cube_search.search_file(file, trained, AS_THEY_ARE, Search(subcube=subcube))
    assert len(parts) == len(table)
    for row in table:
        same = near(parts, row["x"], row["y"])
        # What lies beyond a part cannot be taken out of it, so that its sidelobes stay.
        assert (same["x"], same["y"]) == pytest.approx((row["x"], row["y"]), abs=0.4)
        assert (same["z"], same["line_fwhm"]) == pytest.approx((row["z"], row["line_fwhm"]), abs=0.5)
        for name in ("x0", "x1", "y0", "y1", "z0", "z1"):
            assert abs(same[name] - row[name]) <= 1
        assert same["flux"] == pytest.approx(row["flux"], rel=0.15)


def test_many_channels_are_searched_in_parts(monkeypatch, file, table, trained):
    monkeypatch.setattr(cube_search, "MOST_CHANNELS", 32)
    monkeypatch.setattr(cube_search, "CHANNEL_OVERLAP", 12)
    parts = cube_search.search_file(file, trained, AS_THEY_ARE, Search())
    assert len(parts) == len(table)
    for row in table:
        same = near(parts, row["x"], row["y"])
        assert (same["z"], same["line_fwhm"]) == pytest.approx((row["z"], row["line_fwhm"]), abs=0.7)
        assert abs(same["z0"] - row["z0"]) <= 1 and abs(same["z1"] - row["z1"]) <= 1


def test_a_line_in_one_part_is_not_lost_to_the_continuum_in_another(monkeypatch, tmp_path, telescope, trained):
    monkeypatch.setattr(cube_search, "MOST_CHANNELS", 32)
    monkeypatch.setattr(cube_search, "CHANNEL_OVERLAP", 12)
    cube, _ = simulate(telescope, [source(*PLACES[2], sky.Line(8.0, 5.0, 0.006), continuum=0.015)])
    (row,) = cube_search.search_file(write(tmp_path / "c.fits", cube), trained, AS_THEY_ARE, Search())
    assert row["z"] == pytest.approx(8, abs=0.5)


def test_falling_frequencies_give_the_same_sources(tmp_path, simulated, file, table, trained):
    turned = write(tmp_path / "c.fits", simulated[0], reverse=True, RESTFRQ=345.8e9)
    assert turned.frequency[0] > turned.frequency[-1]
    found = cube_search.search_file(turned, trained, AS_THEY_ARE, Search())
    assert len(found) == len(table)
    here, there = (cube_search.on_the_sky(*pair, None) for pair in ((table, file), (found, turned)))
    for row in here:
        same = near(there, row["x"], row["y"])
        assert same["channel"] == pytest.approx(CHANNELS - 1 - row["channel"], abs=0.05)
        for name in ("ra", "dec", "line_frequency", "line_width", "line_flux", "flux", "redshift"):
            assert same[name] == pytest.approx(row[name], rel=1e-2 if "flux" in name or "width" in name else 1e-5), name


def test_without_its_dirty_beam_a_cube_is_searched_with_the_fitted_one(tmp_path, simulated, trained):
    lone = write(tmp_path / "c.fits", simulated[0], dirty=False)
    found = cube_search.search_file(lone, trained, AS_THEY_ARE, Search())
    for wanted in simulated[1]:
        row = near(found, wanted["x"], wanted["y"])
        assert (row["x"], row["y"]) == pytest.approx((wanted["x"], wanted["y"]), abs=0.7)
        assert "no_dirty_beam" in row["flags"]


def test_what_was_not_observed_holds_no_source(tmp_path, simulated, trained):
    data = simulated[0].data.copy()
    data[:, :, 100:] = np.nan
    part = Cube(data, simulated[0].rms, simulated[0].beam, simulated[0].frequency, simulated[0].dirty_beam)
    found = cube_search.search_file(write(tmp_path / "c.fits", part), trained, AS_THEY_ARE, Search())
    assert sorted(np.round(found["x"])) == [30, 36, 79]
    part.data[:] = np.nan
    with pytest.raises(UnusableImage):
        cube_search.search_file(write(tmp_path / "n.fits", part), trained, AS_THEY_ARE, Search())


def test_a_cube_of_noise_gives_a_table_without_rows(tmp_path, telescope, simulated, trained):
    noise = telescope.noise(CHANNELS, generator(9, "t")) * np.float32(telescope.band.rms)
    empty = Cube(noise, simulated[0].rms, simulated[0].beam, simulated[0].frequency, simulated[0].dirty_beam)
    found = cube_search.search_file(lone := write(tmp_path / "c.fits", empty), trained, AS_THEY_ARE, Search())
    assert len(found) == 0
    assert {"x", "probability", "candidate", "peak_flux", "rms", "flags"} <= set(found.colnames)
    assert cube_search.on_the_sky(found, lone, None) == []


def test_a_cube_with_other_pixels_is_resampled_and_its_sources_are_in_its_own_pixels(tmp_path):
    pixel = 0.15
    coarse = telescope_of(Observation(side=96, channels=CHANNELS, integration=60, pixel=pixel), INSTRUMENTS)
    band = coarse.band
    zoom = cube_search.TRAINED_BEAM / np.sqrt(band.beam[0] * band.beam[1])
    # A side that is far from a whole number of new pixels; the second source lies where that shows most.
    side = max(range(86, 97), key=lambda length: abs(length * zoom - round(length * zoom)))
    sources = [source(x, y, sky.Line(20.0, 6.0, 0.02), scale=1 / zoom) for x, y in ((30.3, 32.7), (side - 16.4,) * 2)]
    cube, truth = simulate(coarse, sources)
    cube = Cube(cube.data[:, :side, :side], cube.rms, cube.beam, cube.frequency, cube.dirty_beam)
    made = write(tmp_path / "c.fits", cube, pixel)
    shape = tuple(width * zoom for width in band.beam[:2])
    found = cube_search.search_file(made, networks((*shape, band.beam[2]), None), AS_THEY_ARE, Search())
    assert len(found) == 2
    for wanted in truth:
        row = near(found, wanted["x"], wanted["y"])
        assert set(row["flags"].split(";")) == {"no_dirty_beam", "resampled", "channels_untrained"}
        assert (row["fwhm_major"], row["fwhm_minor"]) == pytest.approx((SHAPE[0] / zoom, SHAPE[1] / zoom), rel=0.01)
        assert row["flux"] == pytest.approx(wanted["flux"], rel=0.12)
        assert row["z"] == pytest.approx(20, abs=0.3)
        for name in ("x0", "x1", "y0", "y1"):
            assert abs(row[name] - wanted[name]) <= 1
        assert (row["x"], row["y"]) == pytest.approx((wanted["x"], wanted["y"]), abs=0.12)


# On the sky


def test_positions_are_those_of_the_pixels(file, table):
    wcs = celestial(SIDE, SIDE, scale=PIXEL)
    rows = cube_search.on_the_sky(table, file, None)
    assert len(rows) == len(table)
    for row, found in zip(rows, table, strict=True):
        ra, dec = wcs.wcs_pix2world([[found["x"], found["y"]]], 0)[0]
        assert (row["ra"], row["dec"]) == pytest.approx((ra, dec), abs=1e-9)
        assert row["pos_error"] == pytest.approx(PIXEL * max(found["x_error"], found["y_error"]), rel=1e-6)
    west, east = (near(rows, *PLACES[n]) for n in (3, 0))
    assert west["ra"] < east["ra"] and west["dec"] > east["dec"]


def test_line_fluxes_are_those_of_the_sky(file, simulated, table):
    rows = cube_search.on_the_sky(table, file, None)
    for wanted, one in zip(simulated[1], SOURCES, strict=True):
        row = near(rows, wanted["x"], wanted["y"])
        (line,) = one.lines
        velocity = C * 0.01e9 / (230e9 + (line.centre - (CHANNELS - 1) / 2) * 0.01e9)  # km/s a channel
        flux = line.peak * line.fwhm * np.sqrt(np.pi / (4 * np.log(2))) * velocity
        # A window of one FWHM each side holds 98 % of a line.
        assert row["line_flux"] == pytest.approx(0.98 * flux, rel=0.1)
        assert row["line_flux"] == pytest.approx(wanted["line_flux"], rel=0.1)
        assert row["line_flux_error"] > 0.04 * row["line_flux"]
        assert row["line_width"] == pytest.approx(line.fwhm * velocity, rel=0.15)
        assert row["moment_width"] == pytest.approx(line.fwhm * velocity, abs=4 * row["moment_width_error"])
        assert row["mean_frequency"] == pytest.approx(row["line_frequency"], abs=4 * row["mean_frequency_error"])
        assert row["continuum"] == pytest.approx(0.003, abs=4 * row["continuum_error"])


def rows_of(file, line_frequency=None, **values):
    """Return what is said of one source with these values, others being plain ones."""
    plain = {"cube": 0, "x": 20.0, "y": 21.0, "z": 10.0, "line_fwhm": 5.0, "flux": 0.02, "continuum": 0.005}
    plain |= {"fwhm_major": 5.0, "fwhm_minor": 3.0, "pa": 30.0, "z0": 5, "z1": 16, "x0": 10, "x1": 30, "y0": 10}
    plain |= {"mean_z": 10.4, "moment_fwhm": 6.0, "mean_z_error": 0.6, "moment_fwhm_error": 0.7}
    plain |= {"y1": 30, "z_error": 0.5, "line_fwhm_error": 0.4, "flux_error": 0.003, "continuum_error": 0.004}
    table = cube_chain.detection_table([plain | values])
    table["peak_flux"], table["rms"] = 0.01, 1e-3
    return cube_search.on_the_sky(table, file, line_frequency)[0]


@given(st.floats(0, CHANNELS - 1), st.floats(100, 800))
def test_redshifts_follow_from_the_rest_frequency(file, z, rest):
    row = rows_of(file, rest, z=z, mean_z=z)
    frequency = 230 + (z - (CHANNELS - 1) / 2) * 0.01
    assert row["line_frequency"] == pytest.approx(frequency, abs=1e-9)
    assert row["line_frequency_error"] == pytest.approx(0.005, rel=1e-6)
    assert row["redshift"] == pytest.approx(rest / frequency - 1, abs=1e-9)
    assert row["redshift_error"] == pytest.approx(rest / frequency * 0.005 / frequency, rel=1e-6)
    # Redshift and velocity width belong together: a width of dv is one of dz = (1 + z) dv / c.
    assert row["line_width"] == pytest.approx(5 * 0.01 / frequency * C, rel=1e-6)
    assert row["line_flux"] == pytest.approx(0.015 * 11 * 0.01 / frequency * C, rel=1e-6)
    assert row["line_flux_error"] == pytest.approx(0.005 * 11 * 0.01 / frequency * C, rel=1e-6)
    assert row["moment_width"] == pytest.approx(1.2 * row["line_width"], rel=1e-6)
    assert row["moment_width_error"] == pytest.approx(0.7 * 0.01 / frequency * C, rel=1e-6)
    assert row["mean_frequency"] == row["line_frequency"]
    assert row["mean_frequency_error"] == pytest.approx(0.006, rel=1e-6)


def test_the_rest_frequency_of_the_settings_comes_before_that_of_the_file(tmp_path, simulated, file):
    assert rows_of(file)["redshift"] == pytest.approx(345.8 / rows_of(file)["line_frequency"] - 1)
    assert rows_of(file, 461.04)["redshift"] == pytest.approx(461.04 / rows_of(file)["line_frequency"] - 1)
    unknown = rows_of(write(tmp_path / "c.fits", simulated[0]))
    assert np.isnan(unknown["redshift"]) and np.isfinite(unknown["line_frequency"])


def test_a_source_without_a_line_has_none_of_its_numbers(file):
    row = rows_of(file, z=np.nan, line_fwhm=np.nan, mean_z=np.nan, moment_fwhm=np.nan, z0=0, z1=CHANNELS)
    for name in (
        "channel",
        "mean_frequency",
        "moment_width",
        "line_frequency",
        "line_width",
        "line_flux",
        "redshift",
        "redshift_error",
    ):
        assert np.isnan(row[name]), name
    assert row["flux"] == 0.02 and row["frequency"] == pytest.approx(230)


def test_every_number_of_a_source_has_a_unit(file):
    row = rows_of(file)
    # The beam is the file's, and is put in with it.
    assert set(row) == set(cube_search.UNITS) - {"beam_major", "beam_minor", "beam_pa"}
    assert row["source_major"] == pytest.approx(0.5) and row["source_minor"] == pytest.approx(0.3)


@settings(max_examples=30)
@given(
    st.tuples(st.floats(4, 14), st.floats(0.4, 0.9), st.floats(0, 179)),
    st.tuples(st.floats(6, 12), st.floats(0.5, 0.95), st.floats(0, 179)),
)
def test_the_shape_that_is_seen_is_the_convolved_one(shape, beam):
    sources, kernels = [], []
    for major, ratio, angle in (shape, beam):
        sources.append((major, ratio * major, angle))
        # astropy turns from x to y, position angles from y (North) to -x (East).
        width = major / FWHM, ratio * major / FWHM
        kernels.append(Gaussian2DKernel(*width, np.radians(angle + 90), x_size=101, y_size=101).array)
    row = dict(zip(("fwhm_major", "fwhm_minor", "pa"), sources[0], strict=True))
    major, minor, angle = cube_search.seen_shape(row, SimpleNamespace(beam_pixels=sources[1]))
    image = convolve_fft(kernels[0], kernels[1])
    image /= image.sum()
    y, x = np.indices(image.shape) - 50
    xx, yy, xy = (float(np.sum(image * product)) for product in (x * x, y * y, x * y))
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    assert (major, minor) == pytest.approx((FWHM * np.sqrt(middle + half), FWHM * np.sqrt(middle - half)), rel=0.01)
    wanted = np.degrees(np.arctan2(2 * xy, xx - yy)) / 2 - 90
    if major > 1.03 * minor:
        assert (angle - wanted + 90) % 180 - 90 == pytest.approx(0, abs=1.5)
    assert 0 <= angle < 180


# Flags


PLAIN_FILE = {"flags": [], "shape": (128, 256, 256), "beam_pixels": (8.9, 7.6, 80.0)}
PLAIN_ROW = {"x": 120.0, "y": 130.0, "line_fwhm": 6.0, "line_fwhm_error": 0.1, "fwhm_major": 5.0}
PLAIN_ROW |= {"moment_fwhm": 6.3, "moment_fwhm_error": 0.2}
BEAM = np.ones((3, 3))


@pytest.mark.parametrize(
    ("flag", "file", "row", "others"),
    [
        ("beam_varies", {"flags": ["beam_varies"]}, {}, {}),
        ("no_rest_frequency", {"flags": ["no_rest_frequency"]}, {}, {}),
        ("no_dirty_beam", {}, {}, {"dirty": None}),
        ("resampled", {}, {}, {"zoom": 1.7}),
        ("channels_untrained", {"shape": (63, 256, 256)}, {}, {}),
        ("channels_untrained", {"shape": (257, 256, 256)}, {}, {}),
        ("beam_untrained", {"beam_pixels": (10.6, 7.0, 80.0)}, {}, {}),
        ("crowded", {}, {}, {"count": 9}),
        ("line_untrained", {}, {"line_fwhm": 1.5, "moment_fwhm": 1.5}, {}),
        ("line_untrained", {}, {"line_fwhm": 20.0, "moment_fwhm": 21.0}, {}),
        ("line_not_gaussian", {}, {"moment_fwhm": 7.0}, {}),
        ("line_not_gaussian", {}, {"moment_fwhm": 5.0}, {}),
        ("size_untrained", {}, {"fwhm_major": 9.5}, {}),
        ("edge", {}, {"x": 8.0}, {}),
        ("edge", {}, {"y": 250.0}, {}),
    ],
)
def test_each_flag_is_said_when_it_holds(flag, file, row, others):
    given = {"count": 4, "zoom": 1.0, "dirty": BEAM}
    plain = cube_search.flags_of(PLAIN_ROW, SimpleNamespace(**PLAIN_FILE), *given.values())
    assert plain == []
    given |= others
    flags = cube_search.flags_of(PLAIN_ROW | row, SimpleNamespace(**PLAIN_FILE | file), *given.values())
    assert flags == [flag]


def test_noise_alone_makes_no_line_another_shape():
    row = PLAIN_ROW | {"moment_fwhm": 9.0, "moment_fwhm_error": 1.5}
    assert cube_search.flags_of(row, SimpleNamespace(**PLAIN_FILE), 4, 1.0, BEAM) == []


def test_a_source_without_a_line_is_nothing_untrained():
    assert (
        cube_search.flags_of(
            PLAIN_ROW | {"line_fwhm": np.nan, "moment_fwhm": np.nan}, SimpleNamespace(**PLAIN_FILE), 4, 1.0, BEAM
        )
        == []
    )


# Dirty beams


def test_only_a_whole_dirty_beam_is_taken(tmp_path, simulated, file):
    stored = cube_search.stored_beam(file.path, file.beam_pixels)
    assert stored == pytest.approx(simulated[0].dirty_beam)
    for number, wrong in enumerate((np.ones((4, 6)), np.full((4, 4), np.nan), np.zeros((4, 4)), np.ones(4))):
        path = tmp_path / f"{number}.fits"
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(wrong.astype("f4"), name=cube_search.DIRTY_BEAM)]
        fits.HDUList(hdus).writeto(path)
        assert cube_search.stored_beam(path, (8.9, 7.6, 0.0)) is None
    fits.PrimaryHDU(np.ones((4, 4))).writeto(tmp_path / "none.fits")
    assert cube_search.stored_beam(tmp_path / "none.fits", (8.9, 7.6, 0.0)) is None


# Resampling


def beam_image(side, x, y, fwhm):
    rows, columns = np.indices((side, side))
    return np.exp(-4 * np.log(2) * ((columns - x) ** 2 + (rows - y) ** 2) / fwhm**2).astype(np.float32)


@settings(max_examples=25)
@given(st.floats(0.4, 2.4), st.floats(-8, 8), st.floats(-8, 8))
def test_resampling_keeps_flux_densities_and_places(zoom, dx, dy):
    fwhm = cube_search.TRAINED_BEAM / zoom
    side = int(60 / min(zoom, 1)) + 1
    x, y = side / 2 + dx, side / 2 + dy
    image = beam_image(side, x, y, fwhm)
    made = cube_search.resampled(np.stack([image, 2 * image]), zoom)
    assert made.dtype == np.float32 and made.shape[1:] == (round(side * zoom),) * 2
    step = made.shape[1] / side
    middle = ((at + 0.5) * step - 0.5 for at in (x, y))
    wanted = beam_image(made.shape[1], *middle, fwhm * step)
    # Smoothing before pixels are made wider takes one or two per cent off the peak.
    assert made[0] == pytest.approx(wanted, abs=0.03)
    assert made[0].sum() / step**2 == pytest.approx(image.sum(), rel=0.01)
    assert made[1] == pytest.approx(2 * made[0], abs=1e-5)


def test_nothing_is_resampled_that_need_not_be():
    data = generator(2, "t").normal(0, 1, (2, 20, 20)).astype(np.float32)
    assert cube_search.resampled(data, 1) is data


@pytest.mark.parametrize("zoom", [0.5, 0.71, 1.37, 2.0])
def test_what_was_not_observed_stays_so(zoom):
    data = np.full((3, 80, 80), 5.0, np.float32)
    data[0, :, :20] = np.nan
    data[1] = np.nan
    made = cube_search.resampled(data, zoom)
    assert np.isnan(made[1]).all() and made[2] == pytest.approx(5, rel=1e-4)
    edge = round(20 * zoom)
    assert np.isnan(made[0, :, : edge - 1]).all()
    assert np.isfinite(made[0, :, edge + 2 :]).all(), "and no more than the border is lost"
    assert made[0, :, edge + round(4 * zoom) + 2 :] == pytest.approx(5, rel=0.01)


# Merging


def found(x, y, snr, z=20.0, width=5.0):
    return {"x": x, "y": y, "z": z, "line_fwhm": width, "snr": snr}


JITTER = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))


@given(st.data())
def test_duplicates_of_overlapping_parts_are_merged(data):
    places = data.draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=6, unique=True))
    rows, best = [], []
    for x, y in places:
        copies = [
            found(12 * x + dx, 12 * y + dy, 0.0, 20 + dz)
            for dx, dy, dz in data.draw(st.lists(JITTER, min_size=1, max_size=4))
        ]
        rows += copies
        best.append(copies[0])
    for row, snr in zip(rows, data.draw(st.permutations(range(len(rows)))), strict=True):
        row["snr"] = 5.0 + snr
    merged = cube_search.merged(data.draw(st.permutations(rows)), 8.24)
    assert len(merged) == len(places)
    for x, y in places:
        row = near(merged, 12 * x, 12 * y, 3)
        copies = [one for one in rows if np.hypot(one["x"] - 12 * x, one["y"] - 12 * y) < 3]
        assert row["snr"] == max(one["snr"] for one in copies), "the surest one stands for all"


@given(st.data())
def test_the_order_of_the_parts_does_not_matter(data):
    number = st.floats(0, 30)
    places = data.draw(st.lists(st.tuples(number, number, st.one_of(st.just(np.nan), number)), max_size=12))
    rows = [found(x, y, 5.0 + n, z, 5.0 if np.isfinite(z) else np.nan) for n, (x, y, z) in enumerate(places)]
    merged = cube_search.merged(rows, 8.24)
    mixed = cube_search.merged(data.draw(st.permutations(rows)), 8.24)
    assert [row["snr"] for row in mixed] == [row["snr"] for row in merged]
    assert [row["snr"] for row in cube_search.merged(merged, 8.24)] == [row["snr"] for row in merged]


def test_only_what_can_be_one_source_is_merged():
    one = found(50, 50, 20.0, 20.0, 5.0)

    def count(other):
        return len(cube_search.merged([one, other], 8.0))

    assert count(found(53.9, 50, 10.0)) == 1 and count(found(54.1, 50, 10.0)) == 2
    assert count(found(51, 51, 10.0, z=24.9)) == 1
    assert count(found(51, 51, 10.0, z=25.1)) == 2, "two lines over each other are two sources"
    assert count(found(51, 51, 10.0, z=np.nan, width=np.nan)) == 1, "without a line it is the one that has one"
    (kept,) = cube_search.merged([one, found(51, 51, 30.0, z=np.nan, width=np.nan)], 8.0)
    assert kept["z"] == 20.0, "however bright its continuum is elsewhere"
    assert cube_search.merged([], 8.0) == []
