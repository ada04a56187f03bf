"""The import closure: which library files a job depends on."""

import textwrap
from pathlib import Path

import pytest

from skyloom.workflow import closure as workflow_closure
from skyloom.workflow.closure import closure

ROOT = Path(__file__).resolve().parents[2]
SEARCHING = (
    *("simulate", "make_examples", "detect_simulated", "calibrate_detections", "score_detections", "search"),
    "simulate_cube_archive",
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write a small project with two cases and go there."""
    files = {
        "scripts/skyloom/__init__.py": "",
        "scripts/skyloom/files.py": "",
        "scripts/skyloom/config/__init__.py": "",
        "scripts/skyloom/config/load.py": "from ..files import x",
        "scripts/skyloom/cli.py": "def settings():\n    from .config.load import y",
        "scripts/skyloom/sky/__init__.py": "",
        "scripts/skyloom/sky/discs.py": "from ..files import x",
        "scripts/skyloom/sky/jets.py": "",
        "scripts/skyloom/nets/__init__.py": "",
        "scripts/skyloom/nets/small.py": "import numpy",
        "scripts/skyloom/cases/__init__.py": "def hook(case, name): ...",
        "scripts/skyloom/cases/one.py": """
            from skyloom.config.schema import CaseSettings

            def draw(rng):
                return helper(rng)

            def helper(rng):
                from skyloom.sky import discs

            def network():
                from skyloom.nets.small import build
            """,
        "scripts/skyloom/cases/two.py": "def draw(rng):\n    from ..sky import jets",
        "scripts/simulate.py": """
            from skyloom.cli import settings

            def main():
                from skyloom.cases import hook
                hook(args.case, "draw")(rng)
            """,
        "scripts/train.py": "def main():\n    from skyloom.nets import small",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    forget()
    yield
    forget()


def forget():
    """Empty the caches, whose paths are relative and mean another project in another folder."""
    for function in (workflow_closure._tree, workflow_closure._hooks, workflow_closure._imports):
        function.cache_clear()


def rooms(paths):
    return {path.removeprefix("scripts/skyloom/") for path in paths if not path.endswith("__init__.py")}


def test_follows_the_hooks_of_its_own_case(project):
    assert rooms(closure("scripts/simulate.py", "one")) == {"cli.py", "cases/one.py", "sky/discs.py", "files.py"}
    assert rooms(closure("scripts/simulate.py", "two")) == {"cli.py", "cases/two.py", "sky/jets.py"}


def test_without_a_case_no_case_is_followed(project):
    assert rooms(closure("scripts/simulate.py")) == {"cli.py"}


def test_a_script_without_hooks_does_not_depend_on_the_case(project):
    assert closure("scripts/train.py", "one") == closure("scripts/train.py", "two")
    assert rooms(closure("scripts/train.py", "one")) == {"nets/small.py"}


def test_configuration_is_left_to_the_settings(project):
    assert not any("config" in path for path in closure("scripts/simulate.py", "one"))


def test_packages_on_the_way_are_included(project):
    assert "scripts/skyloom/nets/__init__.py" in closure("scripts/train.py")


def test_paths_are_relative_and_sorted(project):
    paths = closure("scripts/simulate.py", "one")
    assert paths == sorted(paths)
    assert all(path.startswith("scripts/") for path in paths)


def test_the_acknowledgement_does_not_depend_on_how_files_came():
    paths = rooms(closure(str(ROOT / "scripts/acknowledge.py")))
    names = {Path(path).name for path in paths if "/archive/" in path}
    assert names == {"acknowledge.py", "manifest.py"}


@pytest.mark.parametrize("step", SEARCHING)
def test_what_is_right_for_cubes_only_is_left_to_the_case(step):
    script = str(ROOT / f"scripts/{step}.py")
    without, cubes = (set(closure(script, case)) for case in (None, "alma_cubes"))
    added = {str(Path(path).relative_to(ROOT / "scripts/skyloom")) for path in cubes - without}
    own = {path for path in added if "cube" in path or path.startswith(("detect/", "sky/"))}
    assert "cases/alma_cubes.py" in own and len(own) > 1
    assert not any("cube" in path or "/detect/" in path for path in without)
