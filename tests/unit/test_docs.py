"""The pages tell of things that are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "config/README.md"])
OURS = r"`((?:config|docs|envs|images|profiles|report|requirements|resources|rules|scripts|tests|workflow)/[\w./-]+)`"
# Files that docs/add-a-case.md has its reader make.
MADE = {"scripts/skyloom/cases/spiral_galaxies.py", "config/cases/spiral_galaxies.yaml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [path for path in re.findall(OURS, text) if path not in MADE and not (ROOT / path).exists()]
    assert missing == []


def test_every_setting_that_the_table_of_reruns_names_exists():
    from skyloom.config.schema import CaseSettings, Config
    from skyloom.config.words import Words

    page = (ROOT / "docs/reruns.md").read_text()
    named = re.findall(r"^\| (`[a-z_]+[.`].*?) \|", page, re.M)
    keys = [key.removesuffix(".*") for cell in named for key in re.findall(r"`([a-z_.<>*]+)`", cell)]
    assert len(keys) > 10
    unknown = [
        key for key in keys if all(Words(model).node(tuple(key.split("."))) is None for model in (Config, CaseSettings))
    ]
    assert unknown == []


def test_every_room_is_in_the_tour():
    page = (ROOT / "docs/architecture.md").read_text()
    folders = (ROOT / "scripts/skyloom").glob("*/__init__.py")
    assert [path.parent.name for path in folders if f"`{path.parent.name}`" not in page] == []


def test_every_function_that_a_case_is_asked_for_is_told():
    page = (ROOT / "docs/add-a-case.md").read_text()
    files = [*(ROOT / "scripts").glob("*.py"), *(ROOT / "rules").glob("*.smk")]
    asked = {name for path in files for name in re.findall(r'\bhook\([\w.]+, "(\w+)"\)', path.read_text())}
    assert len(asked) > 20 and [name for name in sorted(asked) if f"`{name}`" not in page] == []


def test_version_is_the_same_everywhere():
    from skyloom import __version__

    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_snakemake_catalog_entry_says_what_the_workflow_can_do():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": True}
    assert usage["report"] is True
    assert (ROOT / "workflow/Snakefile").read_text().split() == [
        "include:", '"../Snakefile"', "workflow.default_target", "=", '"all"',
    ]  # fmt: skip


def test_entry_of_the_snakemake_catalog_plans_the_same_jobs():
    plans = []
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        command = [sys.executable, "-m", "snakemake", "-s", snakefile, "--dry-run", "--forceall"]
        done = subprocess.run([*command, "--cores", "1"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        plans.append(sorted(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M)))
    assert plans[0] == plans[1]
    assert ("merge_catalogs", "1") in plans[0]
