import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from patch_fixtures import patch_tables

ROOT = Path(__file__).parents[2]
SMALL = {"test": 1, "validation": 2, "shards": 1, "other_tracer": 1}


def run(script, *arguments):
    command = [sys.executable, ROOT / f"scripts/{script}.py", "--case", "fermi_sources", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)


def simulated(folder, split):
    done = run(
        *("simulate", "--settings", json.dumps(SMALL), "--split", split, "--shard", 0),
        *("--output", folder / f"{split}.h5", "--truth", folder / f"{split}.ecsv"),
    )
    assert done.returncode == 0, done.stderr
    return folder / f"{split}.h5"


def test_a_shard_is_searched_but_for_what_the_other_tracer_shows(tmp_path):
    patches = simulated(tmp_path, "validation")
    arguments = "--settings", json.dumps(SMALL), "--patches", patches, "--output", tmp_path / "found.ecsv"
    done = run("detect_with_ts_map", *arguments, "--estimator", "ts_map_other_tracer")
    assert done.returncode == 0, done.stderr
    found = Table.read(tmp_path / "found.ecsv")
    assert found.meta["cubes"] == 1 and found.meta["pixel"] == 0.1 and set(found["cube"]) == {0}
    truth = Table.read(tmp_path / "validation.ecsv")
    brightest = truth[truth["tracer"] == 0][np.argmax(truth["flux"][truth["tracer"] == 0])]
    assert np.hypot(found["x"] - brightest["x"], found["y"] - brightest["y"]).min() < 3
    done = run("detect_with_ts_map", *arguments, "--estimator", "other")
    assert done.returncode == 1 and "there is no `other`" in done.stderr


@pytest.fixture
def tables(tmp_path):
    """Tables of a chain, and of a peer that is alike but says fluxes that are too high by a fifth."""
    for split, seed, other in (("validation", 0, (0.15, 0.08)), ("test", 1, None)):
        truth, found = patch_tables(120, seed, other=other)
        truth.write(tmp_path / f"{split}_truth.ecsv")
        found.write(tmp_path / f"{split}_chain.ecsv")
        peer = found[np.asarray(found["cube"]) < 120]
        peer["flux"] *= 1.2
        peer.meta = {"cubes": 120, "pixel": found.meta["pixel"], "seconds_per_patch": 4.5}
        peer.write(tmp_path / f"{split}_peer.ecsv")
    Table({"stage": ["map", "all"], "seconds": [0.1, 0.25]}).write(tmp_path / "times.csv")
    return tmp_path


def test_a_chain_and_a_peer_stand_side_by_side(tables):
    arguments = ["--names", "chain", "ts_map", "--shards", 1, 1, "--times", tables / "times.csv"]
    for split in ("validation", "test"):
        arguments += [f"--{split}", tables / f"{split}_chain.ecsv", tables / f"{split}_peer.ecsv"]
        arguments += [f"--{split}-truths", tables / f"{split}_truth.ecsv"]
    arguments += ["--table", tables / "peers.csv", "--text", tables / "peers.md"]
    arguments += ["--by-flux", tables / "peers_flux.md", "--figure", tables / "peers.png"]
    done = run("compare_ts_maps", *arguments)
    assert done.returncode == 0, done.stderr
    rows = Table.read(tables / "peers.csv")
    whole = {name: rows[(rows["name"] == name) & (rows["region"] == "all")][0] for name in ("chain", "ts_map")}
    assert whole["chain"]["completeness"] > 0.5 and whole["chain"]["purity"] > 0.9
    assert whole["ts_map"]["ratio"] == pytest.approx(1.2, abs=0.08)
    assert whole["chain"]["ratio"] == pytest.approx(1.0, abs=0.06)
    assert whole["ts_map"]["seconds"] == 4.5 and whole["chain"]["seconds"] == 0.25
    text = (tables / "peers.md").read_text()
    assert "| all | ts_map | 120 |" in text and "| below 20 deg | chain |" in text
    assert "by the flux [ph/cm2/s], all latitudes" in (tables / "peers_flux.md").read_text()
    assert (tables / "peers.png").stat().st_size > 10_000
    done = run("compare_ts_maps", *arguments, "--shards", 1, 2)
    assert done.returncode == 1 and "give every file once" in done.stderr


def test_a_peer_with_fewer_patches_stands_beside_the_chain_on_the_same_ones(tables):
    for split in ("validation", "test"):
        for name in ("truth", "chain"):
            whole = Table.read(tables / f"{split}_{name}.ecsv")
            for shard in (0, 1):
                part = whole[np.asarray(whole["cube"]) % 2 == shard]
                if name == "chain":
                    part.meta = {**part.meta, "cubes": part.meta["cubes"] // 2}
                part.write(tables / f"{split}_{name}_{shard}.ecsv")
    arguments = ["--names", "chain", "ts_map", "--shards", 2, 1, "--times", tables / "times.csv"]
    for split in ("validation", "test"):
        chain = [tables / f"{split}_chain_{shard}.ecsv" for shard in (0, 1)]
        arguments += [f"--{split}", *chain, tables / f"{split}_peer.ecsv"]
        arguments += [f"--{split}-truths", *(tables / f"{split}_truth_{shard}.ecsv" for shard in (0, 1))]
    arguments += ["--table", tables / "peers.csv", "--text", tables / "peers.md"]
    arguments += ["--by-flux", tables / "peers_flux.md", "--figure", tables / "peers.png"]
    done = run("compare_ts_maps", *arguments)
    assert done.returncode == 0, done.stderr
    rows = Table.read(tables / "peers.csv")
    whole = {row["name"]: row for row in rows if row["region"] == "all"}
    assert whole["chain, same patches"]["patches"] == whole["chain"]["patches"] // 2
    assert abs(whole["chain, same patches"]["completeness"] - whole["chain"]["completeness"]) < 0.1
