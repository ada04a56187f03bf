import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from learn_fixtures import toy_samples

from skyloom.config.schema import Model
from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)

from skyloom.learn import predict  # noqa: E402  (keras reads its environment when it is imported)
from skyloom.learn.training import train  # noqa: E402

ROOT = Path(__file__).parents[2]
NAMES = ("thesis_cnn", "windnet")


ELSEWHERE = """
import sys
import numpy as np
from learn_fixtures import toy_samples
from skyloom.learn import backend
assert backend.start(1).startswith(sys.argv[1])
from skyloom.config.schema import Model
from skyloom.learn import predict
from skyloom.learn.training import train
from skyloom.nets import network
for name in ("windnet", "thesis_cnn"):
    with np.load(f"{sys.argv[2]}/{name}.npz", allow_pickle=False) as file:
        model = network(name)((32, 32, 3))
        model.set_weights([file[key] for key in sorted(set(file.files) - {"logits"})])
        there, here = file["logits"], predict.logits(model, toy_samples(12, 2).x)
    _, progress = train(Model(network=name, epochs=1), toy_samples(32, 1), toy_samples(12, 2), (1, "toy", name, 0))
    print(name, np.abs(here - there).max(), progress.best_loss)
"""


def child(code, *arguments, **environment):
    paths = os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_what_keras_only_has_wrappers_for_is_not_imported_with_it_and_can_be_afterwards():
    code = """
import sys
from skyloom.learn import backend
backend.start(1)
print([name for name in ("sklearn", "pandas", "matplotlib", "jax") if name in sys.modules])
import sklearn, pandas, matplotlib
"""
    done = child(code, KERAS_BACKEND="tensorflow")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("other", ["jax", "torch"])
def test_networks_train_on_another_backend_and_equal_weights_predict_alike(other, tmp_path):
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed; it is no part of the project's environment")
    for name in NAMES:
        model = train(Model(network=name, epochs=1), toy_samples(32, 1), toy_samples(12, 2), (1, "toy", name, 0))[0]
        weights = {f"w{number:03d}": value for number, value in enumerate(model.get_weights())}
        np.savez(tmp_path / f"{name}.npz", logits=predict.logits(model, toy_samples(12, 2).x), **weights)
    done = child(ELSEWHERE, other, tmp_path, KERAS_BACKEND=other)
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines() if line.startswith(NAMES)]
    assert [name for name, *_ in found] == ["windnet", "thesis_cnn"]
    for _, difference, loss in found:
        assert float(difference) < 1e-4 and np.isfinite(float(loss))


SHARED = """
import os, sys
import numpy as np
from learn_fixtures import toy_samples
from skyloom.learn import backend
name = sys.argv[1]
if name == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
backend.start(1)
import keras
from skyloom.learn import training
from skyloom.config.schema import Model
devices = ["CPU:0", "CPU:1"] if name == "tensorflow" else ["cpu:0", "cpu:1"]
asked = backend.Replicas
def replicas(count):
    return asked(count, devices)
# Networks in which a sample's gradient does not depend on its neighbours: the shares add up to the whole batch.
def build(shape):
    image = keras.Input(shape)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(image))
    return keras.Model(image, keras.layers.Dense(1)(keras.layers.Dense(8, activation="relu")(x)))
training.nets.network = lambda name: build
backend.Replicas = replicas
settings = Model(network="windnet", epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05, schedule="constant")
data = (toy_samples(32, 1), toy_samples(12, 2), (1, "toy", "windnet", 0))
one = training.train(settings, *data)
two = training.train(settings, *data, gpus=2)
print(max(np.abs(a - b).max() for a, b in zip(one[0].get_weights(), two[0].get_weights())))
print(abs(one[1].history[-1]["loss"] - two[1].history[-1]["loss"]))
"""


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_two_devices_that_share_a_batch_learn_what_one_learns(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    done = child(SHARED, name, KERAS_BACKEND=name, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert done.returncode == 0, done.stderr
    weights, loss = (float(line) for line in done.stdout.splitlines()[-2:])
    assert weights < 1e-5 and loss < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_trains_and_gives_a_float32_network(name):
    settings = Model(network=name, epochs=2, batch_size=16, precision="mixed_bfloat16")
    data = (toy_samples(32, 1), toy_samples(12, 2), (1, "toy", name, 0))
    model, progress = train(settings, *data)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    whole, _ = train(settings.model_copy(update={"precision": "float32"}), *data)
    change = max(np.abs(a - b).max() for a, b in zip(model.get_weights(), whole.get_weights(), strict=True))
    assert change > 0 and np.isfinite(progress.best_loss)


def test_a_gpu_that_was_asked_for_and_is_not_there_is_said_unless_the_cpu_is_allowed():
    with pytest.raises(UserError, match=r"1 GPU asked for, but tensorflow sees none.*device: cpu"):
        backend.start(1, "auto", 1)
    assert (
        child("from skyloom.learn import backend; print(backend.start(1, 'cpu', 1))").stdout
        == "tensorflow on the CPU\n"
    )


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(UserError, match="batch_size: 16 samples cannot be shared by 3 GPUs"):
        train(Model(network="windnet", batch_size=16), toy_samples(32, 1), toy_samples(12, 2), (1, "toy", 0), gpus=3)


def test_an_unknown_backend_is_said(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(UserError, match=r"KERAS_BACKEND is 'theano'.*tensorflow"):
        backend.start(1)
