"""Networks made ready give what Keras gives, one image at a time or many."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live_fixtures import chain

from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)

import keras  # noqa: E402

from skyloom.images.counts import CountsMap  # noqa: E402
from skyloom.learn import map_search, runtimes  # noqa: E402
from skyloom.learn.predict import outputs  # noqa: E402
from skyloom.learn.running import Stages  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return networks with weights that are not zero, by runtime."""
    return chain(tmp_path_factory.mktemp("chain"))


def runners(made, role):
    return {
        "keras": runtimes.keras_runner(made.networks[role]),
        "litert": runtimes.read_litert(made.folder / f"{role}.tflite", 1),
    }


def images_for(shape, count):
    rng = np.random.default_rng(2)
    return rng.poisson(2.0, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize("role", ["map", "position"])
@pytest.mark.parametrize("runtime", ["keras", "litert"])
def test_a_runtime_gives_what_keras_gives(made, role, runtime):
    images = images_for(made.shapes[role], 11)
    wanted = made.networks[role].predict_on_batch(images)
    runner = runners(made, role)[runtime]
    assert np.abs(wanted).max() > 0.01
    assert runtimes.difference(runner, images, wanted) < 1e-5
    assert np.abs(outputs(runner, images) - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert outputs(runner, images[:0]).shape == (0, *wanted.shape[1:])


STORED = """
import sys
import numpy as np
from skyloom.learn import backend
backend.start(1)
from skyloom.learn import runtimes, store
network = store.load_model(sys.argv[1])
images = np.random.default_rng(2).poisson(2.0, (3, *network.input_shape[1:])).astype(np.float32)
small = runtimes.simplified(network, images.shape[1:])
wanted = network.predict_on_batch(images)
assert np.abs(small.predict_on_batch(images) - wanted).max() < 1e-5 * np.abs(wanted).max()
"""


def test_a_stored_network_is_simplified_in_a_process_of_its_own(made):
    # There, new operations get names from the first number on, which those of the stored network have.
    done = subprocess.run(
        [sys.executable, "-c", STORED, made.folder / "map.keras"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_difference_is_seen_even_of_what_is_no_number(made):
    images = images_for(made.shapes["position"], 3)
    wanted = made.networks["position"].predict_on_batch(images)

    def wrong(value):
        return runtimes.Runner(lambda shape: lambda some: np.full((len(some), 2), value), (None, 2))

    assert runtimes.difference(wrong(100.0), images, wanted) > 0.1
    assert not runtimes.difference(wrong(np.nan), images, wanted) <= runtimes.CLOSE


def test_gaussians_of_any_length_are_products_with_matrices():
    given = keras.Input((20, 24, 1))
    layers = [
        keras.layers.Conv2D(1, size, padding="same", use_bias=False) for size in ((5, 1), (1, 4), (31, 1), (1, 1))
    ]
    x = given
    for layer in layers:
        x = layer(x)
    network = keras.Model(given, x)
    small = runtimes.simplified(network, (20, 24, 1))
    images = images_for((20, 24, 1), 3)
    assert small.predict_on_batch(images) == pytest.approx(network.predict_on_batch(images), abs=1e-5)
    assert not any(isinstance(layer, keras.layers.Conv2D) for layer in small.layers)


def test_maps_searched_together_give_what_each_gives_alone(made):
    from types import SimpleNamespace

    rng = np.random.default_rng(3)
    maps = [CountsMap(rng.poisson(1.0, (96, 96)).astype(np.uint32), 0.025) for _ in range(9)]
    settings = SimpleNamespace(lowest_score=1e-3)
    alone = [map_search.search_map(one, made.networks, settings, Stages()) for one in maps]
    for networks in (made.networks, {role: runners(made, role)["litert"] for role in made.networks}):
        together = map_search.search_maps(maps, networks, settings, Stages())
        assert [len(rows) for rows in together] == [len(rows) for rows in alone]
        for row, other in zip(sum(together, []), sum(alone, []), strict=True):
            assert row == pytest.approx(other, rel=1e-3, abs=1e-3)


def test_mistakes_are_said(made):
    runner = runners(made, "map")["litert"]
    with pytest.raises(UserError, match=r"map\.tflite: was exported for images of 48x48x1, and these are 40x40x1"):
        runner.outputs(np.zeros((1, 40, 40, 1)))
    with pytest.raises(UserError, match="takes 48x48x1 only"):
        dense = keras.Sequential(
            [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(1)], name="dense"
        )
        runtimes.keras_runner(dense).outputs(np.zeros((1, 40, 40, 1)))
    given = keras.Input((8, 8, 1))
    strange = keras.Model(given, keras.ops.erfinv(given), name="strange")
    with pytest.raises(UserError, match="`strange` has operations that LiteRT does not know"):
        runtimes.as_litert(strange, (8, 8, 1), "0")
