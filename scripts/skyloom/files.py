"""Files that are whole or absent: write aside, then rename."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import UserError

PART = ".part"


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it when not.

    The temporary name keeps the suffix of `path`, because writers choose their format by it.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}{PART}{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        if _disk_full(error, path.parent):
            raise UserError(f"{path}: the disk is full; free some space and run again.") from error
        if error.errno in (errno.EACCES, errno.EROFS) and str(path.parent) in str(error.filename or ""):
            raise UserError(f"{path}: the folder cannot be written; check its permissions.") from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _disk_full(error: OSError, folder: Path) -> bool:
    # numpy and astropy report a full disk without an error number; then the space that is left decides.
    if error.errno is None and folder.is_dir():
        return shutil.disk_usage(folder).free < 2**20
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def existing(path: str | os.PathLike, what: str) -> Path:
    """Return `path` if it is a file; `what` says in the error what it should have been."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; it should be {what}.")
    return path


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write a value as indented JSON with sorted keys, so that equal values give equal files."""
    with written_whole(path) as part:
        part.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> dict:
    """Read a JSON file; a broken one is a `UserError` that names it."""
    try:
        return json.loads(existing(path, "a JSON file").read_text())
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); make it again.") from error


def write_table(path: str | os.PathLike, table) -> None:
    """Write an astropy table by the format of its suffix (``.ecsv``, ``.csv``), whole or not at all."""
    formats = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}
    with written_whole(path) as part:
        table.write(part, format=formats[Path(path).suffix], overwrite=True)


def read_table(path: str | os.PathLike, what: str = "a table"):
    """Read an ECSV or CSV table written by `write_table`; a broken one is a `UserError` that names it.

    Empty texts stay empty texts, which astropy would mask.
    """
    from astropy.table import Table

    path = existing(path, what)
    try:
        table = Table.read(path, format="ascii.ecsv" if path.suffix == ".ecsv" else "ascii.csv")
        for name in table.colnames:
            if table[name].dtype.kind == "U" and hasattr(table[name], "filled"):
                table[name] = table[name].filled("")
        return table
    except Exception as error:
        raise UserError(f"{path}: cannot be read as {what} ({error}); make it again.") from error
