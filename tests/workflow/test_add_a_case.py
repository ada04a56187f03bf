"""The page docs/add-a-case.md does what it says: its files and commands, as they stand there, give catalog rows."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT, environment

PAGE = (ROOT / "docs/add-a-case.md").read_text()
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.M | re.S)
FILES = {name: text for _, name, text in BLOCKS if name}
COMMANDS = [text for language, _, text in BLOCKS if language == "bash"]


def contents(folder: Path) -> dict[str, bytes]:
    made = ("results", "logs", ".snakemake", "__pycache__")
    paths = (path for path in folder.rglob("*") if path.is_file())
    relative = {str(path.relative_to(folder)): path for path in paths}
    return {name: path.read_bytes() for name, path in relative.items() if not any(part in name for part in made)}


def test_page_adds_a_case_that_runs(clean_project):
    assert sorted(FILES) == ["config/cases/spiral_galaxies.yaml", "scripts/skyloom/cases/spiral_galaxies.py"]
    assert len(COMMANDS) == 3
    folder = clean_project("add_a_case").path
    before = contents(folder)
    for name, text in FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env={**environment(), "PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-5000:]}"
    assert done.stdout.count("spiral_galaxies") == 3

    with open(folder / "results/catalog.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert {row["case"] for row in rows} == {"spiral_galaxies"}
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)
    after = contents(folder)
    assert set(after) - set(before) == set(FILES)
    assert {name: after[name] for name in before} == before


def test_module_of_the_page_is_formatted_and_lints(tmp_path):
    for name, text in FILES.items():
        if name.endswith(".py"):
            path = tmp_path / Path(name).name
            path.write_text(text)
            for command in (["check"], ["format", "--check"]):
                done = subprocess.run(
                    [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), str(path)],
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stdout + done.stderr
