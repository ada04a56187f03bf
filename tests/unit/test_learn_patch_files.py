"""Files of gamma-ray counts are searched patch by patch; a finder that knows the sources stands for the networks."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix
from patch_fixtures import patch_tables
from unit.test_images_lat_files import events_hdu, write_healpix

from skyloom.images import sky_blocks
from skyloom.images.patch_fits import as_fits
from skyloom.images.patches import SIDE, Patch, patch_wcs
from skyloom.learn import patch_calibration, patch_files, patch_search

BANDS = [(1.0, 3.0, 64), (3.0, 10.0, 128)]


@pytest.fixture(scope="module")
def calibration():
    return patch_calibration.calibrate(*patch_tables(200), SimpleNamespace(purity=0.95, confidence=0.68))


def settings_of(**changes):
    given = {"bands": BANDS, "width": 12.8, "event_type": "FB", "years": 10.0, "exposure": None, "exposure_file": None}
    return SimpleNamespace(**given | {"lowest_score": 0.1} | changes)


@pytest.fixture
def finder(monkeypatch):
    """A search that finds sources at known places, in every patch that shows them; returns the list of places."""
    places: list[tuple[float, float]] = []
    seen = []

    def search(patch, networks, settings, stages):
        seen.append(patch)
        rows = []
        for number, place in enumerate(places):
            x, y = (float(value) for value in sky_blocks.pixels_of(*place, (patch.lon, patch.lat), patch.width, SIDE))
            if not (0 <= x < SIDE and 0 <= y < SIDE):
                continue
            row = dict.fromkeys(patch_search.COLUMNS, 0.3) | {"x": x, "y": y, "lon": place[0], "lat": place[1]}
            row |= {"x_error": 0.8, "y_error": 0.4, "xy_correlation": 0.0, "real": 5.0, "score": 0.9, "snr": 20.0}
            rows.append({name: value for name, value in row.items() if name != "cube"} | {"flux": 1e-9 * (number + 1)})
        return rows

    monkeypatch.setattr(patch_search, "search_patch", search)
    places_and_seen = SimpleNamespace(places=places, seen=seen)
    return places_and_seen


def test_no_source_is_told_twice_where_patches_overlap(tmp_path, finder, calibration):
    rng = np.random.default_rng(0)
    lon, lat = HEALPix(64, order="ring").healpix_to_lonlat(np.arange(12 * 64**2))
    apart = np.degrees(np.arccos(sky_blocks.vectors(lon.deg, lat.deg) @ sky_blocks.vectors(100.0, 5.0)))
    seen, near = np.flatnonzero(apart < 30), rng.choice(np.flatnonzero(apart < 25), 150, replace=False)
    lon, lat = lon.deg[near], lat.deg[near]
    finder.places.extend(zip(lon.tolist(), lat.tolist(), strict=True))
    path = write_healpix(tmp_path / "sky.fits", [np.full(len(seen), 2.0)], (1.0, 10.0), pixels=seen)
    facts, rows = patch_files.search_file(path, {}, calibration, settings_of(bands=[(1.0, 10.0, 32)]))
    assert len(finder.seen) == facts["patches"] > 40 and facts["events"] == 2 * len(seen)
    found = SkyCoord([row["ra"] for row in rows], [row["dec"] for row in rows], unit="deg")
    known = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    assert len(rows) == 150
    assert known.match_to_catalog_sky(found)[1].arcsec.max() < 0.01
    assert min(row["photon_flux"] for row in rows) > 0
    for row in rows:
        assert ("plane" in row["flags"].split(";")) == (abs(row["b"]) < 5)
        assert set(row) == {*patch_files.UNITS, "flags", "probability"}


def test_flags_say_what_is_near(tmp_path, finder, calibration):
    rng = np.random.default_rng(0)
    centre = SkyCoord(40.0, 60.0, unit="deg", frame="galactic")
    around = centre.directional_offset_by(
        rng.uniform(0, 360, 4000) * u.deg, 6 * np.sqrt(rng.uniform(0, 1, 4000)) * u.deg
    )
    circle = centre.icrs.ra.deg, centre.icrs.dec.deg, 6.0
    hdu = events_hdu(around.l.deg, around.b.deg, rng.uniform(1, 10, 4000), circle)
    hdu.header.update(TSTART=0.0, TSTOP=10 * 365.25 * 86400.0)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "events.fits")
    finder.places.extend([(40.0, 60.0), (40.0, 60.3), (40.0, 57.0), (40.0, 65.5), (40.0, 66.2)])
    _, rows = patch_files.search_file(tmp_path / "events.fits", {}, calibration, settings_of())
    flags = {round(row["b"], 1): row["flags"] for row in rows}
    assert flags == {60.0: "confused", 60.3: "confused", 57.0: "", 65.5: "edge"}  # the last is beyond the circle
    _, rows = patch_files.search_file(tmp_path / "events.fits", {}, calibration, settings_of(years=4.0))
    assert all("untrained" in row["flags"] for row in rows)


def test_the_simulated_archive_s_own_files_are_searched_as_they_are(tmp_path, finder, calibration):
    rng = np.random.default_rng(0)
    counts = tuple(rng.poisson(1.0, (side, side)).astype(np.float32) for *_, side in BANDS)
    patch = Patch(counts, np.array([2e11, 2e11]), 100.0, -30.0, 12.8, tuple(band[:2] for band in BANDS))
    (tmp_path / "patch.fits").write_bytes(as_fits(patch, "FIELD"))
    finder.places.append((101.0, -31.0))
    facts, rows = patch_files.search_file(tmp_path / "patch.fits", {}, calibration, settings_of())
    assert facts["patches"] == len(rows) == 1 and facts["events"] == sum(one.sum() for one in counts)
    assert all(np.array_equal(one, other) for one, other in zip(finder.seen[0].counts, counts, strict=True))
    assert (rows[0]["l"], rows[0]["b"]) == (101.0, -31.0) and rows[0]["exposure"] == 2e11


@pytest.mark.parametrize("centre", [(0.0, 0.0), (123.0, 27.0), (305.0, -60.0)])
@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0])
def test_ellipses_point_where_they_do_on_the_sky(centre, angle):
    patch = Patch((), np.ones(1), *centre, 12.8, ((1.0, 2.0),))
    x, y = 70.0, 40.0
    table = {"ellipse_pa": [angle], "x": [x], "y": [y]}
    made = patch_files.equatorial_angles(table, SimpleNamespace(patch=patch))
    # North is up and East to the left, both of the Galaxy.
    turn = np.radians(angle)
    here, there = (
        patch_wcs(patch).pixel_to_world(x - away * np.sin(turn), y + away * np.cos(turn)).icrs for away in (0, 0.1)
    )
    difference = (made[0] - here.position_angle(there).deg + 90) % 180 - 90
    assert abs(difference) < 0.1
