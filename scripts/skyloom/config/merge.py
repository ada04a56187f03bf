"""Read YAML strictly, and merge several sources into one mapping that remembers where each key came from."""

import json
from collections.abc import Hashable, Mapping
from pathlib import Path

import yaml

from ..errors import UserError


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML in which a key stands once, keys are text, and every mistake has its line."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                plain = isinstance(key_node, yaml.ScalarNode)
                shown = f"the key `{key_node.value}`" if plain else "a key that is a list or a mapping"
                raise yaml.constructor.ConstructorError(
                    problem=f"{shown} is not text; put it in quotes", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key `{key}` is given twice; delete one", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            # Dates such as 2016-02-30 and numbers of thousands of digits.
            raise yaml.constructor.ConstructorError(
                problem=f"`{str(node.value)[:40]}` cannot be read; correct it, or put it in quotes",
                problem_mark=node.start_mark,
            ) from error


def read_yaml(path: str | Path) -> dict:
    """Return the mapping in a YAML file; an empty file is an empty mapping.

    Raises
    ------
    UserError
        If the file cannot be read, is not YAML, has a key twice, or is not a mapping.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_StrictLoader)
        json.dumps(content, default=str)  # fails where an alias stands inside its own anchor
    except OSError as error:
        raise UserError(f"{path}: the config file cannot be read ({error.strerror}); check its name.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the config file is not UTF-8 text; save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: {_problem(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: nested too deeply, or an alias inside itself; write it out.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        what = {list: "a list", str: "text"}.get(type(content), "a single value")
        raise UserError(f"{path}: should hold `key: value` lines, but holds {what}.")
    return content


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}" if mark else "it"
    if isinstance(error, yaml.constructor.ConstructorError) and error.problem_mark:
        return f"in {line}, {error.problem}"
    return f"{line} is not valid YAML; check the indentation, the colons and the quotes there"


class Merged:
    """A nested mapping merged from several sources, which remembers where each key came from.

    Parameters
    ----------
    source : str
        Where a key that no source has set would stand.
    """

    def __init__(self, source: str):
        """Start with nothing."""
        self.values: dict = {}
        self._default = source
        self._sources: dict[tuple, tuple[str, tuple]] = {}

    def add(self, values: Mapping, source: str, shown: tuple = ()) -> None:
        """Merge `values` over what is there; mappings are merged, everything else is replaced.

        Parameters
        ----------
        values : mapping
            What the source says.
        source : str
            The file, or ``--config``.
        shown : tuple of str
            The path of `values` within the source, so that an error shows a key as it stands in the file.
        """
        self._merge(self.values, values, source, (), shown)

    def _merge(self, into: dict, values: Mapping, source: str, path: tuple, shown: tuple) -> None:
        for key, value in values.items():
            key = str(key)
            here, there = (*path, key), (*shown, key)
            self._sources[here] = source, there
            if isinstance(value, Mapping):
                if not isinstance(into.get(key), dict):
                    into[key] = {}
                self._merge(into[key], value, source, here, there)
            else:
                into[key] = value

    def origin(self, path: tuple[Hashable, ...]) -> tuple[str, tuple]:
        """Return the source that set a key, or the nearest key above it, and the key's path in that source."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._sources:
                source, shown = self._sources[path[:length]]
                return source, (*shown, *path[length:])
        return self._default, path
