"""Write the reference page of the configuration from the schema, so that the page cannot be out of date."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from .schema import Archive, CaseSettings, Config, SearchSettings
from .words import Words

HEAD = """# Configuration

This page is made from `scripts/skyloom/config/schema.py` by `make docs`.

The configuration is merged from these sources; a later one wins, key by key:

1. `config/config.yaml`
2. `config/cases/<case>.yaml`, one file a case
3. files given with `--configfile`, such as `config/presets/standard.yaml`
4. values given with `--config`

In files of the third kind the settings of a case stand under `cases:`, by the case's name:

```yaml
archive:
  service: local
  local:
    folder: my_images
cases:
  disk_winds:
    crop:
      detect_snr: 4.0
```

A key that is not listed here is a mistake, and Skyloom says so before anything runs. What was used is written to
`results/config.yaml`.
"""
TABLE = "| key | type | unit | range | default | meaning |\n|---|---|---|---|---|---|"


def reference() -> str:
    """Return the reference page as Markdown."""
    parts = [HEAD, "## The run\n", *_sections(Config, skip=("cases",))]
    parts += ["## A case\n", f"{_sentence(CaseSettings)} They stand in `config/cases/<case>.yaml`.\n"]
    parts += _sections(CaseSettings)
    parts += ["## A case that searches whole observations\n", f"{_sentence(SearchSettings)}\n"]
    parts += _sections(SearchSettings)
    for case, settings in _own_settings():
        shared = next(kind for kind in (SearchSettings, CaseSettings) if issubclass(settings, kind))
        parts += [f"## Only in `{case}`\n", f"{_sentence(settings)}\n"]
        parts += _sections(settings, skip=tuple(shared.model_fields))
    return "\n".join(parts).rstrip() + "\n"


def _own_settings() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the cases whose module extends the settings."""
    for path in sorted((Path(__file__).parents[1] / "cases").glob("[a-z]*.py")):
        settings = getattr(importlib.import_module(f"skyloom.cases.{path.stem}"), "Settings", CaseSettings)
        if settings is not CaseSettings:
            yield path.stem, settings


def _sections(model: type[BaseModel], skip: tuple = ()) -> list[str]:
    """Return one table for the plain keys of `model` and one for each section below it."""
    words = Words(model)
    parts = []
    plain = [(key,) for key in words.names() if key not in skip and not _inside(words, (key,))]
    if plain:
        parts += [TABLE, *(_row(words, path) for path in plain), ""]
    for key in words.names():
        if key not in skip and _inside(words, (key,)):
            parts += _section(words, (key,))
    return parts


def _section(words: Words, path: tuple[str, ...]) -> list[str]:
    node = words.node(path)
    inside = _inside(words, path)
    lines = [f"### `{'.'.join(path)}`", "", node.get("description", "").strip(), ""]
    lines += [TABLE, *(_row(words, key) for key in inside if not _inside(words, key)), ""]
    for key in inside:
        if _inside(words, key):
            lines += _section(words, key)
    return lines


def _inside(words: Words, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the paths of the keys right below `path`; a section of names is shown with `<name>` for any of them."""
    keys = [(*path, key) for key in words.names(path)]
    return keys or [(*path, "<name>", key) for key in words.names((*path, "<name>"))]


def _row(words: Words, path: tuple[str, ...]) -> str:
    node = words.node(path)
    cells = [
        f"`{'.'.join(path)}`",
        words.type_of(node),
        words.unit_of(node),
        words.range_of(node),
        _default(node),
        node.get("description", ""),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(node: dict) -> str:
    if "default" not in node:
        return "required"
    default = node["default"]
    if default in ("", None) or default == [] or default == {}:
        return "none" if default is None else "empty"
    if isinstance(default, list):
        return ", ".join(f"`{item}`" for item in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def undescribed() -> list[str]:
    """Return the dotted keys of all settings that have no description."""
    missing = []
    for model in (Config, Archive, CaseSettings, *(settings for _, settings in _own_settings())):
        words = Words(model)
        missing += [".".join(path) for path in words.paths() if not words.node(path).get("description")]
    return missing
