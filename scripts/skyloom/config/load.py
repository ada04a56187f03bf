"""Read, merge and validate the configuration, and say in one sentence what is wrong with it."""

import difflib
import importlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import UserError
from .schema import Archive, CaseSettings, Config

DEFAULT = Path("config/config.yaml")
CASES = Path("config/cases")


def read_yaml(path: Path) -> dict:
    """Return the mapping in a YAML file."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: the config file cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = f" in line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        raise UserError(f"{path}: not valid YAML{line}; check the indentation and the colons there.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold `key: value` lines, not a {type(content).__name__}.")
    return content


class Merged:
    """A nested mapping merged from several sources, which remembers where each key came from."""

    def __init__(self):
        """Start with nothing."""
        self.values: dict = {}
        self.sources: dict[tuple, str] = {}

    def add(self, values: Mapping, source: str) -> None:
        """Merge `values` over what is there; mappings are merged, everything else is replaced."""
        self._merge(self.values, values, source, ())

    def _merge(self, into: dict, values: Mapping, source: str, path: tuple) -> None:
        for key, value in values.items():
            here = (*path, key)
            self.sources[here] = source
            if isinstance(value, Mapping):
                if not isinstance(into.get(key), dict):
                    into[key] = {}
                self._merge(into[key], value, source, here)
            else:
                into[key] = value

    def source(self, path: tuple) -> str:
        """Return the file that set the key, or the nearest one above it."""
        while path:
            if path in self.sources:
                return self.sources[path]
            path = path[:-1]
        return str(DEFAULT)


def load(
    config_files: Iterable[str | Path] = (), overrides: Mapping | None = None, root: str | Path = "."
) -> tuple[dict, dict]:
    """Merge the default files, the user's files and overrides, in this order, and validate the result.

    Parameters
    ----------
    config_files : iterable of path
        What the user named with ``--configfile``.
    overrides : mapping, optional
        What the user gave with ``--config``.
    root : path
        The folder that holds ``config/``.

    Returns
    -------
    config : dict
        The whole resolved configuration, with every default filled in.
    cases : dict of str to `CaseSettings`
        The settings of the cases that run, ``archive`` being merged already.

    Raises
    ------
    UserError
        If a file cannot be read or a key is wrong; the sentence names the key, the file and the nearest valid key.
    """
    root = Path(root)
    merged = Merged()
    merged.add(read_yaml(root / DEFAULT), str(DEFAULT))
    available = sorted(path.stem for path in (root / CASES).glob("*.yaml"))
    for case in available:
        merged.add({"cases": {case: read_yaml(root / CASES / f"{case}.yaml")}}, str(CASES / f"{case}.yaml"))
    for path in config_files:
        merged.add(read_yaml(Path(path)), str(path))
    if overrides:
        merged.add(overrides, "--config")

    top = _validated(Config, merged.values, (), merged)
    for case in top.cases:
        _known_case(case, available, ("cases", case), merged)
    chosen = available if top.run.cases == "all" else top.run.cases
    for case in chosen:
        _known_case(case, available, ("run", "cases"), merged)
    cases, resolved = {}, top.model_dump(mode="json")
    for case in chosen:
        settings = _validated(case_schema(case), merged.values["cases"][case], ("cases", case), merged)
        archive = Merged()
        archive.add(merged.values.get("archive", {}), "")
        archive.add(settings.archive, "")
        prefix = ("cases", case, "archive") if settings.archive else ("archive",)
        settings.archive = _validated(Archive, archive.values, prefix, merged).model_dump(mode="json")
        _consistent(case, settings, merged)
        cases[case] = settings
        resolved["cases"][case] = settings.model_dump(mode="json")
    resolved["cases"] = {case: resolved["cases"][case] for case in chosen}
    resolved["run"]["cases"] = list(chosen)
    return resolved, cases


def case_schema(case: str) -> type[CaseSettings]:
    """Return the settings model of a case: its module's `Settings`, or the common one."""
    try:
        module = importlib.import_module(f"skyloom.cases.{case}")
    except ModuleNotFoundError as error:
        if error.name != f"skyloom.cases.{case}":
            raise
        raise UserError(
            f"{CASES / case}.yaml: the case has no module; write scripts/skyloom/cases/{case}.py (docs/add-a-case.md)."
        ) from error
    return getattr(module, "Settings", CaseSettings)


def section_settings(case: str, section: str, given: str | None):
    """Return the validated settings of one section of a case.

    Parameters
    ----------
    case : str
        Name of the case.
    section : str
        Dotted path in the case's settings, e.g. ``"crop"`` or ``"models.windnet"``.
    given : str or None
        JSON text, or the path of a YAML or JSON file; None takes the project's own config files.
    """
    if given is None:
        _, cases = load(overrides={"run": {"cases": [case]}})
        value = cases[case]
        for key in section.split("."):
            value = value[key] if isinstance(value, dict) else getattr(value, key)
        return Archive(**value) if section == "archive" else value
    model: type[BaseModel] = case_schema(case)
    for key in section.split("."):
        model = Archive if key == "archive" else _inner(model, key)
    if given.lstrip().startswith("{"):
        source = "--settings"
        try:
            values = json.loads(given)
        except ValueError as error:
            raise UserError(f"--settings: not valid JSON ({error}).") from error
    else:
        source, values = given, read_yaml(Path(given))
    merged = Merged()
    merged.add(values, source)
    return _validated(model, merged.values, (), merged)


def _inner(model, key: str):
    if not isinstance(model, type):
        return model
    annotation = model.model_fields[key].annotation
    if getattr(annotation, "__origin__", None) is dict:
        # `models.<name>`: the next key is a name, every one of which has the same model.
        return _Named(annotation.__args__[1])
    return annotation


class _Named:
    def __init__(self, model: type[BaseModel]):
        self.model = model


def _validated(model, values: dict, prefix: tuple, merged: Merged):
    if isinstance(model, _Named):
        model = model.model
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(model, error.errors()[0], prefix, merged)) from None


def _sentence(model, problem: dict, prefix: tuple, merged: Merged) -> str:
    path = tuple(str(part) for part in problem["loc"])
    # Unions add the name of the tried type to the location; only real keys are shown.
    keys = tuple(part for part in path if not part.startswith(("list[", "dict[", "literal[", "tuple[", "constrained")))
    full = (*prefix, *keys)
    where = f"{merged.source(full)}: `{'.'.join(full)}`"
    if problem["type"] == "extra_forbidden":
        valid = _keys_at(model, keys[:-1])
        near = difflib.get_close_matches(keys[-1], valid, n=1, cutoff=0.4)
        hint = f"did you mean `{near[0]}`" if near else f"valid keys are {', '.join(valid)}"
        return f"{where} is not a known key; {hint}?" if near else f"{where} is not a known key; {hint}."
    if problem["type"] == "missing":
        return f"{where} is missing; add it (docs/configuration.md)."
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = problem.get("input")
    near = ""
    if problem["type"] == "literal_error" and isinstance(given, str):
        options = [option.strip("' ") for option in problem["ctx"]["expected"].replace(" or ", ", ").split(",")]
        close = difflib.get_close_matches(given, options, n=1, cutoff=0.4)
        near = f"; did you mean `{close[0]}`?" if close else ""
    return f"{where} is {given!r}, but {message}{near}{'' if near else '.'}"


def _keys_at(model, keys: tuple) -> list[str]:
    for key in keys:
        if isinstance(model, _Named):
            model = model.model
            continue
        model = _inner(model, key)
    if isinstance(model, _Named):
        return []
    return list(model.model_fields)


def _known_case(case: str, available: list[str], path: tuple, merged: Merged) -> None:
    if case not in available:
        near = difflib.get_close_matches(case, available, n=1, cutoff=0.4)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(available)}."
        raise UserError(f"{merged.source(path)}: `{'.'.join(path)}`: there is no case `{case}`; {hint}")


def _consistent(case: str, settings: CaseSettings, merged: Merged) -> None:
    def wrong(key: str, text: str):
        path = ("cases", case, *key.split("."))
        raise UserError(f"{merged.source(path)}: `{'.'.join(path)}` {text}")

    if settings.catalog_model not in settings.models:
        wrong("catalog_model", f"is '{settings.catalog_model}', but the models are {', '.join(settings.models)}.")
    if settings.tune.model not in settings.models:
        wrong("tune.model", f"is '{settings.tune.model}', but the models are {', '.join(settings.models)}.")
    if settings.labels.validation + settings.labels.test >= 1:
        wrong("labels", "leaves nothing to train on; validation + test should stay below 1.")
    archive = settings.archive
    if archive["service"] == "local" and not archive["local"]["folder"]:
        raise UserError(
            f"{merged.source(('archive', 'service'))}: `archive.service` is local, "
            "but `archive.local.folder` is empty; name the folder with your FITS files."
        )
