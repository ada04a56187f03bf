"""The networks that find diffuse emission, and tell its kind."""

import numpy as np
import pytest

from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)

import keras  # noqa: E402  (it reads its environment when it is imported)

from skyloom.learn import store  # noqa: E402
from skyloom.nets import diffuse_net, field_net, radio_unet  # noqa: E402


def shaken(model, seed=0):
    """Return the network with weights as after some training, so that nothing hides behind zeros."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        layer.set_weights([w + 0.02 * rng.standard_normal(w.shape).astype(np.float32) for w in weights])
    return model


def said(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def test_radio_unet_has_the_published_number_of_weights():
    model = radio_unet.build((192, 192, 1))
    assert model.count_params() == 12_401_122
    assert model.output_shape == (None, 192, 192, 1)


def test_radio_unet_gives_a_probability():
    model = shaken(radio_unet.build((64, 96, 1), widths=(4, 8, 8, 8, 8)))
    y = said(model, np.random.default_rng(0).normal(size=(2, 64, 96, 1)).astype(np.float32))
    assert y.shape == (2, 64, 96, 1) and (y >= 0).all() and (y <= 1).all() and y.std() > 0


def test_diffuse_net_has_less_than_a_million_weights_and_takes_any_size():
    model = diffuse_net.build((None, None, 1))
    assert 300_000 < model.count_params() < 800_000
    for shape in ((64, 64), (96, 160)):
        assert said(model, np.zeros((1, *shape, 1), np.float32)).shape == (1, *shape, 1)


def test_diffuse_net_does_not_see_farther_than_it_says():
    model = shaken(diffuse_net.build((None, None, 1)))
    blank = np.zeros((1, 512, 512, 1), np.float32)
    lit = blank.copy()
    lit[0, 256, 256] = 30
    changed = np.abs(said(model, lit) - said(model, blank))[0, ..., 0] > 0
    rows, columns = np.nonzero(changed)
    assert changed[256, 256]
    assert max(np.abs(rows - 256).max(), np.abs(columns - 256).max()) < diffuse_net.REACH
    # It sees all of a halo and its surroundings; at a single pixel, rounding may hide so small a change.
    for seen in (rows, columns):
        assert seen.min() <= 256 - 100 and seen.max() >= 256 + 100


def test_the_way_up_sees_the_way_down():
    # A single pixel far below what the smallest map resolves still moves the map where it is.
    model = shaken(diffuse_net.build((64, 64, 1), dilations=(1,)))
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Concatenate)]
    assert names == ["up_3_both", "up_2_both", "up_1_both"]


@pytest.mark.parametrize(("build", "shape"), [(diffuse_net.build, (60, 64, 1)), (radio_unet.build, (48, 64, 1))])
def test_sides_that_do_not_fit_are_told(build, shape):
    with pytest.raises(UserError, match="multiples of"):
        build(shape)


def test_field_net_gives_a_probability_a_kind():
    model = shaken(field_net.build((64, 64, 4)))
    y = said(model, np.random.default_rng(0).normal(size=(3, 64, 64, 4)).astype(np.float32))
    assert y.shape == (3, 4) and (y > 0).all() and (y < 1).all()


@pytest.mark.parametrize("build", [diffuse_net.build, radio_unet.build, field_net.build])
def test_networks_survive_the_disk(build, tmp_path):
    shape = (64, 64, 4) if build is field_net.build else (64, 64, 1)
    model = shaken(build(shape))
    store.save_model(tmp_path / "model.keras", model)
    x = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    assert np.allclose(said(store.load_model(tmp_path / "model.keras"), x), said(model, x), atol=1e-6)
