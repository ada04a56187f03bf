"""The whole tiny workflow once more, on one core, and with one environment a step where packages are to be had.

The catalog is that of two cores and of the project's environment, and a package that a step's file lacks shows here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyloom.learn.variants import VARIANTS

from .conftest import ROOT, TINY

SERVICE = ROOT / "tests/services/conda"
# A network that leads to Zenodo or VizieR is not to be had in a test.
STEPS = sorted({path.stem for path in (ROOT / "envs").glob("*.yaml")} - {"fetch_irfs", "fetch_clusters"})
CASE = "results/tiny/disk_winds"
# `all` leaves these out.
STUDIES = [
    f"{CASE}/plots/tuning.png",
    f"{CASE}/ablation/everything.json",
    "docs/measured/disk_winds.md",
    "results/tiny/resources.csv",
    "results/tiny/alma_cubes/peers.csv",
    "results/tiny/cherenkov/peers.csv",
    "results/tiny/cherenkov/embedded/stacks/manifest.ecsv",
    "results/tiny/cherenkov/models/cleaner.tflite",
    "results/tiny/fermi_sources/peers.csv",
    "results/tiny/diffuse_radio/peers.csv",
    "results/tiny/diffuse_radio/fine_tuning.csv",
]


def packages(folder: Path) -> tuple[Path, str]:
    """Return the path of uv, and why packages cannot be had with it, or nothing."""
    beside = Path(sys.executable).with_name("uv")
    uv = beside if beside.is_file() else Path(shutil.which("uv") or "")
    if not uv.name:
        return uv, "uv is not installed"
    made = called_in(folder, uv, str(uv), "venv", "--quiet", "--no-project", "--python", sys.executable, "tried")
    assert made.returncode == 0, made.stderr
    tried = called_in(folder, uv, str(uv), "pip", "install", "--quiet", "--python", "tried/bin/python", "pip")
    return uv, f"no packages can be had: {tried.stderr.strip().splitlines()[-1]}" if tried.returncode else ""


def called_in(folder: Path, uv: Path, *command: str, timeout: int = 4500) -> subprocess.CompletedProcess:
    """Run a command with the stand-in for conda, and this Python, first on the path."""
    path = os.pathsep.join([str(SERVICE / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "UV": str(uv), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.slow
def test_one_core_and_an_environment_for_each_step_give_the_same_catalog(finished, clean_project, tmp_path):
    uv, missing = packages(tmp_path)
    project = clean_project("conda")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", TINY]
    if not missing:
        command += ["--sdm", "conda", "--conda-prefix", str(tmp_path / "environments")]
    done = called_in(project.path, uv, *command, "--", "results/tiny/catalog.csv")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    for name in ("csv", "ecsv", "vot", "fits", "reg", "moc.fits"):
        one, two = (run.path / f"results/tiny/catalog.{name}" for run in (project, finished))
        assert one.read_bytes() == two.read_bytes(), name
    if missing:
        pytest.skip(f"steps without an environment of their own: {missing}")

    command[command.index("--cores") + 1] = "2"
    done = called_in(project.path, uv, *command, "--", *STUDIES, "all")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    # One part of the ablation stands for all of them: their trainings differ in a setting only.
    for variant in VARIANTS:
        if variant != "everything":
            shutil.copy(project.path / STUDIES[1], project.path / f"{CASE}/ablation/{variant}.json")
    done = called_in(project.path, uv, *command, "--", f"{CASE}/plots/ablation.png")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    # Known sources stand in the catalog, too, so that they come last.
    known = tmp_path / "known.csv"
    known.write_text("name,ra,dec,flux\nA,120.0,45.0,1e-9\nB,305.0,40.0,2e-9\n")
    reference = f"cases={{fermi_sources: {{reference: {{file: {known}, flux: flux}}}}}}"
    target = "results/tiny/fermi_sources/reference.csv"
    done = called_in(project.path, uv, *command, "--config", reference, "--", target)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    logs = [path.name for path in (project.path / "logs/tiny").rglob("*.log")]
    assert [step for step in STEPS if not any(name.startswith(step) for name in logs)] == []
    made = {path.stem for path in (tmp_path / "environments").glob("*.yaml")}
    contents = {(ROOT / f"envs/{step}.yaml").read_text() for step in STEPS}
    assert len(made) >= len(contents)
