"""What an archive answered: the snapshot, its history, what changed since, and the chunks that are worked on."""

from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import UserError
from ..files import read_table, write_table
from ..seeds import stable_hash
from .select import CHUNK
from .services import conformed

FIRST = "first query"
CHANGES = ("change", "product_id", "columns")


def in_chunks(wanted: Table, number: int) -> list[Table]:
    """Divide products over chunks by a hash of their ids, so that new ones touch no other chunk.

    Parameters
    ----------
    wanted : Table
        Sorted by ``product_id``.
    number : int
        How many chunks; some may be empty.

    Returns
    -------
    list of Table
        Without metadata, so that nothing volatile gets into them.
    """
    chunk = np.array([stable_hash(str(name)) % number for name in wanted["product_id"]], dtype=int)
    tables = [wanted[chunk == index] for index in range(number)]
    for table in tables:
        table.meta = {}
    return tables


def read_products(path: str | Path) -> Table:
    """Read a snapshot or a chunk; texts that are missing are '' and not masked.

    Raises
    ------
    UserError
        If a column is missing.
    """
    table = read_table(path, "a list of products")
    missing = [name for name in CHUNK if name not in table.colnames]
    if missing:
        raise UserError(f"{path}: the column `{missing[0]}` is missing; ask the archive again.")
    whole = conformed(table, {name: kind for name, kind in CHUNK.items() if name != "simulated"})
    whole["simulated"] = np.asarray(table["simulated"]).astype(bool)
    for name in table.colnames:
        if name not in CHUNK:
            whole[name] = table[name]
    whole.meta = dict(table.meta)
    return whole


def last_of(history: Path) -> Path | None:
    """Return the newest snapshot of a history folder, or None."""
    return max(history.glob("snapshot_*.ecsv"), default=None) if history.is_dir() else None


def remember(history: Path, snapshot: Table) -> Path:
    """Keep a snapshot in the history, under its time; the names sort as the times do."""
    time = str(snapshot.meta["time"]).replace("-", "").replace(":", "")
    path = history / f"snapshot_{time}.ecsv"
    repeat = 1
    while path.exists():  # two queries within a second
        repeat += 1
        path = history / f"snapshot_{time}_{repeat}.ecsv"
    write_table(path, snapshot)
    return path


def changes(before: Table | None, now: Table) -> Table:
    """Compare two snapshots, product by product.

    Parameters
    ----------
    before : Table or None
        None at the first query.
    now : Table

    Returns
    -------
    Table
        One row a product that was added, removed or changed, sorted; for a changed one ``columns`` tells in what,
        joined by ``;``. ``meta["since"]`` is the time of the earlier snapshot, or ``first query``, and the table
        is empty then.
    """
    rows = []
    if before is not None:
        old, new = _by_id(before), _by_id(now)
        rows += [("added", name, "") for name in new.keys() - old.keys()]
        rows += [("removed", name, "") for name in old.keys() - new.keys()]
        common = sorted(old.keys() & new.keys())
        at, to = [old[name] for name in common], [new[name] for name in common]
        differs = {column: ~_equal(before[column][at], now[column][to]) for column in CHUNK}
        for number in np.flatnonzero(np.logical_or.reduce(list(differs.values()))) if common else ():
            columns = [column for column in CHUNK if differs[column][number]]
            rows.append(("changed", common[number], ";".join(columns)))
    table = Table(rows=sorted(rows), names=CHANGES) if rows else Table(names=CHANGES, dtype=["U7", "U1", "U1"])
    table.meta["since"] = str(before.meta.get("time", "")) if before is not None else FIRST
    return table


def _by_id(table: Table) -> dict[str, int]:
    return {str(name): number for number, name in enumerate(table["product_id"])}


def _equal(left, right) -> np.ndarray:
    if isinstance(left, MaskedColumn):
        left, right = np.ma.asarray(left), np.ma.asarray(right)
        gone = np.ma.getmaskarray(left), np.ma.getmaskarray(right)
        return np.where(gone[0] | gone[1], gone[0] == gone[1], left.data == right.data)
    left, right = np.asarray(left), np.asarray(right)
    equal = left == right
    return equal | (np.isnan(left) & np.isnan(right)) if left.dtype.kind == "f" else equal


def counts_text(counts: Table) -> str:
    """Return the counts as plain lines for the log: one a step, with its keywords in order."""
    lines = []
    for step in dict.fromkeys(counts["step"]):
        rows = counts[counts["step"] == step]
        looked_at_files = rows["files"][-1] is not np.ma.masked
        total = f"{rows['files'][-1]} files of " if looked_at_files else ""
        column = rows["files" if looked_at_files else "observations"]
        each = "; ".join(f"{keyword}: {n}" for keyword, n in zip(rows["keyword"][:-1], column[:-1], strict=True))
        lines.append(f"after {step}: {total}{rows['observations'][-1]} observations{f' ({each})' if each else ''}")
    return "\n".join(lines)


def rows_of(counts: Table) -> list[list]:
    """Return the counts as plain lists, for a snapshot's metadata; what is masked is None."""
    columns = [np.ma.MaskedArray(column, subok=False).tolist() for column in counts.columns.values()]
    return [list(row) for row in zip(*columns, strict=True)]
