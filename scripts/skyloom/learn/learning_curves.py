"""How several networks have learnt, pass by pass, in one table."""

import numpy as np
from astropy.table import Table

_BEST = {"error": ("Mean absolute error", "least", np.min), "accuracy": ("Accuracy", "largest", np.max)}


def as_markdown(histories: list[tuple[str, Table]]) -> str:
    """Return what was reached on the validation set after 1, 2, 4, ... passes through the training set, in Markdown.

    Parameters
    ----------
    histories : list of (str, astropy.table.Table)
        Names and histories of trainings of one kind, with the columns epoch and ``error`` or ``accuracy``.
    """
    measure = next(name for name in _BEST if name in histories[0][1].colnames)
    what, best, of = _BEST[measure]
    longest = max(len(history) for _, history in histories)
    passes = sorted({*(2**n for n in range(longest.bit_length())), *(len(history) for _, history in histories)})
    lines = [
        f"{what} on the validation set after so many passes through the training set.",
        "",
        f"| network | {' | '.join(map(str, passes))} | {best} |",
        "|---" * (len(passes) + 2) + "|",
    ]
    for name, history in histories:
        reached = dict(zip(np.asarray(history["epoch"]).tolist(), np.asarray(history[measure]).tolist(), strict=True))
        shown = [f"{reached[number]:.4f}" if number in reached else "" for number in passes]
        lines.append(f"| {name} | {' | '.join(shown)} | {of(list(reached.values())):.4f} |")
    return "\n".join(lines) + "\n"
