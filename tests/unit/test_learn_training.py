import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learn_fixtures import toy_samples

from skyloom.config.schema import Model
from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)

from skyloom.learn import predict, store, tasks, training  # noqa: E402  (keras reads its environment when it is imported)
from skyloom.nets import network  # noqa: E402

KEYS = (1, "toy", "train", "thesis_cnn", 0)
TRAIN, VALIDATION = toy_samples(48, 1), toy_samples(24, 2)


def settings(**changes):
    # The thesis's network, as it has few layers, and so is quickly made again and again.
    return Model(**{"network": "thesis_cnn", "epochs": 4, "batch_size": 16, "patience": 9, **changes})


@pytest.fixture(scope="module")
def trained():
    return training.train(settings(), TRAIN, VALIDATION, KEYS)


@pytest.fixture(scope="module")
def windnet():
    return training.train(settings(network="windnet", epochs=2), TRAIN, VALIDATION, KEYS)[0]


def test_equal_seeds_give_equal_weights(trained):
    again, _ = training.train(settings(), TRAIN, VALIDATION, KEYS)
    assert store.weights_sha256(again) == store.weights_sha256(trained[0])


def test_another_member_is_another_network(trained):
    other, _ = training.train(settings(), TRAIN, VALIDATION, (*KEYS[:-1], 1))
    assert store.weights_sha256(other) != store.weights_sha256(trained[0])


def test_the_history_has_a_row_an_epoch_and_the_best_is_returned(trained):
    model, progress = trained
    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4]
    assert progress.best_loss == min(row["val_loss"] for row in progress.history)
    scores = predict.logits(model, VALIDATION.x)
    assert tasks.cross_entropy(scores, VALIDATION.y, settings()) == progress.best_loss


def test_normalisation_layers_go_on_to_the_same_weights_too(tmp_path, windnet):
    checkpoint = training.Checkpoint(tmp_path, "fingerprint")
    asked = iter(range(10_000))
    wanted = settings(network="windnet", epochs=2)
    with pytest.raises(UserError, match="run again"):
        training.train(wanted, TRAIN, VALIDATION, KEYS, checkpoint, lambda: next(asked) > 3)
    again, _ = training.train(wanted, TRAIN, VALIDATION, KEYS, checkpoint)
    assert store.weights_sha256(again) == store.weights_sha256(windnet)


@pytest.mark.parametrize("after", [1, 3, 4])
def test_a_training_stopped_after_any_epoch_goes_on_to_the_same_weights(tmp_path, trained, after):
    checkpoint = training.Checkpoint(tmp_path / "c", "fingerprint")
    steps = 3 * after
    asked = iter(range(10_000))
    if after < 4:
        with pytest.raises(UserError, match="run again"):
            training.train(settings(), TRAIN, VALIDATION, KEYS, checkpoint, lambda: next(asked) > steps)
        assert json.loads((tmp_path / "c/state.json").read_text())["progress"]["epoch"] == after
    else:
        training.train(settings(), TRAIN, VALIDATION, KEYS, checkpoint)
    model, progress = training.train(settings(), TRAIN, VALIDATION, KEYS, checkpoint)
    assert store.weights_sha256(model) == store.weights_sha256(trained[0])
    assert progress == trained[1]


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path, capsys):
    training.train(settings(epochs=1), TRAIN, VALIDATION, KEYS, training.Checkpoint(tmp_path, "one"))
    _, progress = training.train(settings(epochs=1), TRAIN, VALIDATION, KEYS, training.Checkpoint(tmp_path, "two"))
    assert "starting afresh" in capsys.readouterr().out
    assert progress.epoch == 1


@pytest.mark.parametrize("damage", ["state.json", "arrays"])
def test_a_damaged_checkpoint_is_not_taken_up(tmp_path, capsys, damage):
    checkpoint = training.Checkpoint(tmp_path, "one")
    training.train(settings(epochs=1), TRAIN, VALIDATION, KEYS, checkpoint)
    path = tmp_path / "state.json" if damage == "state.json" else next(tmp_path.glob("last*.npz"))
    path.write_bytes(path.read_bytes()[:-40])
    training.train(settings(epochs=1), TRAIN, VALIDATION, KEYS, checkpoint)
    assert "starting afresh" in capsys.readouterr().out


def test_the_checkpoint_holds_one_state_and_can_be_removed(tmp_path):
    checkpoint = training.Checkpoint(tmp_path / "c", "one")
    training.train(settings(), TRAIN, VALIDATION, KEYS, checkpoint)
    assert len(list((tmp_path / "c").iterdir())) == 3
    checkpoint.remove()
    assert not (tmp_path / "c").exists()


def test_the_fingerprint_follows_from_data_settings_keys_and_code(tmp_path):
    data, code = tmp_path / "d", tmp_path / "c.py"
    data.write_text("1")
    code.write_text("1")
    prints = [training.fingerprint(data, {"a": 1}, KEYS, [code])]
    assert prints[0] == training.fingerprint(data, {"a": 1}, KEYS, [code])
    prints.append(training.fingerprint(data, {"a": 2}, KEYS, [code]))
    prints.append(training.fingerprint(data, {"a": 1}, KEYS[:-1], [code]))
    code.write_text("2")
    prints.append(training.fingerprint(data, {"a": 1}, KEYS, [code]))
    data.write_text("2")
    prints.append(training.fingerprint(data, {"a": 1}, KEYS, [code]))
    assert len(set(prints)) == 5


def test_early_stopping():
    _, progress = training.train(settings(epochs=30, learning_rate=1e-9, patience=2), TRAIN, VALIDATION, KEYS)
    assert progress.epoch < 30
    assert progress.epoch - progress.best_epoch == 2


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_optimiser_and_schedule(name, schedule):
    made = training.optimizer(settings(optimizer=name, schedule=schedule, learning_rate=0.01), steps=5)
    assert type(made).__name__.lower() == name
    assert float(made.learning_rate) == pytest.approx(0.01 if schedule == "constant" else 0.001)


def test_one_class_cannot_be_learnt():
    only = toy_samples(6, 1)
    only.y[:] = 0
    with pytest.raises(UserError, match="0 positives and 6 negatives"):
        training.train(settings(), only, VALIDATION, KEYS)


def test_a_diverging_training_is_said():
    with pytest.raises(training.Diverged, match="learning_rate"):
        training.train(settings(optimizer="sgd", learning_rate=1e12), TRAIN, VALIDATION, KEYS)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=50))
def test_class_weights_let_both_classes_count_alike(labels):
    labels = np.array(labels)
    weights = tasks.class_weights(labels)
    if 0 < labels.sum() < len(labels):
        assert weights[1] * labels.sum() == pytest.approx(weights[0] * (1 - labels).sum())
        assert weights[labels].mean() == pytest.approx(1)


def test_the_validation_loss_is_the_loss_of_the_training():
    import keras

    random = np.random.default_rng(1)
    scores, labels = random.normal(0, 3, 40), np.arange(40) % 4 // 3
    smooth = settings(label_smoothing=0.1)
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    weights = tasks.class_weights(labels)[labels]
    expected = loss(labels[:, None].astype("f4"), scores[:, None].astype("f4"), sample_weight=weights.astype("f4"))
    assert tasks.cross_entropy(scores, labels, smooth) == pytest.approx(float(expected), rel=1e-5)


def test_the_eight_orientations_are_all_there_are():
    images = np.random.default_rng(1).normal(size=(1, 6, 6, 2))
    all_of_them = [predict.oriented(images, number).tobytes() for number in range(predict.ORIENTATIONS)]
    assert len(set(all_of_them)) == 8
    turned = predict.oriented(predict.oriented(images, 5), 1)
    assert turned.tobytes() in all_of_them


def test_the_mean_of_all_orientations_has_no_preferred_direction(trained):
    model, _ = trained
    straight = predict.logits(model, VALIDATION.x, all_orientations=True)
    turned = predict.logits(model, predict.oriented(VALIDATION.x, 6), all_orientations=True)
    assert np.allclose(straight, turned, atol=1e-4)
    assert not np.allclose(predict.logits(model, VALIDATION.x), straight, atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_logit_does_not_depend_on_the_others(trained, count):
    model, _ = trained
    whole = predict.logits(model, VALIDATION.x, batch_size=8)
    assert np.array_equal(predict.logits(model, VALIDATION.x[:count], batch_size=8), whole[:count])


def test_images_of_another_size_are_refused(trained):
    with pytest.raises(UserError, match="32x32x3.*40x40x3"):
        predict.logits(trained[0], np.zeros((1, 40, 40, 3), np.float32))


def test_equal_networks_are_saved_as_equal_bytes_and_come_back(tmp_path, windnet):
    model = windnet
    store.save_model(tmp_path / "a.keras", model)
    copy = network("windnet")((32, 32, 3))
    copy.set_weights(model.get_weights())
    store.save_model(tmp_path / "b.keras", copy)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    back = store.load_model(tmp_path / "a.keras")
    assert store.weights_sha256(back) == store.weights_sha256(model)
    assert np.array_equal(predict.logits(back, VALIDATION.x), predict.logits(model, VALIDATION.x))


def test_a_saved_network_tells_no_time_and_no_address(tmp_path, windnet):
    store.save_model(tmp_path / "a.keras", windnet)
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert "date_saved" not in json.loads(archive.read("metadata.json"))
        assert b'"shared_object_id": 1' in archive.read("config.json")


@pytest.mark.parametrize("content", [b"", b"<html>", "half"])
def test_a_broken_network_is_said(tmp_path, windnet, content):
    path = tmp_path / "a.keras"
    store.save_model(path, windnet)
    path.write_bytes(path.read_bytes()[:5000] if content == "half" else content)
    with pytest.raises(UserError, match=r"a\.keras: cannot be read as a Keras network.*train it again"):
        store.load_model(path)


def test_code_hidden_in_a_network_is_not_run(tmp_path):
    import keras

    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image))
    model.save(tmp_path / "a.keras")
    with pytest.raises(UserError, match="cannot be read"):
        store.load_model(tmp_path / "a.keras")
