import time
from datetime import date

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skyloom.archive import filters

KEYWORDS = [
    "Outflows, jets, feedback, Low-mass star formation",
    "Outflows, jets and ionized winds",
    "Intermediate-mass star formation",
    "",
]


def test_a_keyword_with_commas_is_one_keyword():
    assert filters.has_keyword(KEYWORDS, "outflows, jets, feedback").tolist() == [True, False, False, False]
    assert filters.has_keyword(KEYWORDS, "Low-mass star formation").tolist() == [True, False, False, False]
    assert filters.has_keyword(KEYWORDS, "star formation").tolist() == [True, False, True, False]


@given(
    ra=st.floats(0, 360),
    dec=st.floats(-90, 90),
    offset=st.floats(0, 170),
    angle=st.floats(0, 360),
    fov=st.floats(0, 1) | st.just(float("nan")),
)
def test_near_agrees_with_the_separation(ra, dec, offset, angle, fov):
    centre = SkyCoord(ra, dec, unit="deg")
    other = centre.directional_offset_by(angle * u.deg, offset * u.deg)
    reach = 1.0 + (0 if np.isnan(fov) else fov / 2)
    if abs(offset - reach) > 1e-6:
        assert filters.near([other.ra.deg], [other.dec.deg], [fov], centre, 1.0)[0] == (offset < reach)


def test_an_unknown_position_is_not_near():
    assert not filters.near([np.nan], [np.nan], [1.0], SkyCoord(0, 0, unit="deg"), 180.0)[0]


def test_released_on_the_day_counts_and_undated_does_not():
    dates = ["2016-01-01", "2015-12-31T23:59:59.999", "2016-01-01T00:00:00.000", "3000-01-01T00:00:00", ""]
    assert filters.released(dates, date(2016, 1, 1)).tolist() == [True, False, True, True, False]


def test_resolution_limit_is_exclusive_and_unknown_is_out():
    assert filters.resolved([0.4, 0.39, np.nan], 0.4).tolist() == [False, True, False]


def test_only_public_is_public():
    assert filters.public(["Public", "Proprietary", "", "public "]).tolist() == [True, False, False, True]


@given(hnp.arrays(int, st.integers(0, 60), elements=st.integers(0, 4)), st.integers(0, 3))
def test_first_of_each_keeps_each_once_and_first(values, shift):
    other = (values + shift) % 2
    mask = filters.first_of_each(values.astype(str), other)
    pairs = list(zip(values.tolist(), other.tolist(), strict=True))
    assert [pairs[i] for i in np.flatnonzero(mask)] == list(dict.fromkeys(pairs))


def test_file_names():
    names = ["a_sci.cont.I.pbcor.fits", "a_sci.cube.I.pbcor.fits", "a_sci.cont.I.pb.fits.gz", "a.mask.tgz", "a.FITS"]
    assert filters.is_fits(names).tolist() == [True, True, True, False, True]
    assert filters.has_parts(names, [".pbcor", "_sci", ".cont"]).tolist() == [True, False, False, False, False]
    assert filters.has_parts(names, []).all()


def test_unknown_lengths_stay():
    lengths = np.ma.array([10, 31, 0], mask=[False, False, True])
    assert filters.not_larger(lengths, 30).tolist() == [True, False, True]
    assert filters.not_larger(np.array([30, 31]), 30).tolist() == [True, False]


@given(
    groups=hnp.arrays(int, st.integers(0, 80), elements=st.integers(0, 3)),
    n=st.integers(1, 10),
    order=st.randoms(use_true_random=False),
)
def test_sample_has_n_of_each_group_whatever_the_order(groups, n, order):
    ids = np.array([f"file{i}" for i in range(len(groups))], dtype=str)
    keep = filters.sampled(ids, groups, n, "42:case")
    for group in range(4):
        assert keep[groups == group].sum() == min(n, np.sum(groups == group))
    mixed = list(range(len(groups)))
    order.shuffle(mixed)
    again = filters.sampled(ids[mixed], groups[mixed], n, "42:case")
    assert set(ids[mixed][again]) == set(ids[keep])


def test_sample_depends_on_the_seed_and_hardly_on_new_files():
    ids = np.array([f"file{i}" for i in range(1000)])
    group = np.zeros(1000, dtype=int)
    drawn = set(ids[filters.sampled(ids, group, 100, "42")])
    assert drawn != set(ids[filters.sampled(ids, group, 100, "43")])
    fewer = set(ids[:990][filters.sampled(ids[:990], group[:990], 100, "42")])
    assert len(drawn & fewer) >= 90


def test_fifty_thousand_rows_take_less_than_a_second():
    n = 50_000
    random = np.random.default_rng(1)
    members = np.array([f"uid://A001/X{i:x}/X1" for i in random.integers(0, n // 4, n)])
    words = np.array(KEYWORDS)[random.integers(0, 4, n)]
    start = time.process_time()
    filters.has_keyword(words, KEYWORDS[1])
    filters.near(random.uniform(0, 360, n), random.uniform(-90, 90, n), np.ones(n), SkyCoord(0, 0, unit="deg"), 1.0)
    filters.released(np.full(n, "2020-01-01T00:00:00"), date(2016, 1, 1))
    filters.first_of_each(members, words)
    filters.sampled(members, np.zeros(n, dtype=int), 500, "42")
    assert time.process_time() - start < 3  # a second on an idle machine
