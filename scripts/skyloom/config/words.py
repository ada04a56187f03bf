"""Say in words what a key may hold and what is wrong with it: the one source of error messages and reference page."""

import difflib
import json

from pydantic import BaseModel

from .schema import NAME


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
        if _is_index(key):
            positions = node.get("prefixItems", [])
            return positions[int(key)] if int(key) < len(positions) else node.get("items")
        return None

    def _resolved(self, node: dict) -> dict:
        if "$ref" in node:
            node = {**self._root["$defs"][node["$ref"].rsplit("/", 1)[1]], **node}
            del node["$ref"]
        return node

    def names(self, path: tuple[str, ...] = ()) -> list[str]:
        """Return the names of the keys right below `path`."""
        return list((self.node(path) or {}).get("properties", {}))

    def paths(self, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        """Return the paths of all keys below `path` that have fixed names, sections first."""
        paths = []
        for key in self.names(path):
            paths += [(*path, key), *self.paths((*path, key))]
        return paths

    def type_of(self, node: dict) -> str:
        """Return the type of a key in words, such as ``list of text``."""
        node = self._resolved(node)
        if "anyOf" in node:
            types = list(dict.fromkeys(self.type_of(part) for part in node["anyOf"]))
            return " or ".join(f"{kind}," if ", " in kind and kind != types[-1] else kind for kind in types)
        if "const" in node:
            return str(node["const"])
        if "enum" in node:
            return "one of " + ", ".join(map(str, node["enum"]))
        if "quantity" in node:
            return f"{node['quantity']} with its unit, such as `{node['example']}`"
        if node.get("type") == "array":
            if "prefixItems" in node:
                inner = node["prefixItems"][0]
                limits = self.range_of(inner)
                kind = self.type_of(inner) + (f" {limits}" if limits else "")
                return f"list of {len(node['prefixItems'])} values, each a {kind}"
            inner = self._resolved(node.get("items", {}))
            limits = self.range_of(inner)
            kind = self.type_of(inner)
            kind = f"values, each {kind}" if " " in kind else f"{kind}s"
            return f"list of {kind}" + (f" ({limits})" if limits else "")
        if node.get("type") == "object":
            if "properties" in node:
                return "section"
            inner = self._child(node, "name") or {}
            return f"section with a {self.type_of(inner)} for each name" if inner else "section"
        if node.get("format") == "date":
            return "date, such as `2016-01-31`"
        if node.get("pattern") == NAME:
            return "name"
        names = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
        return names.get(node.get("type"), node.get("type", "anything"))

    def range_of(self, node: dict) -> str:
        """Return the allowed range of a key in words; empty if there is none."""
        node = self._resolved(node)
        if "anyOf" in node:
            return "; ".join(filter(None, map(self.range_of, node["anyOf"])))
        limits = []
        if "minimum" in node and "maximum" in node:
            limits.append(f"{node['minimum']} to {node['maximum']}")
        else:
            limits += [f"{word} {node[key]}" for key, word in _LIMITS.items() if key in node]
        if "multipleOf" in node:
            limits.append(f"a multiple of {node['multipleOf']}")
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

    def sentence(self, error: dict) -> tuple[tuple[str, ...], str, tuple[str, ...] | None]:
        """Return the key that a pydantic error is about, what is wrong with it, and the key that may be meant.

        Parameters
        ----------
        error : dict
            One item of ``ValidationError.errors()``.

        Returns
        -------
        path : tuple of str
            The key, below this model.
        text : str
            The rest of the sentence, for ``"<file>: `<key>` <text>"``; without its end if there is a `meant`.
        meant : tuple of str or None
            The nearest valid key, for ``"; did you mean `<meant>`?"``.
        """
        path = self._path(error)
        node = self.node(path) or {}
        if error["type"] == "extra_forbidden":
            meant = self._meant(path)
            others = "" if meant else f"; the keys there are {', '.join(self.names(path[:-1]))}."
            return path, f"is not a known key{others}", meant
        if error["type"] == "missing" and not _is_index(path[-1]):
            return path, "is missing; add it (docs/configuration.md tells what it means).", None
        if error["loc"] and error["loc"][-1] == "[key]":
            return path, f"is not a fit name; use {_PATTERNS[NAME]}.", None
        if error["type"] == "value_error" and "properties" in node:
            return path, f"{error['ctx']['error']}.", None
        should = self._should(node)
        if error["type"] == "value_error":
            should = str(error["ctx"]["error"])
        verb = "is"
        if path and _is_index(path[-1]):
            # An item of a list: the key is the list, its type is told with that of its items.
            path, verb = path[:-1], "holds"
            should = self._should(self.node(path) or {})
        given = error["input"]
        near = nearest(given, self._options(node)) if isinstance(given, str) else None
        end = f"; did you mean `{near}`?" if near and near != given else "."
        return path, f"{verb} {_shown(given)}, but {should}{end}", None

    def _should(self, node: dict) -> str:
        if "properties" in node:
            return f"should be a section with the keys {', '.join(node['properties'])}"
        kind, limits = self.type_of(node), self.range_of(node)
        article = "" if kind.startswith(("one of", "true", *"0123456789")) else "an " if kind[0] in "aeiou" else "a "
        article = "" if kind.startswith("text") else article
        return f"should be {article}{kind}" + (f", {limits}" if limits else "")

    def _path(self, error: dict) -> tuple[str, ...]:
        """Return the part of an error's location that is keys; unions add the name of the tried type to it."""
        *above, last = map(str, error["loc"]) if error["loc"] else [""]
        path: tuple[str, ...] = ()
        for part in above:
            if self.node((*path, part)) is not None:
                path = (*path, part)
        new = error["type"] in ("extra_forbidden", "missing")
        return (*path, last) if new or self.node((*path, last)) is not None else path

    def _options(self, node: dict) -> list[str]:
        node = self._resolved(node)
        options = [option for part in node.get("anyOf", []) for option in self._options(part)]
        return options + [
            str(value) for value in (*node.get("enum", []), *([node["const"]] if "const" in node else []))
        ]

    def _meant(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        close = nearest(path[-1], self.names(path[:-1]))
        if close:
            return (*path[:-1], close)
        # The right name in the wrong place, such as `seed` outside `run`.
        elsewhere = {key[-1]: key for key in reversed(self.paths())}
        return elsewhere.get(nearest(path[-1], list(elsewhere), cutoff=0.8))


_LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
_PATTERNS = {
    NAME: "small letters, digits and underscores, a letter first",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$|^$": "letters, digits, `_`, `.` and `-`, a letter or digit first",
}


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit()


def nearest(name: str, options: list[str], cutoff: float = 0.6) -> str | None:
    """Return the option that is most like `name`, or None if none is."""
    return next(iter(difflib.get_close_matches(name, options, n=1, cutoff=cutoff)), None)


def _shown(value: object) -> str:
    """Return a value as it stands in YAML, cut after 60 characters."""
    text = value if isinstance(value, str) and value else json.dumps(value, default=str)
    text = f"'{text}'" if isinstance(value, str) and value else text
    return text if len(text) <= 60 else f"{text[:57]}..."
