"""The science cases: one module each, found by name.

A step asks for one function of a case by `hook`, so that the workflow can tell which jobs depend on which code.
"""

import importlib
from collections.abc import Callable

from ..errors import UserError


def hook(case: str, name: str) -> Callable:
    """Return the function `name` of the module of `case`.

    Raises
    ------
    UserError
        If the case or its function does not exist.
    """
    try:
        module = importlib.import_module(f"skyloom.cases.{case}")
    except ModuleNotFoundError as error:
        if error.name != f"skyloom.cases.{case}":
            raise
        raise UserError(f"there is no case `{case}`; it would be scripts/skyloom/cases/{case}.py.") from error
    if not hasattr(module, name):
        raise UserError(f"scripts/skyloom/cases/{case}.py has no `{name}`; this step needs it (docs/add-a-case.md).")
    return getattr(module, name)
