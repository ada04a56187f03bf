import importlib
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
from skyloom.learn.losses import LOSSES  # noqa: E402

ROOT = Path(__file__).parents[2]
SHAPES = {
    "blobs_finder": (32, 48, 2),
    "decoras": (32, 48, 2),
    "source_map": (32, 48, 2),
    "deep_gru": (40, 2),
    "line_net": (40, 2),
    "resnet18": (48, 48, 2),
    "source_net": (48, 48, 2),
}
MAPS, SEQUENCES, VALUES = (
    ("blobs_finder", "decoras", "source_map"),
    ("deep_gru", "line_net"),
    ("resnet18", "source_net"),
)
NETS = (*MAPS, *SEQUENCES, *VALUES)


def module(name):
    return importlib.import_module(f"skyloom.nets.{name}")


def built(name, shape=None, outputs=1, seed=1):
    keras.utils.set_random_seed(seed)
    return module(name).build(shape or SHAPES[name], outputs)


def said(model, x):
    """Return a network's output, without the time that compiling it for one use would take."""
    return keras.ops.convert_to_numpy(model(x, training=False))


def batch(name, model, count=4, seed=1):
    """Return input of a network, and targets that its kind of network can reach."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, *SHAPES[name])).astype(np.float32)
    y = random.uniform(0.1, 0.9, (count, *model.output_shape[1:]))
    return x, y.astype(np.float32)


@pytest.mark.parametrize(("name", "task"), [(n, "map") for n in MAPS] + [(n, "sequence") for n in SEQUENCES])
@pytest.mark.parametrize("outputs", [2])
def test_maps_and_sequences_keep_their_size_and_lie_between_0_and_1(name, task, outputs):
    model = built(name, outputs=outputs)
    x, _ = batch(name, model)
    found = said(model, 30 * x)
    assert task == module(name).TASK
    assert found.shape == (*x.shape[:-1], outputs)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(("shape", "outputs"), [((48, 48, 1), 2), ((33, 40, 3), 5)])
def test_values_are_of_any_size(name, shape, outputs):
    model = built(name, shape, outputs)
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype(np.float32)
    found = said(model, x)
    assert module(name).TASK == "value"
    assert found.shape == (4, outputs)
    assert found.dtype == np.float32
    assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_another_size_than_multiples_of_16_is_refused(name):
    with pytest.raises(UserError, match=f"{name} takes images whose sides are multiples of 16, not 40 x 48"):
        built(name, (40, 48, 1))


@pytest.mark.parametrize("name", ["blobs_finder", "decoras"])
def test_autoencoders_must_know_their_size(name):
    with pytest.raises(UserError, match="multiples of 16"):
        built(name, (None, None, 1))


def test_the_published_networks_have_their_weights():
    def convolution(size, *channels):
        return sum(size * size * a * b + b for a, b in zip(channels, channels[1:], strict=False))

    assert built("blobs_finder", (256, 256, 1)).get_layer("bottleneck").count_params() == 64 * 16 * 16 * 1024 + 1024
    assert built("decoras", (256, 256, 1)).get_layer("unfold").count_params() == 64 * 16 * 16 * (256 + 1)
    # One layer of units that look both ways, with two biases for each of their three gates, and the dense layer.
    assert built("deep_gru", (128, 1)).count_params() == 2 * 3 * (32 * 1 + 32 * 32 + 2 * 32) + 2 * 32 + 1
    stages = [(64, 64, 64), (64, 64, 64), (64, 128, 128), (128, 128, 128)]
    stages += [(128, 256, 256), (256, 256, 256), (256, 512, 512), (512, 512, 512)]
    blocks = sum(convolution(3, *stage) + 2 * 4 * stage[-1] for stage in stages)
    shorts = sum(convolution(1, a, b) + 4 * b for a, b in [(64, 128), (128, 128), (128, 256), (256, 512)])
    ends = convolution(3, 1, 64) + 4 * 64 + (512 + 1) * 128 + (128 + 1)
    assert built("resnet18", (64, 64, 1)).count_params() == blocks + shorts + ends


def test_blobs_finder_has_the_weights_that_its_documentation_says():
    count = f"{built('blobs_finder', (256, 256, 1)).count_params():,}".replace(",", " ")
    assert f"{count} weights" in " ".join(module("blobs_finder").build.__doc__.split())


@pytest.mark.parametrize(
    ("name", "shape", "least", "most"),
    [
        ("source_map", (256, 256, 1), 2e5, 5e5),
        ("line_net", (128, 1), 1e4, 6e4),
        ("source_net", (64, 64, 2), 1e5, 3e5),
    ],
)
def test_our_networks_are_small(name, shape, least, most):
    assert least < built(name, shape).count_params() < most


@pytest.mark.parametrize("name", NETS)
def test_some_steps_lower_the_loss_and_move_every_weight(name):
    model = built(name)
    x, y = batch(name, model)
    # The published value network starts with values in the hundreds.
    rate = 1e-6 if name == "resnet18" else 1e-3
    loss = "mse" if name in VALUES else "binary_crossentropy"
    model.compile(keras.optimizers.SGD(rate), loss, run_eagerly=True)
    losses = [model.train_on_batch(x, y) for _ in range(8)]  # single steps may be lost in a dropout's noise
    assert np.mean(losses[4:]) < np.mean(losses[:4])
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(1e-3), loss, run_eagerly=True)
    for _ in range(2):  # what begins as the identity passes no gradient on before its first step
        assert np.isfinite(model.train_on_batch(x, y))
    after = model.get_weights()
    assert all(np.isfinite(value).all() for value in after)
    fixed = {id(weight) for weight in model.non_trainable_weights}
    still = [
        weight.path
        for weight, a, b in zip(model.weights, before, after, strict=True)
        if id(weight) not in fixed and np.array_equal(a, b)
    ]
    assert still == []


@pytest.mark.parametrize("name", NETS)
def test_a_network_built_twice_is_the_same_file_and_reads_back(name, tmp_path):
    models = [built(name) for _ in range(2)]
    assert [layer.name for layer in models[0].layers] == [layer.name for layer in models[1].layers]
    for number, model in enumerate(models):
        store.save_model(tmp_path / f"{number}.keras", model)
    files = [(tmp_path / f"{number}.keras").read_bytes() for number in range(2)]
    assert files[0] == files[1]
    x, _ = batch(name, models[0])
    again = store.load_model(tmp_path / "0.keras")
    assert np.array_equal(said(again, x), said(models[0], x))


@pytest.mark.parametrize("name", NETS)
def test_mixed_precision_gives_float32(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = built(name)
    finally:
        keras.config.set_dtype_policy("float32")
    whole = built(name)
    x, _ = batch(name, whole)
    found, wanted = said(half, x), said(whole, x)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 0.1 * max(1, np.abs(wanted).max())


ELSEWHERE = """
import importlib, sys
import numpy as np
from skyloom.learn import backend
assert backend.start(1).startswith("jax")
with np.load(sys.argv[1], allow_pickle=False) as file:
    for name in sys.argv[2:]:
        x, wanted = file[f"{name}_x"], file[f"{name}_y"]
        model = importlib.import_module(f"skyloom.nets.{name}").build(x.shape[1:], wanted.shape[-1])
        count = len(model.weights)
        model.set_weights([file[f"{name}_{number}"] for number in range(count)])
        found = np.asarray(model.predict_on_batch(x))
        print(name, np.abs(found - wanted).max() / max(1, np.abs(wanted).max()))
"""


def test_equal_weights_predict_alike_under_jax(tmp_path):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed; it is no part of the project's environment")
    arrays = {}
    for name in NETS:
        model = built(name)
        x, y = batch(name, model)
        model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
        model.train_on_batch(x, y)
        arrays |= {f"{name}_{number}": value for number, value in enumerate(model.get_weights())}
        arrays |= {f"{name}_x": x, f"{name}_y": said(model, x)}
    np.savez(tmp_path / "nets.npz", **arrays)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, tmp_path / "nets.npz", *NETS],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split() for line in done.stdout.splitlines() if line.startswith(NETS))
    assert set(found) == set(NETS)
    assert all(float(difference) < 1e-4 for difference in found.values()), found


def gaussian(y, x, major, minor, angle, shape):
    """Return an elliptical Gaussian of peak one; the angle [deg] counts from +y to -x."""
    rows, columns = np.indices(shape)
    dy, dx, turn = rows - y, columns - x, np.radians(angle)
    along, across = dy * np.cos(turn) - dx * np.sin(turn), dy * np.sin(turn) + dx * np.cos(turn)
    return np.exp(-4 * np.log(2) * ((along / major) ** 2 + (across / minor) ** 2))


def test_an_untrained_source_map_says_that_there_is_nothing():
    model = built("source_map", (64, 64, 1))
    images = np.random.default_rng(1).normal(size=(2, 64, 64, 1))
    assert said(model, images) == pytest.approx(0.02, abs=0.01)


def test_source_map_learns_on_small_images_what_it_finds_in_large_ones():
    random = np.random.default_rng(2)

    def sky(count, side):
        places = random.uniform(10, side - 10, (count, 2))
        images = [8 * gaussian(y, x, 9, 8, 30, (side, side)) for y, x in places] + random.normal(
            size=(count, side, side)
        )
        maps = [gaussian(y, x, 5, 5, 0, (side, side)) for y, x in places]
        return places, np.array(images)[..., None] / 8, np.array(maps)[..., None]

    keras.utils.set_random_seed(3)
    model = module("source_map").build((None, None, 1))
    model.compile(keras.optimizers.Adam(3e-3), LOSSES["focal"]())
    for _ in range(60):
        _, images, maps = sky(8, 48)
        model.train_on_batch(images, maps)
    places, images, _ = sky(12, 96)
    found = said(model, images)[..., 0]
    fixed = module("source_map").build((96, 96, 1))
    fixed.set_weights(model.get_weights())
    assert said(fixed, images)[..., 0] == pytest.approx(found, abs=1e-5)
    peaks = np.array([np.unravel_index(np.argmax(one), one.shape) for one in found])
    assert np.median(np.hypot(*(peaks - places).T)) < 2


def spectra(random, count, length):
    centre, width = random.uniform(8, length - 8, count), random.uniform(3, 10, count)
    line = np.exp(-4 * np.log(2) * ((np.arange(length) - centre[:, None]) / width[:, None]) ** 2)
    noisy = random.uniform(-3, 3, (count, 1)) + 8 * line + random.normal(size=line.shape)
    return centre, noisy[..., None] / 8, line[..., None]


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_learn_lines_at_one_length_and_find_them_at_another(name):
    random = np.random.default_rng(4)
    keras.utils.set_random_seed(5)
    model = module(name).build((None, 1))
    model.compile(keras.optimizers.Adam(1e-2), LOSSES["cross_entropy"]())
    for _ in range(80):
        _, noisy, line = spectra(random, 16, 64)
        model.train_on_batch(noisy, line)
    centre, noisy, _ = spectra(random, 40, 96)
    found = np.argmax(said(model, noisy)[..., 0], axis=1)
    assert np.median(np.abs(found - centre)) < 1.5


def sources(random, count, side=48):
    """Return images over their peaks with the log of the S/N, and the log of the FWHM that is asked."""
    major = random.uniform(9, 14, count)
    snr = np.exp(random.uniform(np.log(50), np.log(200), count))
    places, angles = side // 2 + random.uniform(-1, 1, (count, 2)), random.uniform(0, 180, count)
    images = np.array(
        [
            gaussian(*place, size, 9, angle, (side, side))
            for place, size, angle in zip(places, major, angles, strict=True)
        ]
    )
    images += random.normal(size=images.shape) / snr[:, None, None]
    plane = np.broadcast_to(np.log10(snr)[:, None, None] / 2, images.shape)
    return np.stack([images, plane], axis=-1).astype(np.float32), np.log(major / 11)[:, None].astype(np.float32)


def test_source_net_measures_a_size_to_better_than_the_differences_that_it_starts_from():
    random = np.random.default_rng(6)
    keras.utils.set_random_seed(7)
    model = module("source_net").build((48, 48, 2), 2)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, 25 * 32)
    model.compile(keras.optimizers.AdamW(rate), LOSSES["gaussian_nll"]())
    x, y = sources(random, 2000)
    for _ in range(25):
        order = random.permutation(len(x))
        for start in range(0, len(x), 64):
            rows = order[start : start + 64]
            model.train_on_batch(x[rows], y[rows])
    x, y = sources(random, 500)
    found = said(model, x)
    error = found[:, 0] - y[:, 0]
    assert np.std(y) > 0.1
    assert np.sqrt(np.mean(error**2)) < 0.02
    # So early the error that it tells is still the larger one.
    assert np.mean(np.abs(error) < np.exp(found[:, 1] / 2)) > 0.68
    assert np.median(np.exp(found[:, 1] / 2)) < 0.05


def test_the_moments_of_a_round_source_are_all_but_none_and_are_not_learnt():
    model = built("source_net")
    moments = keras.Model(model.input, model.get_layer("moments").output)
    assert not model.get_layer("moments").trainable
    image = np.zeros((3, 48, 48, 2), np.float32)
    for number, (y, x, size) in enumerate([(24, 24, 10), (24.5, 24, 10), (24, 24, 11)]):
        image[number, ..., 0] = gaussian(y, x, size, size, 0, (48, 48))
    round_one, shifted, wider = said(moments, image)[:, -28:]  # of the second scale, to order six
    assert np.abs(round_one).max() < 1e-3
    # In their order: the whole, y and x, then the second powers; half a pixel North is seen in y only, a width in both.
    assert abs(shifted[1]) > 0.1 > 10 * abs(shifted[2])
    assert wider[3] == pytest.approx(wider[5], rel=1e-3)
    assert abs(wider[3]) > 0.1
