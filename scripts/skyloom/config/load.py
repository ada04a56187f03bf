"""Read, merge and validate the configuration, and say in one sentence what is wrong with it."""

import importlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

from pydantic import BaseModel, ValidationError

from ..errors import UserError
from .merge import Merged, read_yaml
from .schema import VERSION, AnyCase, Archive, CaseSettings, Config, SearchSettings
from .words import Words, nearest

DEFAULT = Path("config/config.yaml")
CASES = Path("config/cases")


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
    cases : dict of str to `AnyCase`
        The settings of the cases that run, ``archive`` being merged already.

    Raises
    ------
    UserError
        If a file cannot be read or a key is wrong; the sentence names the key, the file and the nearest valid key.
    """
    layers = _layers(Path(root), config_files, overrides)
    available = [at[1] for _, _, at in layers if at]
    merged = Merged(str(DEFAULT))
    for values, source, at in layers:
        merged.add({at[0]: {at[1]: values}} if at else values, source)
    _check_version(merged)
    top = _validated(Config, merged)
    for case in top.cases:
        _known_case(case, available, ("cases", case), merged)
    chosen = available if top.run.cases == "all" else list(dict.fromkeys(top.run.cases))
    for case in chosen:
        _known_case(case, available, ("run", "cases"), merged)
    cases = {case: _case_settings(case, layers) for case in chosen}
    resolved = top.model_dump(mode="json")
    resolved["run"]["cases"] = chosen
    resolved["cases"] = {case: settings.model_dump(mode="json") for case, settings in cases.items()}
    return resolved, cases


def case_schema(case: str) -> type[AnyCase]:
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

    Raises
    ------
    UserError
        If there is no such case or section, or a key is wrong.
    """
    available = sorted(path.stem for path in (Path(__file__).parents[1] / "cases").glob("[a-z]*.py"))
    if case not in available:
        raise UserError(f"--case: there is no case `{case}`; {_hint(case, available)}")
    if given is None:
        value = load(overrides={"run": {"cases": [case]}})[1][case]
        for key in section.split("."):
            inner = value if isinstance(value, dict) else dict(value)
            if key not in inner:
                raise UserError(f"{CASES / case}.yaml: there is no `{section}`; {_hint(key, list(inner))}")
            value = inner[key]
        return Archive(**value) if section == "archive" else value
    as_text = given.lstrip().startswith("{")
    merged = Merged("--settings" if as_text else given)
    if as_text:
        try:
            merged.add(json.loads(given), "--settings")
        except (ValueError, RecursionError) as error:
            raise UserError(f"--settings: not valid JSON ({error}); give a file, or correct the text.") from error
    else:
        merged.add(read_yaml(Path(given)), given)
    return _validated(_section_model(case, section), merged)


def parts_settings(case: str, sections: Iterable[str], given: str | None) -> SimpleNamespace:
    """Return several sections of a case as attributes; `given` is JSON text with one entry a section, or None.

    Raises
    ------
    UserError
        As `section_settings` does.
    """
    texts = dict.fromkeys(sections)
    if given is not None:
        try:
            texts = {name: json.dumps(json.loads(given)[name]) for name in sections}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"--all-settings: should be JSON with {', '.join(sections)} ({error}); see its help."
            ) from error
    return SimpleNamespace(**{name: section_settings(case, name, text) for name, text in texts.items()})


def _layers(root: Path, config_files: Iterable, overrides: Mapping | None) -> list[tuple[Mapping, str, tuple]]:
    """Return what every source says, its name, and where in the configuration it belongs, the strongest last."""
    layers = [(read_yaml(root / DEFAULT), str(DEFAULT), ())]
    for path in sorted((root / CASES).glob("*.yaml")):
        layers.append((read_yaml(path), str(CASES / path.name), ("cases", path.stem)))
    layers += [(read_yaml(Path(path)), str(path), ()) for path in config_files]
    if overrides:
        layers.append((overrides, "--config", ()))
    return layers


def _case_settings(case: str, layers: list) -> AnyCase:
    """Return the settings of one case; a later source's `archive:` wins, be it the common one or the case's own."""
    merged = Merged(str(CASES / f"{case}.yaml"))
    for values, source, at in layers:
        if at:
            if at == ("cases", case):
                merged.add(values, source)
            continue
        if "archive" in values:
            merged.add({"archive": values["archive"]}, source)
        own = values.get("cases")
        own = own.get(case) if isinstance(own, Mapping) else None
        if isinstance(own, Mapping):
            merged.add(own, source, ("cases", case))
    settings = _validated(case_schema(case), merged)
    settings.archive = _validated(Archive, merged, ("archive",)).model_dump(mode="json")
    for key, name in _models_named(settings):
        if name not in settings.models:
            _wrong(merged, key, f"is '{name}', which is no model of the case; {_hint(name, list(settings.models))}")
    if settings.archive["service"] == "local" and not settings.archive["local"]["folder"]:
        _wrong(merged, "archive.service", "is local, but `archive.local.folder` is empty; name your FITS folder there.")
    return settings


def _models_named(settings: AnyCase) -> list[tuple[str, str]]:
    """Return the keys that name a model, and the name; the model that is tuned is the catalog's where none is named."""
    if isinstance(settings, SearchSettings):
        needed = [(f"needs.{dataset}", name) for dataset, names in settings.needs.items() for name in names]
        instead = [
            (f"variants.{variant}.models.{old}", name)
            for variant, changes in getattr(settings, "variants", {}).items()
            for old, new in changes.models.items()
            for name in (old, new)
        ]
        others = [(key, name) for key in ("decoras", "astroai") for name in getattr(settings, key, [])]
        return [*(("chain", name) for name in settings.chain), *needed, *instead, *others]
    settings.tune.model = settings.tune.model or settings.catalog_model
    return [("catalog_model", settings.catalog_model), ("tune.model", settings.tune.model)]


def _check_version(merged: Merged) -> None:
    version = merged.values.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        source = merged.origin(("version",))[0]
        raise UserError(
            f"{source}: this config is of `version` {version}, this Skyloom knows {VERSION}; update Skyloom."
        )


def _section_model(case: str, section: str) -> type[BaseModel]:
    """Return the model of a dotted path; below a mapping of names, any name has the mapping's model."""
    kind = case_schema(case)
    for key in section.split("."):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if key not in kind.model_fields:
                raise UserError(f"--case {case}: it has no `{section}` settings; {_hint(key, list(kind.model_fields))}")
            kind = Archive if key == "archive" else kind.model_fields[key].annotation
        else:
            kind = kind.__args__[1]
    return kind


def _validated(model: type[BaseModel], merged: Merged, path: tuple = ()):
    values = merged.values
    for key in path:
        values = values.get(key, {})
    try:
        return model.model_validate(values)
    except ValidationError as error:
        where, text, meant = Words(model).sentence(error.errors()[0])
        source, shown = merged.origin((*path, *where))
        if meant:
            above = shown[: len(shown) - len(where)]
            text += f"; did you mean `{'.'.join((*above, *meant))}`?"
        # pydantic's own error has a page of detail that says no more than the sentence.
        raise UserError(f"{source}: `{'.'.join(shown)}` {text}") from None


def _wrong(merged: Merged, key: str, text: str) -> None:
    source, shown = merged.origin(tuple(key.split(".")))
    raise UserError(f"{source}: `{'.'.join(shown)}` {text}")


def _known_case(case: str, available: list[str], path: tuple, merged: Merged) -> None:
    if case not in available:
        _wrong(merged, ".".join(path), f"names a case that does not exist, `{case}`; {_hint(case, available)}")


def _hint(name: str, options: list[str]) -> str:
    near = nearest(name, options)
    return f"did you mean `{near}`?" if near else f"there is {', '.join(options) or 'none'}."
