"""A store of fetched files, and the manifest of those that a chunk needs.

Beside each file lies a hidden note (``.<name>.json``) of its size, SHA-256 and version, so that a later run
fetches only what changed. What was begun and not ended is a hidden ``.<name>.part``.
"""

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Column, Row, Table

from ..cli import progress
from ..config.schema import Download
from ..errors import UserError
from ..files import read_json, sha256, write_json
from .failures import FetchError, Unreachable
from .local import PREFIX as FILE
from .manifest import FAILED, FETCHED
from .names import path_in
from .services import Service

NAMED_FAILURES = 5


@dataclass(frozen=True)
class Fetched:
    """A file in the store."""

    path: str
    size: int
    sha256: str
    new: bool


NOTHING = Fetched("", 0, "", new=False)


def manifest_of(
    products: Table, service: Service, store: Path, download: Download, limit: int | None = None
) -> tuple[Table, int]:
    """Fetch the files of a chunk that are not in the store yet, and list all of them.

    Parameters
    ----------
    products : Table
        A chunk, one row a file.
    service : Service
        Where the files come from.
    store : Path
        Where they go; unused where the service has them in place.
    download : Download
        Threads, retries, pauses, and whether a file that cannot be had is left out.
    limit : int, optional
        The largest length accepted [bytes].

    Returns
    -------
    manifest : Table
        The chunk with ``path``, ``size`` [byte], ``sha256``, ``status`` and ``reason``, sorted by product; one that
        was left out has a reason and nothing else.
    new : int
        How many files were fetched.

    Raises
    ------
    UserError
        If some could not be fetched and are not to be left out, or no mirror could be reached; the others are kept.
        Simulated files are never left out, for they can be made again.
    """
    _unique(products)
    found: dict[str, Fetched] = {}
    failures: dict[str, FetchError] = {}
    for product_id, result in progress(_each(products, service, store, download, limit), len(products), "files"):
        if isinstance(result, Fetched):
            found[product_id] = result
        else:
            failures[product_id] = result
    leave_out = download.on_failure == "leave_out" and not service.simulated
    if failures and (not leave_out or any(isinstance(error, Unreachable) for error in failures.values())):
        named = "; ".join(f"{name} ({failures[name]})" for name in sorted(failures)[:NAMED_FAILURES])
        more = f"; and {len(failures) - NAMED_FAILURES} more" if len(failures) > NAMED_FAILURES else ""
        raise UserError(
            f"{len(failures)} of {len(products)} files could not be fetched: {named}{more}; "
            f"the other {len(found)} are kept, run again to go on."
        )
    manifest = products.copy()
    ids = [str(name) for name in products["product_id"]]
    rows = [found.get(name, NOTHING) for name in ids]
    manifest["path"] = _texts([row.path for row in rows])
    manifest["size"] = Column(np.array([row.size for row in rows], dtype=np.int64), unit="byte")
    manifest["sha256"] = _texts([row.sha256 for row in rows])
    manifest["status"] = _texts([FETCHED if name in found else FAILED for name in ids])
    manifest["reason"] = _texts([str(failures.get(name, "")) for name in ids])
    manifest.meta = {}
    manifest.sort("product_id")
    return manifest, sum(row.new for row in rows)


def _each(products, service, store, download, limit) -> Iterator[tuple[str, Fetched | FetchError]]:
    """Fetch in parallel; a mistake that is not about one file stops the rest."""
    stop = threading.Event()

    def one(row: Row) -> Fetched | FetchError:
        if stop.is_set():
            return FetchError("not tried")
        try:
            return in_place(row) if service.in_place else fetched(row, service, store, download, limit)
        except FetchError as error:
            return error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(f"{store}: the disk is full; free some space and run again.") from error
            raise

    with ThreadPoolExecutor(download.parallel) as pool:
        futures = {pool.submit(one, row): str(row["product_id"]) for row in products}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def in_place(product: Row) -> Fetched:
    """Return a file that the user has, unchanged and unchecked: the crop says what is wrong with an image."""
    path = Path(str(product["access_url"]).removeprefix(FILE))
    try:
        return Fetched(path.as_posix(), path.stat().st_size, sha256(path), new=False)
    except OSError as error:
        raise FetchError(f"{path} cannot be read ({error.strerror})") from error


def fetched(product: Row, service: Service, store: Path, download: Download, limit: int | None) -> Fetched:
    """Return a file in the store, fetching it if it is not there or not the version that is wanted.

    It is written aside, checked, and renamed, so that a file under its own name is always whole.

    Raises
    ------
    FetchError
        If it could not be fetched.
    UserError
        If its name is not safe.
    """
    path = path_in(store, str(product["product_id"]))
    version = str(product["version"])
    note = path.with_name(f".{path.name}.json")
    known = _known(path, note)
    if known and known["version"] == version:
        return Fetched(_relative(path), known["size"], known["sha256"], new=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    if part.is_symlink():
        raise FetchError(f"{part} is a symbolic link; remove it")
    service.retrieve(product, part, download, limit)
    digest, size = sha256(part), part.stat().st_size
    if version.startswith("sha256:") and not digest.startswith(version.removeprefix("sha256:")):
        part.unlink()
        raise FetchError("its content changed since the query; ask the archive again")
    note.unlink(missing_ok=True)
    os.replace(part, path)
    write_json(note, {"sha256": digest, "size": size, "version": version})
    return Fetched(_relative(path), size, digest, new=True)


def _known(path: Path, note: Path) -> dict | None:
    """Return what the note says of a file, if the file is there and is still what it was."""
    if not path.is_file() or path.is_symlink() or not note.is_file():
        return None
    try:
        known = read_json(note)
        same = path.stat().st_size == known["size"] and sha256(path) == known["sha256"] and "version" in known
    except (UserError, KeyError, TypeError):
        return None
    return known if same else None


def _relative(path: Path) -> str:
    return Path(os.path.relpath(path)).as_posix()


def _texts(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=str) if values else np.zeros(0, dtype="U1")


def _unique(products: Table) -> None:
    ids = [str(name) for name in products["product_id"]]
    if len(set(ids)) != len(ids):
        twice = next(name for name in sorted(ids) if ids.count(name) > 1)
        raise UserError(f"{twice}: listed twice in the chunk; ask the archive again.")
