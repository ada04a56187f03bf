from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from skyloom.images.photon_lists import PhotonList, data_hash, read_photons, sky_wcs, stacked
from skyloom.images.photon_stacks import groups, stack, write_stack
from skyloom.instruments.counts_maps import Frame

RUNS = sorted((Path(__file__).parents[3] / "shared/data/cherenkov/hess-dl3-dr1/data").glob("*.fits.gz"))
FRAME = Frame(200, 0.025)

needs_hess = pytest.mark.skipif(not RUNS, reason="the H.E.S.S. photon lists are not here")


def a_list(pointing=(83.6, 22.5), seed=0, telescope="HESS", **others) -> PhotonList:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 40, (2, 500)) + FRAME.middle
    ra, dec = sky_wcs(FRAME, *pointing).wcs_pix2world(x, y, 0)
    energy = np.exp(rng.uniform(np.log(0.1), np.log(20), 500))
    known = PhotonList(
        ra=ra,
        dec=dec,
        energy=energy,
        pointing=pointing,
        livetime=90.0,
        target="Crab",
        obs_id=str(seed),
        zenith=40.0 + seed,
        thresholds=(0.5, np.inf),
        data_sha256=data_hash(ra, dec, energy),
        telescope=telescope,
        time=53343.9 + np.sort(rng.uniform(0, 100, 500)) / 86400,
        intervals=53343.9 + np.array([[0, 100]]) / 86400,
    )
    return replace(known, **others)


def test_a_group_is_of_one_telescope_and_no_wider_than_the_distance():
    lists = [
        a_list((83.6, 21.5), 0),
        a_list((83.6, 22.5), 1),
        a_list((200.0, 22.5), 2),
        a_list((83.6, 22.0), 3, telescope="MAGIC"),
        a_list((83.6, 22.0), 4),
    ]
    assert groups(lists, 1.0001) == [[0, 1, 4]]
    assert groups(lists, 0.4) == []
    chain = [a_list((83.6, 10 + number), number) for number in range(6)]
    assert all(len(group) == 2 for group in groups(chain, 1.5)) and len(groups(chain, 1.5)) == 3


def test_the_same_events_are_stacked_once():
    one, other = a_list(seed=1), a_list(seed=2)
    assert groups([one, one, other], 1) == [[0, 2]]
    assert groups([one, one], 1) == [] and groups([], 1) == []


@given(seed=st.integers(0, 50), within=st.floats(0.1, 20), count=st.integers(1, 12))
def test_no_two_lists_of_a_group_are_farther_apart(seed, within, count):
    rng = np.random.default_rng(seed)
    lists = [a_list((float(ra) % 360, float(dec)), n) for n, (ra, dec) in enumerate(rng.normal(0, 8, (count, 2)))]
    found = groups(lists, within)
    assert len({number for group in found for number in group}) == sum(map(len, found))
    for group in found:
        places = SkyCoord([lists[number].pointing for number in group], unit="deg")
        assert max(place.separation(places).deg.max() for place in places) <= within * (1 + 1e-6)


def test_a_stack_has_the_safe_events_and_the_time_of_all(tmp_path):
    lists = [a_list((359.8, 0.2), 1), a_list((0.2, -0.2), 2, thresholds=(1.0, 5.0))]
    made = stack(lists, ["a.fits:0123456789abcdef", "b.fits:0123456789abcdef"])
    assert made.pointing[0] % 360 == pytest.approx(0, abs=1e-9) and made.pointing[1] == pytest.approx(0, abs=1e-9)
    assert made.livetime == 180 and made.thresholds == (0.5, np.inf) and made.zenith == pytest.approx(41.5)
    safe = [lists[0].energy >= 0.5, (lists[1].energy >= 1) & (lists[1].energy <= 5)]
    assert np.array_equal(
        made.energy, np.concatenate([one.energy[kept] for one, kept in zip(lists, safe, strict=True)])
    )

    parts = Table({"FILENAME": ["a.fits", "b.fits"], "SHA256": ["0123456789abcdef" * 4] * 2})
    write_stack(tmp_path / "stack.fits", made, parts)
    found = read_photons(tmp_path / "stack.fits")
    for name in ("pointing", "target", "obs_id", "telescope", "thresholds", "data_sha256", "parts"):
        assert getattr(found, name) == getattr(made, name), name
    assert found.livetime == pytest.approx(180, rel=1e-6) and found.zenith == pytest.approx(41.5)
    assert np.allclose(found.time, made.time, rtol=0, atol=1e-10) and found.intervals.shape == (2, 2)
    whole = stacked([made], FRAME, (0.5, 20), made.pointing)[0]
    assert np.array_equal(stacked([found], FRAME, (0.5, 20), made.pointing)[0].counts, whole.counts)
    first = (tmp_path / "stack.fits").read_bytes()
    write_stack(tmp_path / "again.fits", made, parts)
    assert (tmp_path / "again.fits").read_bytes() == first


def test_what_one_list_does_not_tell_the_stack_does_not_tell(tmp_path):
    nothing = {"time": np.zeros(0), "intervals": np.zeros((0, 2)), "livetime": np.nan, "zenith": np.nan, "target": ""}
    made = stack([a_list(seed=1), a_list(seed=2, **nothing)])
    assert made.target == "Crab" and np.isnan(made.livetime) and np.isnan(made.zenith)
    write_stack(tmp_path / "stack.fits", made, Table({"FILENAME": ["a", "b"], "SHA256": ["0" * 64, "1" * 64]}))
    found = read_photons(tmp_path / "stack.fits")
    assert np.isnan(found.livetime) and np.isnan(found.zenith) and not len(found.time) and not len(found.intervals)


@needs_hess
def test_gammapy_reads_the_stack_of_the_crab(tmp_path):
    from gammapy.data import GTI, EventList

    lists = [read_photons(path) for path in RUNS]
    assert groups(lists, 3.1) == [[0, 1, 2, 3]] and groups(lists, 1.1) == [[0, 1]]
    made = stack(lists)
    write_stack(tmp_path / "stack.fits", made, Table({"FILENAME": ["a"], "SHA256": ["0" * 64]}))
    events, intervals = EventList.read(tmp_path / "stack.fits"), GTI.read(tmp_path / "stack.fits")
    assert np.array_equal(events.energy.to_value("TeV"), made.energy)
    assert intervals.time_sum.to_value("s") == pytest.approx(6742, abs=0.01)
    others = [EventList.read(path) for path in RUNS]
    kept = [(own.energy >= own.thresholds[0]) & (own.energy <= own.thresholds[1]) for own in lists]
    times = np.concatenate([one.time.tt.mjd[safe] for one, safe in zip(others, kept, strict=True)])
    assert np.allclose(events.time.tt.mjd, times, rtol=0, atol=1e-9)
    assert SkyCoord(*made.pointing, unit="deg").separation(SkyCoord(83.633, 22.0145, unit="deg")).deg < 0.02
