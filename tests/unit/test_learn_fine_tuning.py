"""Fine-tuning: frozen layers stay, the rest learns, and augmentation keeps image and map together."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.cases.diffuse_radio import FineTuning
from skyloom.learn import fine_tuning
from skyloom.learn.datasets import Samples
from skyloom.nets import diffuse_net

SETTINGS = FineTuning(trained=0.3, epochs=2, batch_size=2)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    return diffuse_net.build((None, None, 1), widths=(4, 6), dilations=(1,))


def samples(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 32, 32, 1)).astype(np.float32)
    y = np.zeros_like(x)
    for one, there in zip(x, y, strict=True):
        row, column = rng.integers(4, 20, 2)
        one[row : row + 8, column : column + 8] += 3
        there[row : row + 8, column : column + 8] = 1
    names = np.array([f"{seed}.{number}" for number in range(count)])
    return Samples(x, y, names, names, np.full(count, "truth"))


def test_frozen_layers_stay_and_the_others_learn(network):
    before = [weight.copy() for weight in network.get_weights()]
    tuned, loss = fine_tuning.fine_tuned(
        network, samples(8, 1), samples(4, 2), SETTINGS, 3e-2, False, "asinh", (1, "test")
    )
    assert all(np.array_equal(one, two) for one, two in zip(before, network.get_weights(), strict=True))
    frozen = fine_tuning.frozen_layers(network, SETTINGS.trained)
    pairs = [(one, two) for one, two in zip(network.layers, tuned.layers, strict=True) if one.weights]
    assert 0 < frozen < len(pairs)
    for number, (one, two) in enumerate(pairs):
        same = all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))
        assert same == (number < frozen), one.name
    again, other = fine_tuning.fine_tuned(
        network, samples(8, 1), samples(4, 2), SETTINGS, 3e-2, False, "asinh", (1, "test")
    )
    assert loss == other, "the same numbers give the same network"
    start = fine_tuning.fine_tuned(
        network, samples(8, 1), samples(4, 2), SETTINGS.model_copy(update={"epochs": 0}),
        3e-2, False, "asinh", (1, "test"),
    )[1]  # fmt: skip
    assert loss < start


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_augmentation_turns_image_and_map_alike(seed):
    one = samples(3, seed)
    x, y = fine_tuning.augmented(one.x, one.y, "asinh", np.random.default_rng(seed))
    assert x.shape == one.x.shape and y.sum(axis=(1, 2, 3)) == pytest.approx(one.y.sum(axis=(1, 2, 3)))
    for image, there in zip(x, y, strict=True):
        assert image[there > 0.5].mean() > 1.5 + image[there < 0.5].mean()
    plain, turned = fine_tuning.augmented(one.x, one.y, "log", np.random.default_rng(seed))
    assert np.sort(plain.ravel()) == pytest.approx(np.sort(one.x.ravel())) and turned.sum() == one.y.sum()
