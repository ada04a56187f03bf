"""What is drawn for a Cherenkov telescope to look at."""

from itertools import combinations

import numpy as np
from gamma_fixtures import sky
from hypothesis import given
from hypothesis import strategies as st

from skyloom.sky.transients import draw_field


@given(st.integers(0, 2**32))
def test_all_is_within_its_range(seed):
    settings = sky(sources=(0, 5), offset=(0.2, 1.5))
    field = draw_field(np.random.default_rng(seed), settings, [20.0, 60.0])
    assert field.response in (20.0, 60.0)
    assert 50 <= field.time <= 500
    assert len(field.sources) <= 5
    for source in field.sources:
        assert 0.2 <= source.offset <= 1.5
        assert 0.5 <= source.flux <= 5
        assert 2 <= source.index <= 3
    for one, other in combinations(field.sources, 2):
        assert np.hypot(one.lon - other.lon, one.lat - other.lat) >= 0.3
    assert 0.8 <= field.background.scale <= 1.2
    assert np.hypot(*field.background.gradient) <= 0.1 + 1e-9
    assert all(abs(depth) <= 0.1 for *_, depth in field.background.patches)


def test_equal_seeds_give_equal_fields_and_others_other_ones():
    first, again, other = (draw_field(np.random.default_rng(seed), sky(), [1]) for seed in (3, 3, 4))
    assert first == again != other


def test_numbers_of_sources_and_responses_are_all_drawn():
    fields = [draw_field(np.random.default_rng(seed), sky(sources=(0, 2)), [1, 2, 3]) for seed in range(200)]
    assert {field.response for field in fields} == {1, 2, 3}
    assert {len(field.sources) for field in fields} == {0, 1, 2}


def test_where_no_room_is_left_there_are_fewer_sources():
    crowded = sky(sources=(5, 5), offset=(0.0, 0.1), apart=0.5)
    assert len(draw_field(np.random.default_rng(0), crowded, [1]).sources) == 1
