"""Networks, each a function that reads from top to bottom as its diagram.

A network is found by the name of its module, so that an edit of one retrains no other (`library` in the rules).
Every classifier has the same outside: ``build(input_shape)`` returns a `keras.Model` from images (n, height, width,
channels), normalised by `skyloom.images.normalise`, to **one logit a sample**, (n, 1). The logit is the log odds of the
positive class; a sigmoid turns it into a probability, after `skyloom.learn.calibration` has scaled it. The networks
of a chain take the number of their outputs, too: ``build(input_shape, outputs)`` gives a map or a spectrum of as many
channels, or as many numbers.
Layers carry explicit names, so that the same network is saved as the same bytes in any process.
"""

import difflib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import UserError


def network(name: str) -> Callable:
    """Return the ``build`` function of the network called `name`.

    Raises
    ------
    UserError
        If there is no such network; the sentence names the nearest one.
    """
    return importlib.import_module(f".{source(name).stem}", __package__).build


def source(name: str) -> Path:
    """Return the source file of the network called `name`; raises as `network` does."""
    files = {path.stem: path for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))}
    if name not in files:
        near = difflib.get_close_matches(name, files, n=1, cutoff=0.3)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(files)}."
        raise UserError(f"`network`: there is no network `{name}`; {hint}")
    return files[name]


def check_sides(name: str, input_shape: Sequence[int | None], step: int, free: bool = False) -> None:
    """Make sure that the sides of a network's images are multiples of what it divides them by.

    Parameters
    ----------
    name : str
        Of the network.
    input_shape : sequence of int
        (height, width, ...), None for any.
    step : int
    free : bool
        Whether a side may be any.

    Raises
    ------
    UserError
        If a side is no multiple.
    """
    height, width = input_shape[:2]
    if any(side % step if side is not None else not free for side in (height, width)):
        raise UserError(
            f"`network`: {name} takes images whose sides are multiples of {step}, not {height} x {width} pixels; "
            "choose another size."
        )


def check_task(name: str, task: str) -> None:
    """Make sure that a network of a chain does what it shall: a ``map``, a ``sequence``, or a ``value`` or more.

    Raises
    ------
    UserError
        If it does something else; the sentence names those that would do.
    """
    if _task(source(name).stem) != task:
        fitting = [path.stem for path in sorted(Path(__file__).parent.glob("[a-z]*.py")) if _task(path.stem) == task]
        raise UserError(f"`network`: `{name}` is not made for these examples; take one of {', '.join(fitting)}.")


def half_turn(name: str) -> Callable | None:
    """Return how images for this network are turned by half a turn, where they are packed in a way of their own."""
    return getattr(importlib.import_module(f".{source(name).stem}", __package__), "half_turned", None)


def _task(name: str) -> str | None:
    """Return what a network of a chain gives, None for a classifier."""
    return getattr(importlib.import_module(f".{name}", __package__), "TASK", None)
