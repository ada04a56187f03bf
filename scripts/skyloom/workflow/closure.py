"""Find the library files that a script depends on, by reading its imports.

Snakemake tracks a rule's files, not what a script imports. The import closure, given to a rule as an input, makes an
edited module rerun the jobs that use it and no others. Nothing is imported: the files are read with `ast`.
"""

import ast
import functools
from pathlib import Path

PACKAGE = "skyloom"
# The whole effect of these on a job is in its settings, which Snakemake compares as `params`.
WITHOUT_EFFECT = ("config", "workflow")


def closure(script: str, case: str | None = None) -> list[str]:
    """Return the paths of the library files that a script imports, directly or not.

    Parameters
    ----------
    script : str
        Path of the script; the package is the folder ``skyloom`` beside it.
    case : str, optional
        The science case. The functions that the script asks of it with ``hook(case, "name")`` are followed: the
        case's module, what it imports at its top, and what these functions import.

    Returns
    -------
    list of str
        Sorted paths, relative if `script` is.
    """
    root = Path(script).parent
    found: set[Path] = set()
    pending = list(_imports(Path(script), root))
    names = set(_hooks(Path(script)))
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.add(path)
        pending += _imports(path, root)
        names |= set(_hooks(path))
    if case and names:
        module = root / PACKAGE / "cases" / f"{case}.py"
        pending = [module.parent / "__init__.py", *_imports(module, root, frozenset(names))]
        found.add(module)
        while pending:
            path = pending.pop()
            if path not in found:
                found.add(path)
                pending += _imports(path, root)
    return sorted(str(path) for path in found)


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


@functools.cache
def _hooks(path: Path) -> tuple[str, ...]:
    """Return the names that a file asks of a case: the literal second arguments of `hook`."""
    return tuple(
        node.args[1].value
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "hook"
        and len(node.args) == 2
        and isinstance(node.args[1], ast.Constant)
    )


@functools.cache
def _imports(path: Path, root: Path, functions: frozenset[str] | None = None) -> tuple[Path, ...]:
    """Return the library files that a file imports, anywhere in it or (given `functions`) at its top and in these."""
    tree = _tree(path)
    nodes = ast.walk(tree) if functions is None else _reachable(tree, functions)
    package = path.relative_to(root).with_suffix("").parts
    if package[-1] == "__init__":
        package = package[:-1]
        parent = package
    else:
        parent = package[:-1]
    files: list[Path] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                files += _resolve(root, tuple(alias.name.split(".")), ())
        elif isinstance(node, ast.ImportFrom):
            base = parent[: len(parent) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            files += _resolve(root, module, tuple(alias.name for alias in node.names))
    return tuple(dict.fromkeys(file for file in files if file != path))


def _reachable(tree: ast.Module, functions: frozenset[str]) -> list[ast.AST]:
    """Return the nodes at a module's top and in the named functions and whatever of the module these mention."""
    definitions = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    nodes: list[ast.AST] = []
    top = [node for node in tree.body if getattr(node, "name", None) not in definitions]
    for node in top:
        nodes += ast.walk(node)
    pending, seen = [name for name in functions if name in definitions], set()
    pending += [node.id for node in nodes if isinstance(node, ast.Name) and node.id in definitions]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        inside = list(ast.walk(definitions[name]))
        nodes += inside
        pending += [node.id for node in inside if isinstance(node, ast.Name) and node.id in definitions]
    return nodes


def _resolve(root: Path, module: tuple[str, ...], names: tuple[str, ...]) -> list[Path]:
    """Return the files that ``from module import names`` reads, if they are of the package."""
    if not module or module[0] != PACKAGE or module[1:2] in [(name,) for name in WITHOUT_EFFECT]:
        return []
    files = []
    for depth in range(1, len(module) + 1):
        files.append(root.joinpath(*module[:depth], "__init__.py"))
    files.append(root.joinpath(*module).with_suffix(".py"))
    if module == (PACKAGE,):
        names = tuple(name for name in names if name not in WITHOUT_EFFECT)
    for name in names:
        files += [root.joinpath(*module, f"{name}.py"), root.joinpath(*module, name, "__init__.py")]
    return [file for file in files if file.is_file()]
