import re

import numpy as np
import pytest
from cube_fixtures import BEAM, CASE, LONELY, SEARCH, networks, simulate, step, units_of

from skyloom.errors import UserError
from skyloom.files import read_table


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Two cubes with a lonely source each, without their truth, and what that says."""
    cubes, path = simulate(tmp_path_factory.mktemp("shard"), sky=LONELY)
    truth = read_table(path)
    path.unlink()
    return cubes, truth


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    return networks(tmp_path_factory.mktemp("networks"))[0].partition("=")[2]


def detect(shard, output, peer="photutils", models=None):
    if models:
        step("detect_with_decoras", case=CASE, settings=SEARCH, models=models, cubes=shard[0], output=output)
    else:
        step("detect_with_peer", peer=peer, cubes=shard[0], output=output)
    return read_table(output)


@pytest.mark.parametrize("peer", ["photutils", "matched_filter_3d", "pybdsf", "decoras"])
def test_the_source_of_each_cube_is_found_and_the_seconds_are_counted(tmp_path, shard, autoencoder, peer):
    table = detect(shard, tmp_path / "found.ecsv", peer, [autoencoder] * 2 if peer == "decoras" else None)
    assert (table.meta["cubes"], table.meta["beam_fwhm"]) == (2, pytest.approx(BEAM, abs=0.1))
    assert table.meta["seconds_per_cube"] > 0
    assert units_of(table)["x"] == "pix"
    for row in shard[1]:
        mine = table[np.asarray(table["cube"]) == row["cube"]]
        best = mine[int(np.argmax(mine["score"]))]
        # The maps' cells are two pixels wide.
        assert np.hypot(best["x"] - row["x"], best["y"] - row["y"]) < (1.5 if peer == "decoras" else 1)


def test_maps_that_disagree_show_decoras_nothing(tmp_path, shard, autoencoder):
    from skyloom.learn import store

    model = store.load_model(autoencoder)
    model.set_weights([0 * weight for weight in model.get_weights()])
    store.save_model(tmp_path / "flat.keras", model)
    assert len(detect(shard, tmp_path / "found.ecsv", models=[autoencoder, tmp_path / "flat.keras"])) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peer": "phototils"}, "--peer: there is no `phototils`; there are photutils, "),
        ({"models": ["no.keras", "no.keras"]}, "no.keras: no such file"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, shard, change, message):
    with pytest.raises(UserError, match=re.escape(message)):
        detect(shard, tmp_path / "found.ecsv", **change)
    assert list(tmp_path.iterdir()) == []
