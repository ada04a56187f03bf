"""The conda environments: one for each step, with the pinned packages that its code imports and no others."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from skyloom.workflow import closure as workflow_closure

ROOT = Path(__file__).resolve().parents[2]
ENVS = {path.stem: path for path in sorted((ROOT / "envs").glob("*.yaml"))}
CASES = [path.stem for path in sorted((ROOT / "scripts/skyloom/cases").glob("[a-z]*.py"))]
# Names of modules where conda-forge calls the package otherwise.
PACKAGES = {
    "PIL": "pillow",
    "astropy_healpix": "astropy-healpix",
    "matplotlib": "matplotlib-base",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "spectral_cube": "spectral-cube",
    "tensorflow": "tensorflow-cpu",
    "yaml": "pyyaml",
}
ON_PYPI = {"matplotlib-base": "matplotlib"}
# Imported by the code of many steps, but only if the user has chosen it in place of TensorFlow.
OTHER_BACKENDS = {"jax", "torch"}
# What ALminer needs of its own; it is installed without its pins, which contradict those of the other packages.
ALMINER = {"alminer": {"matplotlib-base", "pandas", "pip"}}

# What astropy does with scipy, which it imports when called.
WITH_SCIPY = {
    "FlatLambdaCDM",
    "binom_conf_interval",
    "match_to_catalog_3d",
    "match_to_catalog_sky",
    "poisson_conf_interval",
    "search_around_3d",
    "search_around_sky",
}

# gammapy takes a private part of regions that its newer versions do not have, and does not say so.
BESIDE = {"gammapy": {"regions"}}


def rules():
    """Yield the script and the environment of every rule."""
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            script = re.search(r'script="scripts/(\w+)\.py"', block)
            environment = re.search(r'conda:\s*"\.\./envs/(\w+)\.yaml"', block)
            yield script[1], environment[1]


STEPS = sorted({script for script, _ in rules()})


def dependencies(environment: str) -> dict[str, str]:
    """Return the packages of an environment and their pins."""
    content = yaml.safe_load(ENVS[environment].read_text())
    return dict(entry.partition(" =")[::2] for entry in content["dependencies"])


def pins() -> dict[str, set[str]]:
    """Return the versions in the requirements; a package may have two, for different Pythons."""
    found: dict[str, set[str]] = {}
    for name in ("run.txt", "nodeps.txt"):
        for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements" / name).read_text(), re.M):
            found.setdefault(package, set()).add(version)
    return found


@cache
def modules_of(path: Path) -> frozenset[str]:
    """Return the names of the modules outside the standard library and the project that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "resources.files":  # its data are read
            names.add(node.args[0].value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in WITH_SCIPY:
            names.add("scipy")
    return frozenset(names - set(sys.stdlib_module_names) - {"skyloom"})


def needed(step: str, monkeypatch) -> set[str]:
    """Return the packages that the code of a step imports, for any case."""
    # The configuration has no effect of its own on a step's results, but a step does import it.
    monkeypatch.setattr(workflow_closure, "WITHOUT_EFFECT", ())
    monkeypatch.chdir(ROOT)
    script = f"scripts/{step}.py"
    files = {script}.union(*(workflow_closure.closure(script, case) for case in CASES))
    modules = set().union(*(modules_of(ROOT / file) for file in files)) - OTHER_BACKENDS
    packages = {PACKAGES.get(module, module) for module in modules} | {"python"}
    for package, others in ALMINER.items():
        if package in packages:
            packages = (packages - {package}) | others
    return packages.union(*(others for package, others in BESIDE.items() if package in packages))


def test_every_rule_has_the_environment_of_its_script_and_no_other_exists():
    assert {environment for _, environment in rules()} == set(ENVS)
    assert all(script == environment for script, environment in rules())


@pytest.mark.parametrize("step", STEPS)
def test_environment_has_what_the_step_imports_and_no_more(step, monkeypatch):
    workflow_closure._imports.cache_clear()
    try:
        assert set(dependencies(step)) == needed(step, monkeypatch), f"mend envs/{step}.yaml"
    finally:
        workflow_closure._imports.cache_clear()


@pytest.mark.parametrize("step", STEPS)
def test_pins_are_those_of_the_requirements(step):
    wanted = pins()
    for package, version in dependencies(step).items():
        if package == "python":
            assert version == "3.11"
        elif package == "pip":
            assert version == ""
        else:
            assert re.fullmatch(r"\d+(\.\d+)+", version), f"envs/{step}.yaml: {package} is not pinned"
            assert version in wanted[ON_PYPI.get(package, package)], f"envs/{step}.yaml: {package}"


@pytest.mark.parametrize("step", STEPS)
def test_only_conda_forge_is_asked(step):
    content = yaml.safe_load(ENVS[step].read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert set(content) == {"channels", "dependencies"}


def test_alminer_is_installed_after_the_rest_and_with_the_pinned_version():
    scripts = sorted((ROOT / "envs").glob("*.post-deploy.sh"))
    assert {path.name.split(".")[0] for path in scripts} == {step for step in STEPS if "pip" in dependencies(step)}
    for path in scripts:
        version = re.search(r"--no-deps alminer==([\d.]+)$", path.read_text(), re.M)[1]
        assert version in pins()["alminer"]
