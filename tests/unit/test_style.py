"""Format, lint and the promises about every rule and script."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
RULE_FILES = sorted((ROOT / "rules").glob("*.smk"))


def call(*command):
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("snakefmt", "--check", "Snakefile", "rules", "workflow/Snakefile"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_format_and_lint(command):
    done = call(*command)
    assert done.returncode == 0, done.stdout + done.stderr + "\nmend it with: make lint"


def test_snakemake_lint_finds_nothing():
    done = call("snakemake", "--lint")
    assert "Congratulations" in done.stdout + done.stderr, done.stdout + done.stderr


def rules():
    for path in RULE_FILES:
        for block in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            yield pytest.param(path.name, block, id=block.split(":")[0])


@pytest.mark.parametrize(("name", "block"), list(rules()))
def test_every_rule_is_complete(name, block):
    for directive in ("input", "output", "log", "benchmark", "threads", "resources", "conda", "shell"):
        assert re.search(rf"^    {directive}:", block, re.M), f"{name}: the rule has no {directive}"
    assert "mem_mb=" in block
    assert "runtime=" in block
    script = re.search(r'script="(scripts/\w+\.py)"', block)
    assert script, f"{name}: the script is not an input"
    assert f'library=library("{script[1]}")' in block
    assert (ROOT / script[1]).is_file()
    assert "> {log:q} 2>&1" in block


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself_quickly(path):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, path, "--help"], cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    heavy = {"tensorflow", "keras", "matplotlib", "astropy", "pandas", "scipy", "h5py", "skimage", "photutils"}
    top = {
        alias.name.split(".")[0]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert not top & heavy
    assert seconds < 10, "a machine under load is slow, but not this slow"


def tracked():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_tracked_file_is_large():
    assert [path.name for path in tracked() if path.stat().st_size > 1_000_000] == []


def test_nothing_is_pickled_or_evaluated():
    unsafe = re.compile(r"allow_pickle\s*=\s*True|import pickle|pickle\.load|safe_mode\s*=\s*False|shell\s*=\s*True")
    bad = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in (".py", ".smk") and "tests" not in path.parts and unsafe.search(path.read_text())
    ]
    assert bad == []


def test_no_path_of_a_machine_stands_in_the_project():
    pattern = re.compile("|".join(["/" + "work" + "/", "/" + "root" + "/", "pypi" + r"\.org", "python" + "hosted"]))
    bad = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix not in (".png", ".fits", ".npz") and pattern.search(path.read_text(errors="ignore"))
    ]
    assert bad == []
