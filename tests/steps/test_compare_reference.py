import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from mocpy import MOC

ROOT = Path(__file__).parents[2]


def compared(folder, **reference):
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    flux = 1e-10 + 1e-10 * rng.pareto(1.3, 300)
    Table({"Source": [f"K{n}" for n in range(300)], "ra": ra, "dec": dec, "S": flux}).write(folder / "known.fits")
    found = flux > 2e-10
    catalog = Table(
        {"ra": ra[found], "dec": dec[found], "photon_flux": flux[found], "probability": np.full(found.sum(), 0.9)}
    )
    catalog["candidate"] = True
    catalog["flags"] = ["duplicate" if number == 0 else "" for number in range(len(catalog))]
    catalog.write(folder / "catalog.ecsv")
    MOC.from_string("0/0-11", "ascii").save(folder / "moc.fits", format="fits")
    command = [sys.executable, ROOT / "scripts/compare_reference.py", "--case", "cherenkov"]
    command += ["--settings", json.dumps({"file": str(folder / "known.fits"), "name": "Source", **reference})]
    command += ["--catalog", folder / "catalog.ecsv", "--moc", folder / "moc.fits", "--table", folder / "reference.csv"]
    command += ["--text", folder / "reference.md", "--figure", folder / "reference.png"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
    return done, found.sum()


def test_a_catalog_is_compared_with_known_sources(tmp_path):
    done, count = compared(tmp_path, flux="S", radius="0.2 deg")
    assert done.returncode == 0, done.stderr
    rows = Table.read(tmp_path / "reference.csv")
    assert rows["hit"][0] == count - 1 and rows["known"][0] == 300
    assert (tmp_path / "reference.png").stat().st_size > 10_000
    assert "All" not in done.stdout and f"all: {count - 1} of 300 known sources found" in done.stdout


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ({"file": None}, "reference.file` is null"),
        ({"flux": "flux"}, "no column `flux`"),
        ({"flux": "Source"}, "numbers"),
    ],
)
def test_what_is_missing_is_told_in_one_sentence(tmp_path, reference, reason):
    done, _ = compared(tmp_path, **reference)
    assert done.returncode == 1 and reason in done.stderr and len(done.stderr.strip().splitlines()) == 1
