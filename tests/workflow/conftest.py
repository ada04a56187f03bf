"""One tiny run of the real workflow, shared by the tests that look at it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = "config/presets/tiny.yaml"
PARTS = ["Snakefile", "rules", "scripts", "envs", "config", "profiles", "resources", "report", "workflow", "docs"]


class Project:
    """A copy of the project in a temporary folder, and what one does with it."""

    def __init__(self, path: Path):
        self.path = path

    def snakemake(self, *arguments, configs=(), check=True, timeout=4000):
        """Run Snakemake with the tiny preset and `configs` on top; return what it printed."""
        done = subprocess.run(
            self.command(*arguments, configs=configs),
            cwd=self.path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        text = done.stdout + done.stderr
        assert not check or done.returncode == 0, text[-6000:]
        return text

    @staticmethod
    def command(*arguments, configs=()):
        return [sys.executable, "-m", "snakemake", *arguments, "--configfile", TINY, *map(str, configs)]

    def planned(self, *arguments, configs=()):
        """Return how many jobs of each rule a dry run would do, without `all`."""
        text = self.snakemake("-n", *arguments, configs=configs)
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[1].split("\n\n")[0]
        jobs = {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.M)}
        return {name: count for name, count in jobs.items() if name not in ("all", "total")}

    def copy(self, path: Path):
        shutil.copytree(self.path, path, copy_function=shutil.copy2)
        return Project(path)


def environment():
    """Return the environment of a run, in which Python keeps what it has compiled."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return given | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}


def fresh(path: Path) -> Project:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, path / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            path.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, path / part)
    return Project(path)


@pytest.fixture(scope="session")
def clean_project(tmp_path_factory):
    """Return a function that makes a copy of the project without results."""
    return lambda name: fresh(tmp_path_factory.mktemp(name) / "skyloom")


@pytest.fixture(scope="session")
def finished(clean_project):
    """The project after a whole tiny run with two cores."""
    project = clean_project("finished")
    project.output = project.snakemake("--cores", "2")
    return project
