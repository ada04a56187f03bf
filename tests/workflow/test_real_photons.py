"""Real photon lists through the workflow with `service: local`: the Crab is found in each run and in their stack."""

import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from .conftest import ROOT

GAMMA = ROOT.parent / "shared/data/cherenkov"


@pytest.fixture(scope="module")
def gamma_rows(clean_project, tmp_path_factory):
    """Return the catalog of four real runs, searched by small networks trained with their own response."""
    if not GAMMA.is_dir():
        pytest.skip(f"the real photon lists are not here: {GAMMA} is absent")
    project = clean_project("hess")
    known = {"file": str(GAMMA / "gammacat.fits.gz"), "name": "common_name"}
    side = {"side": 160}
    simulate = {"shards": 1, "train": 60, "validation": 60, "test": 10, "published": 4}
    small = {
        "simulate": simulate | {"observation": side, "sky": {"offset": [0.0, 1.8]}},
        "examples": {"maps": 160},
        "search": side,
        "models": {"cleaner": {"epochs": 4, "batch_size": 8}, "position": {"epochs": 8}},
    }
    settings = {
        "archive": {"local": {"folder": str(GAMMA / "hess-dl3-dr1/data")}},
        "cases": {"cherenkov": {"reference": known, **small}},
    }
    extra = tmp_path_factory.mktemp("hess") / "small.yaml"
    extra.write_text(json.dumps(settings))
    configs = ["config/presets/hess.yaml", extra]
    project.snakemake("results/hess/catalog.csv", "--cores", "2", configs=configs)
    return Table.read(project.path / "results/hess/catalog.ecsv")


def test_the_crab_is_found_in_every_run_and_in_their_stack(gamma_rows):
    crab = SkyCoord(83.633, 22.0145, unit="deg")
    names = sorted(path.name for path in (GAMMA / "hess-dl3-dr1/data").glob("*.fits.gz"))
    stacks = {str(row["source_file"]) for row in gamma_rows if row["lists"] > 1}
    assert len(stacks) == 1 and set(gamma_rows["lists"]) == {1, len(names)}
    for name in [*names, *stacks]:
        mine = gamma_rows[[str(file) == name for file in gamma_rows["source_file"]]]
        best = mine[int(np.argmax(mine["snr"]))]
        assert SkyCoord(best["ra"], best["dec"], unit="deg").separation(crab).deg < 0.05, name
        assert best["candidate"] and best["probability"] > 0.9 and not best["simulated"]
        assert best["reference_name"] == "Crab nebula" and best["reference_distance"] < 180
        assert best["radius95"] > best["radius68"] > 0
    stacked = gamma_rows[[str(file) in stacks for file in gamma_rows["source_file"]]]
    assert all(all(name in str(row["parts"]) for name in names) for row in stacked)
    assert not any(str(row["parts"]) not in ("", "--") for row in gamma_rows if row["lists"] == 1)
