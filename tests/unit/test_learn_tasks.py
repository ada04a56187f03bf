"""What the networks of a chain are trained for: maps, spectra, and quantities with their errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import gaussian

from skyloom.config.schema import ChainModel, Model
from skyloom.detect import line_search as search
from skyloom.errors import UserError
from skyloom.learn import backend
from skyloom.learn.datasets import Samples
from skyloom.seeds import generator

backend.start(1)

import keras  # noqa: E402  (it reads its environment when it is imported)
from keras import layers  # noqa: E402

from skyloom import nets  # noqa: E402
from skyloom.learn import tasks, training  # noqa: E402

KEYS = (1, "toy", "train", "network", 0)
CHANNELS, SIDE, STAMP = 32, 32, 16
Z = np.arange(CHANNELS)


def model(kind="lines", **changes):
    """Return the settings of a small training."""
    kinds = {
        "lines": {"network": "line_net", "dataset": "spectra", "loss": "l1"},
        "map": {"network": "source_map", "dataset": "maps", "loss": "cross_entropy"},
        "size": {"network": "source_net", "dataset": "sources", "target": "fwhm_major", "loss": "gaussian_nll"},
        "angle": {"network": "source_net", "dataset": "sources", "target": "pa", "loss": "angle_nll"},
    }
    return ChainModel(**{**kinds[kind], "epochs": 2, "batch_size": 16, "learning_rate": 3e-3, **changes})


def test_an_odd_target_follows_its_mirrored_image():
    grid = np.arange(SIDE, dtype=float)
    offsets = np.array([[1.5, -0.5], [-2.0, 1.0]])
    middle = SIDE // 2
    images = [gaussian((SIDE, SIDE), middle + dx, middle + dy, 6.0, 6.0, 0.0) for dx, dy in offsets]
    one = samples(np.stack(images)[..., None], offsets[:, :1])
    goal = tasks.task(model("size", target="position", loss="student_nll"))
    for turn in range(goal.turns):
        x, y = goal.batch(one, np.arange(2), np.full(2, turn))
        seen = (x[..., 0] * grid).sum(axis=(1, 2)) / x[..., 0].sum(axis=(1, 2)) - middle
        np.testing.assert_allclose(seen, y[:, 0], atol=1e-3)
    assert goal.turns == 4
    np.testing.assert_array_equal(one.y, offsets[:, :1].astype(np.float32))


def samples(x, y):
    names = np.array([f"toy_{number}" for number in range(len(x))])
    return Samples(
        x=np.asarray(x, np.float32), y=np.asarray(y, np.float32), id=names, group=names,
        origin=np.full(len(x), "truth"),
    )  # fmt: skip


def spectra(count, seed=1):
    rng = generator(seed, "t")
    centre, fwhm = rng.uniform(5, CHANNELS - 6, (count, 1)), rng.uniform(3, 8, (count, 1))
    lines = np.exp(-4 * np.log(2) * ((Z - centre) / fwhm) ** 2)
    noisy = 20 * lines + rng.standard_normal(lines.shape)
    return samples([search.line_input(one, 1.0) for one in noisy], lines[..., None])


def maps(count, seed=1):
    rng = generator(seed, "t")
    images, targets = [], []
    for _ in range(count):
        x, y = rng.uniform(12, 2 * SIDE - 12, 2)
        image = 40 * gaussian((2 * SIDE, 2 * SIDE), x, y, 8, 8, 0) + rng.standard_normal((2 * SIDE, 2 * SIDE))
        images.append(search.map_input(image))
        targets.append(search.map_target([x], [y], image.shape))
    return samples(images, targets)


def stamps(count, seed=1):
    """Return images of sources and what is asked of them; the noise is faint."""
    rng = generator(seed, "t")
    images, targets = [], []
    for _ in range(count):
        minor, ratio, angle = rng.uniform(3, 5), rng.uniform(1.2, 1.8), rng.uniform(0, 180)
        image = gaussian((STAMP, STAMP), STAMP // 2, STAMP // 2, ratio * minor, minor, angle)
        images.append(np.stack([image + rng.normal(0, 0.01, image.shape), np.ones_like(image)], axis=-1))
        targets.append(search.stamp_target([ratio * minor], [minor], [angle], [1.0])[0])
    return samples(images, targets)


def asked(data, columns):
    return samples(data.x, data.y[:, columns])


def tiny(name):
    """Stand for the networks: a few numbers that learn in a second what takes them an hour."""

    def build(shape, outputs=1):
        given = keras.Input(shape, name="given")
        if name == "source_net":
            x = layers.Dense(16, activation="relu", name="hidden")(layers.Flatten(name="flat")(given))
            return keras.Model(given, layers.Dense(outputs, name="value")(x), name=name)
        convolution = layers.Conv1D if name == "line_net" else layers.Conv2D
        x = convolution(4, 5, padding="same", activation="relu", name="hidden")(given)
        return keras.Model(given, convolution(outputs, 1, activation="sigmoid", name="map")(x), name=name)

    return build


@pytest.fixture(scope="module")
def tiny_networks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nets, "network", tiny)
        yield


DATA = {
    "lines": spectra(96),
    "map": maps(32),
    "size": asked(stamps(96), [0]),
    "angle": asked(stamps(96), [2, 3]),
}


class Fixed:
    """A network that gives the same for whatever it is shown."""

    def __init__(self, *values):
        self.values = np.array(values, np.float32)

    def predict_on_batch(self, batch):
        return np.tile(self.values, (len(batch), 1))


# Which task


def test_a_chains_networks_estimate_and_others_classify():
    assert isinstance(tasks.task(model()), tasks.Estimation)
    assert isinstance(tasks.task(Model(network="windnet")), tasks.Classification)


@pytest.mark.parametrize(("kind", "outputs"), [("lines", (CHANNELS, 1)), ("size", (2,)), ("angle", (3,))])
def test_a_network_gives_what_its_loss_asks_for(kind, outputs):
    goal = tasks.task(model(kind))
    assert goal.network(DATA[kind]).output_shape[1:] == outputs
    assert goal.target_shape(DATA[kind]) == DATA[kind].y.shape[1:]


def test_a_map_has_the_side_of_its_image():
    assert tasks.task(model("map")).network(DATA["map"]).output_shape[1:] == (SIDE, SIDE, 1)


@pytest.mark.parametrize(("training_rows", "validation_rows", "which"), [(0, 4, "training"), (4, 0, "validation")])
def test_an_empty_set_is_told(training_rows, validation_rows, which):
    some = DATA["lines"]
    with pytest.raises(UserError, match=f"{which} set is empty; simulate more"):
        training.train(model(), some.take(np.arange(training_rows)), some.take(np.arange(validation_rows)), KEYS)


def test_every_sample_counts_alike():
    assert tasks.task(model()).weights(DATA["lines"]) == pytest.approx(np.ones(96))


# Half a turn


@settings(max_examples=20)
@given(st.floats(14, 50), st.floats(14, 50), st.floats(0, 180))
def test_half_a_turn_keeps_the_position_angle_and_the_map_right(x, y, angle):
    side = 2 * SIDE
    image, turned = (gaussian((side, side), *at, 10, 5, angle) for at in ((x, y), (side - 1 - x, side - 1 - y)))
    shown = tasks.half_turned(search.map_input(100 * image)[None])[0]
    assert shown == pytest.approx(search.map_input(100 * turned), abs=1e-5)
    target = search.map_target([x], [y], (side, side))
    wanted = search.map_target([side - 1 - x], [side - 1 - y], (side, side))
    assert tasks.half_turned(target[None])[0] == pytest.approx(wanted, abs=1e-5)


def batch_of(data, kind, turns):
    rows = np.arange(len(turns))
    return rows, *tasks.task(model(kind)).batch(data, rows, np.array(turns))


def test_spectra_are_reversed_with_their_lines():
    data = spectra(4)
    before = data.x.copy(), data.y.copy()
    rows, images, targets = batch_of(data, "lines", [0, 1, 1, 0])
    for row in rows:
        step = -1 if row in (1, 2) else 1
        assert np.array_equal(images[row], data.x[row, ::step]) and np.array_equal(targets[row], data.y[row, ::step])
    assert np.array_equal(data.x, before[0]) and np.array_equal(data.y, before[1]), "the set itself stays as it is"


def test_maps_are_turned_with_their_targets():
    data = maps(3)
    _, images, targets = batch_of(data, "map", [1, 0, 1])
    assert np.array_equal(images[0], data.x[0, ::-1, ::-1]) and np.array_equal(targets[0], data.y[0, ::-1, ::-1])
    assert np.array_equal(images[1], data.x[1]) and np.array_equal(targets[1], data.y[1])
    peak = np.unravel_index(np.argmax(targets[2]), targets[2].shape)
    assert images[2][..., 0][peak[:2]] > 0.8, "the target still lies on its source"


def test_quantities_of_a_turned_source_are_its_own():
    data = DATA["angle"]
    _, images, targets = batch_of(data, "angle", [1, 0])
    assert np.array_equal(images[0], data.x[0, ::-1, ::-1]) and np.array_equal(targets, data.y[:2])


@pytest.mark.parametrize(("flip", "wanted"), [(True, {0, 1}), (False, {0})])
def test_samples_are_turned_by_half_a_turn_only_and_only_if_asked(monkeypatch, tiny_networks, flip, wanted):
    seen, batch = set(), tasks.Estimation.batch

    def spy(self, data, rows, turn):
        seen.update(turn.tolist())
        return batch(self, data, rows, turn)

    monkeypatch.setattr(tasks.Estimation, "batch", spy)
    training.train(model(epochs=1, flip_online=flip), spectra(32), spectra(8, 2), KEYS)
    assert seen == wanted


# Validation


def test_validation_is_of_the_whole_set_whatever_its_blocks():
    rng = generator(5, "t")
    data = samples(np.zeros((150, 4, 4, 2)), rng.normal(1, 2, (150, 1)))
    log_variance = 0.7
    loss, error = tasks.task(model("size")).validate(Fixed(0.5, log_variance), data)
    off = data.y[:, 0] - 0.5
    assert loss == pytest.approx(np.mean(0.5 * (off**2 * np.exp(-log_variance) + log_variance)), rel=1e-4)
    assert error == pytest.approx(np.mean(np.abs(off)), rel=1e-4)


def test_the_loss_is_least_for_the_true_error():
    data = samples(np.zeros((400, 4, 4, 2)), generator(6, "t").normal(0, 0.3, (400, 1)))
    goal = tasks.task(model("size"))
    losses = [goal.validate(Fixed(0.0, 2 * np.log(sigma)), data)[0] for sigma in (0.1, 0.3, 0.9)]
    assert losses[1] < losses[0] and losses[1] < losses[2]


def test_the_error_of_an_angle_is_that_of_its_vector():
    data = samples(np.zeros((3, 4, 4, 2)), np.tile([1.0, 0.0], (3, 1)))
    goal = tasks.task(model("angle"))
    assert goal.validate(Fixed(1.0, 0.0, -2.0), data)[1] == pytest.approx(0, abs=1e-6)
    assert goal.validate(Fixed(0.0, 1.0, -2.0), data)[1] == pytest.approx(1, abs=1e-6)
    assert goal.validate(Fixed(0.0, 1.0, -2.0), data)[0] > goal.validate(Fixed(1.0, 0.0, -2.0), data)[0] + 2


# Training


VALIDATION = {
    "lines": spectra(32, 2),
    "map": maps(16, 2),
    "size": asked(stamps(32, 2), [0]),
    "angle": asked(stamps(32, 2), [2, 3]),
}


@pytest.fixture(scope="module")
def trained(tiny_networks):
    return training.train(model(), DATA["lines"], VALIDATION["lines"], KEYS)


def untrained_loss(kind):
    goal = tasks.task(model(kind))
    return goal.validate(goal.network(DATA[kind]), VALIDATION[kind])[0]


@pytest.mark.parametrize("kind", ["map", "size", "angle"])
def test_two_epochs_bring_the_loss_down(tiny_networks, kind):
    network, progress = training.train(model(kind), DATA[kind], VALIDATION[kind], KEYS)
    first, last = progress.history
    assert last["loss"] < first["loss"] and progress.best_loss < untrained_loss(kind)
    loss, error = tasks.task(model(kind)).validate(network, VALIDATION[kind])
    assert loss == pytest.approx(progress.best_loss, rel=1e-4), "and the network is that of the best epoch"
    assert error == pytest.approx(progress.history[progress.best_epoch - 1]["error"], rel=1e-4)


def test_a_network_learns_lines(trained):
    network, progress = trained
    assert progress.best_loss < untrained_loss("lines")
    assert set(progress.history[0]) == {"epoch", "loss", "val_loss", "error", "learning_rate"}
    assert network.output_shape == (None, CHANNELS, 1)


def weights(network):
    return np.concatenate([np.ravel(weight.numpy()) for weight in network.trainable_weights])


def test_a_second_training_goes_on_from_the_weights_it_is_given(trained):
    network, progress = trained
    # A rate so small that the weights stay where they start.
    slow = model(epochs=1, learning_rate=1e-9)
    again, second = training.train(slow, DATA["lines"], VALIDATION["lines"], KEYS, start=network.get_weights())
    assert weights(again) == pytest.approx(weights(network), abs=1e-6)
    afresh, _ = training.train(slow, DATA["lines"], VALIDATION["lines"], KEYS)
    assert np.abs(weights(afresh) - weights(network)).max() > 0.01
    assert second.history[0]["loss"] < progress.history[0]["loss"]


def test_going_on_makes_the_loss_smaller_still(trained):
    network, progress = trained
    _, second = training.train(model(), DATA["lines"], VALIDATION["lines"], KEYS, start=network.get_weights())
    assert second.best_loss < progress.best_loss
