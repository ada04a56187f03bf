import importlib.util
from pathlib import Path

import numpy as np
import pytest

from skyloom.errors import UserError
from skyloom.learn import backend
from skyloom.nets import network

ROOT = Path(__file__).parents[2]
NAMES = ("thesis_cnn", "windnet")


@pytest.fixture(scope="module", autouse=True)
def keras():
    backend.start(1)
    return importlib.import_module("keras")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [32, 100])
def test_one_logit_a_sample(name, side):
    model = network(name)((side, side, 2))
    assert model.output_shape == (None, 1)
    assert model.layers[-1].get_config().get("activation", "linear") == "linear"


@pytest.mark.parametrize("name", NAMES)
def test_layers_have_explicit_names_so_that_a_second_network_is_the_same(name):
    first, second = (network(name)((32, 32, 2)) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


def test_windnet_is_small():
    assert 1e5 < network("windnet")((100, 100, 2)).count_params() < 5e5


def test_thesis_cnn_has_the_published_weights():
    # 32 (3 3 1 + 1), 64 (3 3 32 + 1), 128 (23 23 64 + 1), 2 (128 + 1)
    assert network("thesis_cnn")((100, 100, 2)).count_params() == 320 + 18496 + 4333696 + 258


def test_thesis_cnn_has_no_softmax_in_a_convolution():
    layers = network("thesis_cnn")((100, 100, 2)).layers
    assert {layer.activation.__name__ for layer in layers if layer.name.startswith("conv")} == {"relu"}


def test_thesis_cnn_sees_the_native_cutout_only():
    model = network("thesis_cnn")((32, 32, 2))
    images = np.random.default_rng(1).normal(size=(4, 32, 32, 2)).astype(np.float32)
    other = images.copy()
    other[..., 1] = 0
    assert np.array_equal(model.predict_on_batch(images), model.predict_on_batch(other))
    other[..., 0] = 0
    assert not np.array_equal(model.predict_on_batch(images), model.predict_on_batch(other))


@pytest.mark.parametrize(
    ("asked", "said"), [("windnett", "`windnet`"), ("thesis", "`thesis_cnn`"), ("xyz", "there are")]
)
def test_an_unknown_network_is_answered_by_the_nearest(asked, said):
    with pytest.raises(UserError, match=said):
        network(asked)


def test_networks_do_not_know_the_backend():
    for path in (ROOT / "scripts/skyloom/nets").glob("*.py"):
        text = path.read_text()
        assert not any(word in text for word in ("tensorflow", "import jax", "import torch", "tf.")), path
