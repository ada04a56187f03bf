import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.sky import protostars
from skyloom.sky.fields import Field, Object, Part, draw_kind, draw_position, matched_snr, paint, unit_flux
from skyloom.sky.surroundings import gaussian, point

N, PIXEL, RMS, AREA = 200, 0.25, 1e-4, 18.1


def smooth(sky):
    """A Gaussian beam of four pixels, in Jy/beam."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(sky, 4 / 2.3548) * np.float32(AREA)


def test_a_part_has_the_peak_asked_for_where_it_was_put():
    field = Field((Object("star", (Part(point, 80.0),), east=5.0, north=-10.0),))
    painted = paint(field, N, PIXEL, smooth, RMS, AREA)
    image = smooth(painted.sky)
    assert image.max() == pytest.approx(80 * RMS, rel=1e-3)
    assert np.unravel_index(image.argmax(), image.shape) == (N // 2 - 40, N // 2 - 20)
    assert painted.sky.sum() == pytest.approx(painted.fluxes[0][0], rel=1e-4)


def test_a_matched_part_is_measured_outside_of_all_others():
    wide = Part(lambda x, y: gaussian(x, y, 12.0, 12.0, 0.0), 40.0, "matched")
    narrow = Part(lambda x, y: gaussian(x, y, 3.0, 3.0, 0.0), 300.0)
    painted = paint(Field((Object("both", (wide, narrow)),)), N, PIXEL, smooth, RMS, AREA)
    alone = [paint(Field((Object("one", (part,)),)), N, PIXEL, smooth, RMS, AREA).sky for part in (wide, narrow)]
    fluxes = painted.fluxes[0]
    core = smooth(alone[1] * fluxes[1] / alone[1].sum())
    wing = smooth(alone[0] * fluxes[0] / alone[0].sum())
    measured = np.sqrt(np.sum((wing[core < RMS] / RMS) ** 2) / AREA)
    assert painted.snrs[0] == pytest.approx([40, 300], rel=1e-3)
    assert measured == pytest.approx(40, rel=0.02)


def test_what_covers_much_sky_is_made_bright_enough_to_be_seen_and_what_is_too_bright_fainter():
    def shape(x, y):
        return gaussian(x, y, 20.0, 20.0, 0.0)

    faint = Field((Object("wide", (Part(shape, 5.0, "matched", least=2.0),)),))
    bright = Field((Object("wide", (Part(shape, 900.0, "matched", most=10.0),)),))
    image = smooth(paint(faint, N, PIXEL, smooth, RMS, AREA).sky) / RMS
    assert image.sum() ** 2 / np.sum(image**2) / AREA > 300
    assert np.sqrt(np.sum(image**2) / AREA) > 2 * np.sqrt(300)
    assert smooth(paint(bright, N, PIXEL, smooth, RMS, AREA).sky).max() == pytest.approx(10 * RMS, rel=1e-3)


def test_a_second_look_sees_the_same_fluxes():
    field = protostars.draw_field("disc_wind", np.random.default_rng(1), 50.0)
    first = paint(field, N, PIXEL, smooth, RMS, AREA)
    second = paint(field, 240, 0.21, smooth, 2 * RMS, AREA, first.fluxes)
    assert second.fluxes == first.fluxes
    assert second.sky.sum() == pytest.approx(first.sky.sum(), rel=1e-3)


def test_the_matched_filter_of_a_flat_patch_counts_its_beams():
    image = np.zeros((50, 50))
    image[10:30, 10:30] = 3.0
    assert matched_snr(image, 16.0) == pytest.approx((3 * np.sqrt(25), 25))


def test_a_part_outside_of_the_image_is_an_error():
    with pytest.raises(ValueError, match="outside of the image"):
        unit_flux(np.zeros((4, 4)))


@pytest.mark.parametrize("kind", [*protostars.KINDS, "empty_field"])
@given(seed=st.integers(0, 2**32 - 1), width=st.floats(16, 130))
@settings(max_examples=6, deadline=None)
def test_every_kind_can_be_painted_on_every_image(kind, seed, width):
    field = protostars.draw_field(kind, np.random.default_rng(seed), width)
    painted = paint(field, N, width / N, smooth, RMS, AREA)
    assert np.isfinite(painted.sky).all() and painted.sky.min() >= 0
    assert painted.sky.sum() == pytest.approx(sum(map(sum, painted.fluxes)), rel=1e-3, abs=1e-9)
    assert [thing.positive for thing in field.objects] == [kind == "disc_wind"] * bool(field.objects) + [False] * (
        len(field.objects) - 1
    )
    assert 0 <= field.residual <= 2.5


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="no kind `planet`"):
        protostars.draw_field("planet", np.random.default_rng(0), 40.0)


def test_kinds_come_in_the_proportion_of_their_weights():
    weights = {"a": 1.0, "b": 2.0, "c": 5.0}
    kinds = [draw_kind(weights, index, {"c": 1.0}) for index in range(200)]
    assert [kinds.count(kind) for kind in weights] == pytest.approx([50, 100, 50], abs=3)


@pytest.mark.parametrize(("changed", "message"), [({"z": 1.0}, "no kind `z`"), ({"a": 0.0}, "weight 0")])
def test_wrong_weights_are_told(changed, message):
    with pytest.raises(UserError, match=message):
        draw_kind({"a": 1.0}, 0, changed)


@given(st.integers(0, 2**32 - 1))
def test_positions_lie_around_their_regions(seed):
    ra, dec = draw_position(np.random.default_rng(seed), [(359.5, -60.0)], 2.0)
    assert 0 <= ra < 360 and abs(dec + 60) <= 2
    assert abs((ra - 359.5 + 180) % 360 - 180) <= 4.001


def test_discs_with_and_without_winds_are_drawn_from_the_same_population():
    def discs(kind):
        rng = np.random.default_rng(3)
        drawn = [protostars.KINDS[kind](rng, 60.0) for _ in range(100)]
        return np.log([[one.fwhm, one.parts[0].snr] for one in drawn])

    with_wind, without = discs("disc_wind"), discs("smooth_disc")
    assert with_wind.mean(axis=0) == pytest.approx(without.mean(axis=0), abs=0.4)
    assert with_wind.std(axis=0) == pytest.approx(without.std(axis=0), rel=0.3)
