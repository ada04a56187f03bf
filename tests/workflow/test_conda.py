"""The workflow on one core, and with one environment a step where packages are to be had.

The results are those of two cores and of the project's environment, and a package that a step's file lacks shows here.
Two cases run from the query to the plots; of the others, which share most steps, the networks and what is their own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyloom.learn.variants import VARIANTS

from .conftest import ROOT, TINY, environment

SERVICE = ROOT / "tests/services/conda"
# A network that leads to Zenodo or VizieR is not to be had in a test.
STEPS = sorted({path.stem for path in (ROOT / "envs").glob("*.yaml")} - {"fetch_irfs", "fetch_clusters"})
RESULTS = "results/tiny"
WHOLE = ("disk_winds", "cherenkov")
FIRST_NETWORKS = {"alma_cubes": "blobs", "fermi_sources": "sources", "diffuse_radio": "diffuse"}
CASE = f"{RESULTS}/disk_winds"
# `all` leaves these out.
STUDIES = [
    f"{CASE}/plots/tuning.png",
    f"{CASE}/ablation/everything.json",
    "docs/measured/disk_winds.md",
    f"{RESULTS}/resources.csv",
    f"{RESULTS}/alma_cubes/peers.csv",
    f"{RESULTS}/cherenkov/peers.csv",
    f"{RESULTS}/cherenkov/embedded/stacks/manifest.ecsv",
    f"{RESULTS}/cherenkov/models/cleaner.tflite",
    f"{RESULTS}/fermi_sources/peers.csv",
    f"{RESULTS}/diffuse_radio/peers.csv",
    f"{RESULTS}/diffuse_radio/fine_tuning.csv",
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
    given = environment() | {"PATH": path, "UV": str(uv)}
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=timeout, check=False)


def test_other_cases_on_one_core_are_the_same(finished, tmp_path):
    project = finished.copy(tmp_path / "one_core")
    folder = project.path / RESULTS
    made = [folder / case / f"models/{name}_0.keras" for case, name in FIRST_NETWORKS.items()]
    made += [folder / case / "detections/test_000.ecsv" for case in FIRST_NETWORKS]
    before = [path.read_bytes() for path in made]
    for path in made:
        path.unlink()
    targets = [str(path.relative_to(project.path)) for path in made]
    project.snakemake(*targets, "--cores", "1", "--allowed-rules", "train", "detect_simulated")
    assert [path.read_bytes() for path in made] == before


@pytest.mark.slow
def test_one_core_and_an_environment_for_each_step_give_the_same_catalogs(finished, clean_project, tmp_path):
    uv, missing = packages(tmp_path)
    project = clean_project("conda")
    command = [sys.executable, "-m", "snakemake", "--configfile", TINY, "--rerun-triggers", "mtime", "input", "params"]
    if not missing:
        command += ["--sdm", "conda", "--conda-prefix", str(tmp_path / "environments")]
    done = called_in(project.path, uv, *command, "--cores", "1", "--config", f"run={{cases: [{', '.join(WHOLE)}]}}")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    for case in WHOLE:
        for name in ("csv", "ecsv", "vot", "fits", "reg", "moc.fits"):
            one, two = (run.path / f"{RESULTS}/{case}/catalog.{name}" for run in (project, finished))
            assert one.read_bytes() == two.read_bytes(), (case, name)
    if missing:
        pytest.skip(f"steps without an environment of their own: {missing}")

    studies = finished.copy(tmp_path / "studies")
    for path in (studies.path / "logs/tiny").rglob("*.log"):
        path.unlink()
    for case in FIRST_NETWORKS:
        for path in (studies.path / RESULTS / case).glob("simulated/test_000.*"):
            path.unlink()
        (studies.path / RESULTS / case / "embedded/sources/chunk_000.objects.ecsv").unlink()
    command += ["--cores", "2"]
    done = called_in(studies.path, uv, *command, "--", *STUDIES, "all")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert (studies.path / f"{RESULTS}/catalog.csv").read_bytes() == (
        finished.path / f"{RESULTS}/catalog.csv"
    ).read_bytes()
    # One part of the ablation stands for all of them: their trainings differ in a setting only.
    for variant in VARIANTS:
        if variant != "everything":
            shutil.copy(studies.path / STUDIES[1], studies.path / f"{CASE}/ablation/{variant}.json")
    done = called_in(studies.path, uv, *command, "--", f"{CASE}/plots/ablation.png")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    # Known sources stand in the catalog, too, so that they come last.
    known = tmp_path / "known.csv"
    known.write_text("name,ra,dec,flux\nA,120.0,45.0,1e-9\nB,305.0,40.0,2e-9\n")
    reference = f"cases={{fermi_sources: {{reference: {{file: {known}, flux: flux}}}}}}"
    done = called_in(studies.path, uv, *command, "--config", reference, "--", f"{RESULTS}/fermi_sources/reference.csv")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    names = {path.name for run in (project, studies) for path in (run.path / "logs/tiny").rglob("*.log")}
    assert [step for step in STEPS if not any(name.startswith(step) for name in names)] == []
    made = {path.stem for path in (tmp_path / "environments").glob("*.yaml")}
    contents = {(ROOT / f"envs/{step}.yaml").read_text() for step in STEPS}
    assert len(made) >= len(contents)
