"""Say in words what a key may hold and what is wrong with it: the one source of error messages and reference page."""

import difflib
import json

from pydantic import BaseModel


class Words:
    """The schema of a model in words.

    Parameters
    ----------
    model : type of pydantic.BaseModel
        The model; its keys are addressed by dotted paths below it.
    """

    def __init__(self, model: type[BaseModel]):
        """Read the JSON schema of `model`."""
        self._root = model.model_json_schema()

    def node(self, path: tuple[str, ...]) -> dict | None:
        """Return the JSON schema of the key at `path`, or None if there is no such key."""
        node = self._resolved(self._root)
        for key in path:
            inner = [self._child(part, key) for part in (node, *node.get("anyOf", []))]
            found = next((part for part in inner if part is not None), None)
            if found is None:
                return None
            node = self._resolved(found)
        return node

    def _child(self, node: dict, key: str) -> dict | None:
        node = self._resolved(node)
        if key in node.get("properties", {}):
            return node["properties"][key]
        for others in ("additionalProperties", "patternProperties"):
            if isinstance(node.get(others), dict) and node[others]:
                others = node[others]
                return others if "type" in others or "$ref" in others else next(iter(others.values()))
        if key.isdigit():
            positions = node.get("prefixItems", [])
            return positions[int(key)] if int(key) < len(positions) else node.get("items")
        return None

    def _resolved(self, node: dict) -> dict:
        if "$ref" in node:
            node = {**self._root["$defs"][node["$ref"].rsplit("/", 1)[1]], **node}
            del node["$ref"]
        return node

    def keys(self, path: tuple[str, ...] = ()) -> list[str]:
        """Return the names of the keys right below `path`."""
        return list((self.node(path) or {}).get("properties", {}))

    def all_keys(self, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        """Return the paths of all keys below `path` that have fixed names, sections first."""
        paths = []
        for key in self.keys(path):
            paths += [(*path, key), *self.all_keys((*path, key))]
        return paths

    def type_of(self, node: dict) -> str:
        """Return the type of a key in words, such as ``list of text``."""
        node = self._resolved(node)
        if "anyOf" in node:
            return " or ".join(dict.fromkeys(self.type_of(part) for part in node["anyOf"]))
        if "const" in node:
            return _shown(node["const"])
        if "enum" in node:
            return "one of " + ", ".join(_shown(value) for value in node["enum"])
        if "quantity" in node:
            return f"{node['quantity']} with its unit, such as {node['example']}"
        if node.get("type") == "array":
            if "prefixItems" in node:
                return f"list of {len(node['prefixItems'])}: " + ", ".join(map(self.type_of, node["prefixItems"]))
            inner = self._resolved(node.get("items", {}))
            limits = self.range_of(inner)
            return f"list of {self.type_of(inner)}" + (f" ({limits})" if limits else "")
        if node.get("type") == "object":
            if "properties" in node:
                return "section"
            inner = self._child(node, "name") or {}
            return f"section of names, each with {self.type_of(inner)}" if inner else "section"
        if node.get("format") == "date":
            return "date, such as 2016-01-31"
        names = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
        return names.get(node.get("type"), node.get("type", "anything"))

    def range_of(self, node: dict) -> str:
        """Return the allowed range of a key in words; empty if there is none."""
        node = self._resolved(node)
        if "anyOf" in node:
            return "; ".join(filter(None, map(self.range_of, node["anyOf"])))
        limits = []
        if "minimum" in node and "maximum" in node:
            limits.append(f"{node['minimum']:g} to {node['maximum']:g}")
        else:
            limits += [f"{word} {node[key]:g}" for key, word in _LIMITS.items() if key in node]
        if "multipleOf" in node:
            limits.append(f"a multiple of {node['multipleOf']:g}")
        if node.get("minItems") and "prefixItems" not in node:
            limits.append(f"at least {node['minItems']} of them")
        if "pattern" in node:
            limits.append(_PATTERNS.get(node["pattern"], f"matching `{node['pattern']}`"))
        return ", ".join(limits)

    def unit_of(self, node: dict) -> str:
        """Return the unit of a key; empty if it has none."""
        node = self._resolved(node)
        if "anyOf" in node:
            return next(filter(None, map(self.unit_of, node["anyOf"])), "")
        return node.get("unit", "")

    def sentence(self, error: dict) -> tuple[tuple[str, ...], str]:
        """Return the key that a pydantic error is about, and what is wrong with it.

        Parameters
        ----------
        error : dict
            One item of ``ValidationError.errors()``.

        Returns
        -------
        path : tuple of str
            The key, below this model.
        text : str
            The rest of the sentence, for ``"<file>: `<key>` <text>"``.
        """
        path = self._path(error["loc"])
        if error["type"] == "extra_forbidden":
            return path, f"is not a known key; {self._near(path)}"
        if error["type"] == "missing":
            return path, "is missing; add it (docs/configuration.md tells what it means)."
        node = self.node(path) or {}
        if error["type"] == "value_error" and "properties" in node:
            return path, f"{error['ctx']['error']}."
        if error["loc"] and error["loc"][-1] == "[key]":
            return path, "is not a fit name; use small letters, digits and underscores, a letter first."
        limits = self.range_of(node)
        wanted = self.type_of(node) + (f", {limits}" if limits else "")
        if "properties" in node:
            wanted = f"section with the keys {', '.join(node['properties'])}"
        if error["type"] == "value_error" and "quantity" not in node:
            wanted = str(error["ctx"]["error"]).removeprefix("should be ")
        given = error["input"]
        near = nearest(given, self._options(node)) if isinstance(given, str) else None
        hint = f"; did you mean `{near}`?" if near and near != given else "."
        return path, f"is {_shown(given)}, but should be {wanted}{hint}"

    def _path(self, location: tuple) -> tuple[str, ...]:
        """Return the part of an error's location that is keys; unions add the name of the tried type to it."""
        path: tuple[str, ...] = ()
        for part in map(str, location):
            if self.node((*path, part)) is not None or part == str(location[-1]) and "[" not in part:
                path = (*path, part)
        return path

    def _options(self, node: dict) -> list[str]:
        node = self._resolved(node)
        options = [option for part in node.get("anyOf", []) for option in self._options(part)]
        return options + [str(value) for value in (*node.get("enum", []), *([node["const"]] if "const" in node else []))]

    def _near(self, path: tuple[str, ...]) -> str:
        beside = self.keys(path[:-1])
        close = nearest(path[-1], beside)
        if close:
            return f"did you mean `{'.'.join((*path[:-1], close))}`?"
        # The right name in the wrong place, such as `seed` outside `run`.
        elsewhere = {key[-1]: key for key in reversed(self.all_keys())}
        close = nearest(path[-1], list(elsewhere), cutoff=0.8)
        if close:
            return f"did you mean `{'.'.join(elsewhere[close])}`?"
        return f"the keys there are {', '.join(beside)}."


_LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_PATTERNS = {
    r"^[a-z][a-z0-9_]*$": "small letters, digits and underscores, a letter first",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$|^$": "letters, digits, `_`, `.` and `-`, a letter or digit first",
}


def nearest(name: str, options: list[str], cutoff: float = 0.6) -> str | None:
    """Return the option that is most like `name`, or None if none is."""
    return next(iter(difflib.get_close_matches(name, options, n=1, cutoff=cutoff)), None)


def _shown(value: object) -> str:
    """Return a value as it stands in YAML, cut after 60 characters."""
    text = value if isinstance(value, str) and value else json.dumps(value, default=str)
    text = f"'{text}'" if isinstance(value, str) and value else text
    return text if len(text) <= 60 else f"{text[:57]}..."
