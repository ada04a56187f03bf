"""The workflow on one core, and with one environment a step where packages are to be had.

The results are those of two cores and of the project's environment, and a package that a step's file lacks shows here.
`make test-envs` runs every step in its environment; `make test` those of one case from the query to the plots.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, TINY, environment
from .test_studies import ABLATION, QUICK, SLOW, ablation_of_one_part
from .test_workflow import RESULTS

SERVICE = ROOT / "tests/services/conda"
# A network that leads to Zenodo or VizieR is not to be had in a test.
STEPS = sorted({path.stem for path in (ROOT / "envs").glob("*.yaml")} - {"fetch_irfs", "fetch_clusters"})
FIRST_NETWORKS = {"alma_cubes": "blobs", "cherenkov": "cleaner", "fermi_sources": "sources", "diffuse_radio": "diffuse"}


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


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the workflow with environments, and why these cannot be had, or nothing."""
    uv, missing = packages(tmp_path)
    command = [sys.executable, "-m", "snakemake", "--configfile", TINY, "--rerun-triggers", "mtime", "input", "params"]
    if not missing:
        command += ["--sdm", "conda", "--conda-prefix", str(tmp_path / "environments")]

    def run(project, *arguments):
        done = called_in(project.path, uv, *command, *arguments)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    return run, missing


def unlike(case, one, two):
    """Return the forms of a case's catalog that two runs do not have byte by byte in common."""
    names = [f"{RESULTS}/{case}/catalog.{form}" for form in ("csv", "ecsv", "vot", "fits", "reg", "moc.fits")]
    return [name for name in names if (one.path / name).read_bytes() != (two.path / name).read_bytes()]


@pytest.mark.slow
def test_a_case_on_one_core_and_with_environments_gives_the_same_catalog(finished, clean_project, run):
    run, missing = run
    project = clean_project("conda")
    run(project, "--cores", "1", "--config", "run={cases: [disk_winds]}")
    assert unlike("disk_winds", project, finished) == []
    if missing:
        pytest.skip(f"steps without an environment of their own: {missing}")


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
@pytest.mark.environments
def test_every_step_runs_in_its_environment(finished, clean_project, tmp_path, run):
    run, missing = run
    assert not missing, missing
    whole = clean_project("whole")
    run(whole, "--cores", "1", "--config", "run={cases: [disk_winds, cherenkov]}")
    for case in ("disk_winds", "cherenkov"):
        assert unlike(case, whole, finished) == []

    # Of the others, all that follows from the test's simulations, and the search of a chunk.
    rest = finished.copy(tmp_path / "rest")
    for path in (rest.path / "logs/tiny").rglob("*.log"):
        path.unlink()
    for case in ("alma_cubes", "fermi_sources", "diffuse_radio"):
        for path in (rest.path / RESULTS / case).glob("simulated/test_000.*"):
            path.unlink()
        (rest.path / RESULTS / case / "embedded/sources/chunk_000.objects.ecsv").unlink()
    run(rest, "--cores", "2", "--", *QUICK, *SLOW, "all")
    assert unlike(".", rest, finished) == []
    ablation_of_one_part(rest)
    run(rest, "--cores", "2", "--", ABLATION)
    # Known sources stand in the catalog, too, so that they come last.
    known = tmp_path / "known.csv"
    known.write_text("name,ra,dec,flux\nA,120.0,45.0,1e-9\nB,305.0,40.0,2e-9\n")
    reference = f"cases={{fermi_sources: {{reference: {{file: {known}, flux: flux}}}}}}"
    run(rest, "--cores", "2", "--config", reference, "--", f"{RESULTS}/fermi_sources/reference.csv")

    names = {path.name for project in (whole, rest) for path in (project.path / "logs/tiny").rglob("*.log")}
    assert [step for step in STEPS if not any(name.startswith(step) for name in names)] == []
    made = {path.stem for path in (tmp_path / "environments").glob("*.yaml")}
    contents = {(ROOT / f"envs/{step}.yaml").read_text() for step in STEPS}
    assert len(made) >= len(contents)
