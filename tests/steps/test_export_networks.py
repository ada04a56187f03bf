import json

import numpy as np
import pytest
from live_fixtures import SEARCH, SIDE, chain

from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)

from skyloom.images import map_store  # noqa: E402
from skyloom.images.counts import CountsMap  # noqa: E402
from skyloom.learn import runtimes  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a chain, with observations in its folder."""
    made, rng = chain(tmp_path_factory.mktemp("chain"), litert=False), np.random.default_rng(1)
    counts = rng.poisson(2.0, (3, SIDE, SIDE)).astype(np.uint16)
    maps = [(number, CountsMap(one, 0.025, np.zeros_like(one))) for number, one in enumerate(counts)]
    map_store.write(made.folder / "maps.h5", maps, {"split": "validation"})
    map_store.write(made.folder / "empty.h5", [], {"split": "validation"})
    return made


def export(made, role, output, observations="maps.h5"):
    import export_networks

    words = ["--case", "cherenkov", "--settings", json.dumps(SEARCH), "--role", role, "--output", str(output)]
    words += ["--models", *(f"{name}={made.folder / name}.keras" for name in made.networks)]
    export_networks.main([*words, "--observations", str(made.folder / observations)])


@pytest.mark.parametrize("role", ["map", "position"])
def test_a_network_is_exported_and_compared(tmp_path, capsys, made, role):
    export(made, role, tmp_path / "a.tflite")
    assert "differs from Keras by" in capsys.readouterr().out
    runner = runtimes.read_litert(tmp_path / "a.tflite", 1)
    assert runner.source == made.calibration["models_sha256"][role]
    images = np.random.default_rng(2).poisson(2.0, (2, *made.shapes[role])).astype(np.float32)
    wanted = made.networks[role].predict_on_batch(images)
    assert np.abs(runner.outputs(images) - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_network_that_differs_is_not_written(tmp_path, monkeypatch, made):
    monkeypatch.setattr(runtimes, "difference", lambda *given: float("nan"))
    with pytest.raises(UserError, match=r"position\.keras: LiteRT differs from Keras by nan"):
        export(made, "position", tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_said(tmp_path, made):
    with pytest.raises(UserError, match="no network has the role `flux`"):
        export(made, "flux", tmp_path / "a.tflite")
    with pytest.raises(UserError, match=r"empty\.h5: has nothing for the network `map`"):
        export(made, "map", tmp_path / "a.tflite", "empty.h5")
