"""The network that tells photons of sources from the other events of a counts map."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)

import keras  # noqa: E402  (it reads its environment when it is imported)

from skyloom.learn import store  # noqa: E402
from skyloom.nets import photon_net  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    model = photon_net.build((48, 64, 1), width=8)
    # Weights as after some training, so that shares differ from pixel to pixel.
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.trainable and layer.get_weights():
            layer.set_weights([w + 0.1 * rng.standard_normal(w.shape).astype(np.float32) for w in layer.get_weights()])
    return model


def counts(level: float = 4.0, count: int = 3, shape=(48, 64)) -> np.ndarray:
    return np.random.default_rng(1).poisson(level, (count, *shape, 1)).astype(np.float32)


def said(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def test_photons_are_a_share_of_the_counts_which_stand_beside_them(network):
    x = counts()
    y = said(network, x)
    assert y.shape == (3, 48, 64, 2)
    assert np.array_equal(y[..., 1:], x)
    assert (y[..., 0] >= 0).all() and (y[..., :1] <= x).all()
    assert y[..., 0].std() > 0


def test_an_untrained_network_takes_few_events_for_photons():
    x = counts()
    y = said(photon_net.build((48, 64, 1)), x)
    assert y[..., 0].sum() / x.sum() == pytest.approx(photon_net.FIRST, rel=0.5)


def test_smoothing_is_not_trained_and_keeps_a_level_up_to_the_edges(network):
    names = {layer.name for layer in network.layers if not layer.trainable}
    assert "around_y" in names and "near_1_x" in names
    level = np.full((1, 48, 64, 1), 9.0, np.float32)
    excesses = said(keras.Model(network.input, network.get_layer("excesses").output), level)
    assert np.abs(excesses[..., :-1]).max() < 1e-3
    assert excesses[..., -1] == pytest.approx(0.5 * np.log(9.0), abs=1e-3)


def test_an_excess_is_as_large_as_its_noise_says(network):
    x = np.random.default_rng(2).poisson(25.0, (20, 48, 64, 1)).astype(np.float32)
    excesses = said(keras.Model(network.input, network.get_layer("excesses").output), x)[:, 12:-12, 12:-12, :-1]
    assert np.sinh(excesses).std(axis=(0, 1, 2)) == pytest.approx(np.ones(4), abs=0.15)


def test_it_is_stored_in_layers_that_keras_knows(network, tmp_path):
    store.save_model(tmp_path / "photon.keras", network)
    x = counts()
    assert np.array_equal(said(store.load_model(tmp_path / "photon.keras"), x), said(network, x))


def test_maps_of_any_size_are_taken_if_they_are_multiples_of_four(network):
    free = photon_net.build((None, None, 1), width=8)
    free.set_weights(network.get_weights())
    assert said(free, counts(shape=(40, 52))).shape == (3, 40, 52, 2)
    with pytest.raises(UserError, match="multiples of 4"):
        photon_net.build((50, 64, 1))


ELSEWHERE = """
import sys
import numpy as np
from skyloom.learn import backend
assert backend.start(1).startswith("jax")
from skyloom.nets import photon_net
with np.load(sys.argv[1], allow_pickle=False) as file:
    model = photon_net.build((48, 64, 1), width=8)
    model.set_weights([file[f"w{number}"] for number in range(len(model.weights))])
    found = np.asarray(model.predict_on_batch(file["x"]))
    assert np.abs(found - file["y"]).max() < 1e-3 * file["y"].max()
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_equal_weights_say_alike_under_jax(network, tmp_path):
    x = counts()
    weights = {f"w{number}": value for number, value in enumerate(network.get_weights())}
    np.savez(tmp_path / "net.npz", x=x, y=said(network, x), **weights)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, tmp_path / "net.npz"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_published_networks_have_their_weights():
    from skyloom import nets

    assert nets.network("astroai_cleaner")((200, 200, 1)).count_params() == 1873
    small = nets.network("astroai_regressor")((200, 200, 1), 2)
    # 26 508 numbers go into the dense layer; with 10 000 in it there are the 265 112 168 weights of the original.
    assert small.count_params() - 26509 * 64 - 65 * 2 + 26509 * 10_000 + 10_001 * 2 == 265_112_168


def test_the_published_cleaner_takes_multiples_of_four():
    from skyloom import nets

    with pytest.raises(UserError, match="multiples of 4"):
        nets.network("astroai_cleaner")((98, 100, 1))
