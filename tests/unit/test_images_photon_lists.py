import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from skyloom.archive.local import told_by_header
from skyloom.images.fits import UnusableImage
from skyloom.images.photon_lists import PhotonList, counts_map, read_photons, sky_wcs, stacked
from skyloom.instruments.counts_maps import Frame, geometry

HESS = Path(__file__).parents[3] / "shared/data/cherenkov/hess-dl3-dr1"
RUNS = sorted((HESS / "data").glob("*.fits.gz"))
CRAB = SkyCoord(83.633, 22.0145, unit="deg")
FRAME = Frame(200, 0.025)
POINTED = {"RA_PNT": 83.6, "DEC_PNT": 22.5, "OBS_ID": 7, "OBJECT": "Crab", "ALT_PNT": 50.0, "DEADC": 0.9}

needs_hess = pytest.mark.skipif(not RUNS, reason="the H.E.S.S. photon lists are not here")


def a_list(pointing=(83.6, 22.5), count=1000, seed=0, spread=1.5) -> PhotonList:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, spread / FRAME.pixel, (2, count)) + FRAME.middle
    ra, dec = sky_wcs(FRAME, *pointing).wcs_pix2world(x, y, 0)
    energy = np.exp(rng.uniform(np.log(0.01), np.log(20), count))
    return PhotonList(ra, dec, energy, pointing, 100.0, "", "", np.nan, (0.0, np.inf), "")


def write_list(path, photons=None, gti=True, events_name="EVENTS", unit="TeV", drop=(), extra=None, **header):
    """Write a photon list with a header that tells all, but for what is changed."""
    photons = photons or a_list()
    columns = {
        "TIME": np.zeros(len(photons.ra)) * u.s,
        "RA": photons.ra * u.deg,
        "DEC": photons.dec * u.deg,
        "ENERGY": u.Quantity(photons.energy, unit) if unit in ("", "cm") else (photons.energy * u.TeV).to(unit),
    }
    events = fits.BinTableHDU(Table({name: values for name, values in columns.items() if name not in drop}))
    events.name = events_name
    events.header.update({name: value for name, value in (POINTED | header).items() if value is not None})
    hdus = [fits.PrimaryHDU(), events, *(extra or [])]
    if gti:
        hdus.append(fits.BinTableHDU(Table({"START": [0.0, 60.0], "STOP": [50.0, 110.0]}), name="GTI"))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize("pointing", [(83.6, 22.5), (359.99, -60.0), (0.2, 89.5)])
def test_events_are_counted_where_wcslib_has_them(pointing):
    photons = a_list(pointing, count=20000, spread=3.0)
    observed, wcs = counts_map(photons, FRAME, (0.0, np.inf))
    x, y = np.round(wcs.wcs_world2pix(photons.ra, photons.dec, 0)).astype(int)
    inside = (x >= 0) & (x < FRAME.side) & (y >= 0) & (y < FRAME.side)
    wanted = np.zeros((FRAME.side, FRAME.side), int)
    np.add.at(wanted, (y[inside], x[inside]), 1)
    assert np.array_equal(observed.counts, wanted)


def test_what_is_written_is_read(tmp_path):
    photons = a_list()
    found = read_photons(write_list(tmp_path / "a.fits", photons))
    for name in ("ra", "dec", "energy"):
        assert np.allclose(getattr(found, name), getattr(photons, name), rtol=1e-12)
    assert (found.pointing, found.target, found.obs_id) == ((83.6, 22.5), "Crab", "7")
    assert found.livetime == pytest.approx(100 * 0.9) and found.zenith == pytest.approx(40)
    assert found.thresholds == (0.0, np.inf)


def test_a_packed_list_is_the_same(tmp_path):
    plain = write_list(tmp_path / "a.fits")
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_photons(packed).data_sha256 == read_photons(plain).data_sha256
    assert read_photons(write_list(tmp_path / "c.fits", a_list(seed=1))).data_sha256 != read_photons(plain).data_sha256


def test_other_units_and_what_the_header_does_not_tell(tmp_path):
    photons = a_list()
    found = read_photons(
        write_list(tmp_path / "a.fits", photons, unit="MeV", gti=False, LIVETIME=12.5, OBJECT=None, ALT_PNT=None)
    )
    assert np.allclose(found.energy, photons.energy)
    assert found.livetime == 12.5 and found.target == "" and np.isnan(found.zenith)
    assert np.isnan(read_photons(write_list(tmp_path / "b.fits", gti=False)).livetime)


def test_events_without_direction_or_energy_are_left_out(tmp_path):
    photons = a_list(count=5)
    photons.ra[0], photons.dec[1], photons.energy[2], photons.energy[3] = np.nan, np.nan, 0.0, np.inf
    assert len(read_photons(write_list(tmp_path / "a.fits", photons)).ra) == 1


def test_safe_energies_are_those_of_the_effective_area(tmp_path):
    area = fits.BinTableHDU(Table({"EFFAREA": [1.0]}), name="AEFF")
    area.header["LO_THRES"], area.header["HI_THRES"] = 0.1, -1.0
    found = read_photons(write_list(tmp_path / "a.fits", extra=[area]))
    assert found.safe((0.03, 5.0)) == (0.1, 5.0) and found.safe((0.2, 5.0)) == (0.2, 5.0)
    with pytest.raises(UnusableImage, match="safe from 0.1 to inf TeV, and 0.03 to 0.05 TeV is wanted"):
        found.safe((0.03, 0.05))


BAD = {
    "no_events": ({"events_name": "PHOTONS"}, "The file holds tables, but none of events."),
    "no_energy": ({"drop": ["ENERGY"]}, "The table of events has no column ENERGY."),
    "no_unit": ({"unit": ""}, "The unit of the energies is not given."),
    "wrong_unit": ({"unit": "cm"}, "The unit of the energies is cm."),
    "no_pointing": ({"RA_PNT": None}, "The header does not tell the pointing (RA_PNT, DEC_PNT)."),
    "text": ({"RA_PNT": "5h34m"}, "The header does not tell the pointing (RA_PNT, DEC_PNT)."),
    "drift": ({"OBS_MODE": "DRIFT"}, "The telescopes did not follow one pointing (OBS_MODE DRIFT)."),
    "no_event": ({"photons": a_list(count=0)}, "The list holds no event."),
}


@pytest.mark.parametrize(("changes", "sentence"), BAD.values(), ids=BAD)
def test_what_is_no_photon_list_is_told_in_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(UnusableImage) as error:
        read_photons(write_list(tmp_path / "a.fits", **changes))
    assert str(error.value) == sentence


def test_broken_files(tmp_path):
    whole = write_list(tmp_path / "a.fits").read_bytes()
    packed = gzip.compress(whole)
    broken = {
        "empty.fits": (b"", "The file is empty."),
        **{
            f"{part}.fits": (whole[:part], "broken or truncated") for part in (4000, len(whole) // 2, len(whole) - 3000)
        },
        **{f"{part}.fits.gz": (packed[:part], "broken or truncated") for part in (50, len(packed) // 2, -200)},
        "page.fits": (b"<html>no</html>" * 500, "broken or truncated"),
    }
    for name, (content, sentence) in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnusableImage, match=sentence):
            read_photons(tmp_path / name)
    fits.PrimaryHDU(np.zeros((20, 20))).writeto(tmp_path / "image.fits")
    with pytest.raises(UnusableImage, match="no table of events"):
        read_photons(tmp_path / "image.fits")


@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-89.5, 89.5),
    x=st.floats(-0.49, 199.49),
    y=st.floats(-0.49, 199.49),
)
def test_pixels_and_sky_are_there_and_back(ra, dec, x, y):
    wcs = sky_wcs(FRAME, ra, dec)
    assert np.allclose(wcs.wcs_world2pix(*wcs.wcs_pix2world(x, y, 0), 0), (x, y), atol=1e-6)
    place, middle = wcs.pixel_to_world(x, y), SkyCoord(ra, dec, unit="deg")
    lon, lat = FRAME.offset_of(x, y)
    assert place.separation(middle).deg == pytest.approx(np.degrees(np.arctan(np.hypot(*np.radians([lon, lat])))))
    assert np.allclose(FRAME.pixel_of(lon, lat), (x, y))


@given(ra=st.floats(0, 360, exclude_max=True), dec=st.floats(-85, 85), seed=st.integers(0, 1000))
def test_photons_that_are_counted_are_those_in_range(ra, dec, seed):
    photons = a_list((ra, dec), 200, seed)
    counts, wcs = counts_map(photons, FRAME, (0.03, 5.0))
    x, y = wcs.wcs_world2pix(photons.ra, photons.dec, 0)
    inside = (np.abs(x - FRAME.middle) < 100) & (np.abs(y - FRAME.middle) < 100)
    wanted = inside & (photons.energy >= 0.03) & (photons.energy < 5)
    assert counts.counts.sum() == wanted.sum() and counts.counts.shape == (200, 200)


def test_east_is_left_and_north_is_up():
    wcs = sky_wcs(FRAME, 83.6, 22.5)
    assert np.allclose(wcs.wcs_world2pix(83.6, 22.5, 0), FRAME.middle)
    east, north = CRAB.directional_offset_by([90, 0] * u.deg, 0.5 * u.deg)
    middle = np.array(wcs.world_to_pixel(CRAB))
    assert np.array(wcs.world_to_pixel(east))[0] < middle[0] - 15
    assert np.array(wcs.world_to_pixel(north))[1] > middle[1] + 15


def test_the_map_is_the_one_that_gammapy_makes():
    from gammapy.maps import WcsNDMap

    photons = a_list((83.6, 22.5), 5000)
    counts, wcs = counts_map(photons, FRAME, (0.03, 5.0))
    made = WcsNDMap(geometry(FRAME, 83.6, 22.5, (0.03, 5.0)))
    places = SkyCoord(photons.ra, photons.dec, unit="deg")
    made.fill_by_coord({"skycoord": places, "energy": photons.energy * u.TeV})
    assert np.array_equal(counts.counts, made.data[0])
    x, y = np.array([0.0, 57.3, 199.0]), np.array([12.0, 150.2, 3.0])
    assert np.allclose(wcs.wcs_pix2world(x, y, 0), made.geom.to_image().wcs.wcs_pix2world(x, y, 0), atol=1e-10)


def test_the_other_side_of_the_sky_is_not_counted():
    photons = a_list((83.6, 22.5))
    counts, _ = counts_map(replace(photons, pointing=(263.6, -22.5)), FRAME, (0.001, 100.0))
    assert counts.counts.sum() == 0


def test_lists_are_stacked():
    lists = [a_list((83.6, 22.5), seed=1), a_list((83.9, 22.3), seed=2)]
    both, _ = stacked(lists, FRAME, (0.03, 5.0), (83.7, 22.4))
    single = [stacked([one], FRAME, (0.03, 5.0), (83.7, 22.4))[0].counts for one in lists]
    assert np.array_equal(both.counts, single[0] + single[1])


def peak(counts, wcs):
    """Return the place of the highest excess over the surroundings."""
    smooth = gaussian_filter(counts.counts.astype(float), 4) - gaussian_filter(counts.counts.astype(float), 20)
    y, x = np.unravel_index(smooth.argmax(), smooth.shape)
    return wcs.pixel_to_world(x, y).icrs


@needs_hess
@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name[-14:-8])
def test_the_crab_is_where_it_is(path):
    photons = read_photons(path)
    assert photons.target == "Crab Nebula" and 45 < photons.zenith < 50
    assert peak(*counts_map(photons, FRAME, photons.safe((0.03, 50.0)))).separation(CRAB).deg < 0.05


@needs_hess
def test_the_crab_is_where_it_is_in_all_runs_together():
    lists = [read_photons(path) for path in RUNS]
    assert peak(*stacked(lists, FRAME, (0.8, 50.0), (83.633, 22.0145))).separation(CRAB).deg < 0.05


@needs_hess
def test_reading_agrees_with_gammapy():
    from gammapy.data import Observation

    photons, other = read_photons(RUNS[0]), Observation.read(RUNS[0])
    assert photons.livetime == pytest.approx(other.observation_live_time_duration.to_value("s"))
    assert np.array_equal(photons.energy, other.events.energy.to_value("TeV"))
    pointing = other.get_pointing_icrs(other.tmid)
    assert photons.pointing == pytest.approx((pointing.ra.deg, pointing.dec.deg))


@needs_hess
@pytest.mark.parametrize("name", ["obs-index.fits.gz", "hdu-index.fits.gz"])
def test_tables_of_contents_are_no_photon_lists(name):
    with pytest.raises(UnusableImage, match="tables, but none of events"):
        read_photons(HESS / name)
    assert told_by_header(HESS / name) == {}


def test_the_local_archive_is_told_by_the_header(tmp_path):
    told = told_by_header(write_list(tmp_path / "a.fits"))
    assert told == {"member_ous_uid": "7", "target_name": "Crab", "s_ra": 83.6, "s_dec": 22.5}
    bare = told_by_header(write_list(tmp_path / "b.fits", RA_PNT=None, OBJECT=None))
    assert np.isnan(bare["s_ra"]) and bare["target_name"] == ""
    assert told_by_header(write_list(tmp_path / "c.fits", events_name="OTHER")) == {}
