"""One file of a Zenodo record: what the record says of it, and the file itself, checked against that."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..config.schema import Download, in_unit
from ..errors import UserError
from .failures import FetchError, Unreachable
from .transfer import Wanted, fetch, session

_LARGEST_RECORD = 1 << 22  # bytes
_MD5 = re.compile(r"md5:([0-9a-f]{32})")


@dataclass(frozen=True)
class RecordFile:
    """A file of a record: its name, where it is, its size [bytes] and its MD5."""

    name: str
    url: str
    size: int
    md5: str


def listed(record: object, name: str, address: str) -> RecordFile:
    """Return what a record says of one of its files.

    Parameters
    ----------
    record : object
        The answer of Zenodo's API, parsed.
    name : str
        Of the file.
    address : str
        Of the record; the file has to be at the same host.

    Raises
    ------
    UserError
        If the answer is no record, has no such file, or does not tell its size, MD5 and address.
    """
    files = record.get("files") if isinstance(record, dict) else None
    if not isinstance(files, list):
        raise UserError(f"{address}: answers with something else than a record of Zenodo; try again later.")
    found = next((entry for entry in files if isinstance(entry, dict) and entry.get("key") == name), None)
    if found is None:
        raise UserError(f"{address}: the record has no file {name}; see which it has, and name one.")
    links, md5 = found.get("links"), _MD5.fullmatch(str(found.get("checksum", "")))
    url = str(links.get("self", "")) if isinstance(links, dict) else ""
    if md5 is None or not isinstance(found.get("size"), int):
        raise UserError(f"{address}: does not tell size and MD5 of {name}, so it cannot be checked.")
    if urlsplit(url)[:2] != urlsplit(address)[:2]:
        raise UserError(f"{address}: says that {name} is at '{url[:80]}', which is another host; nothing was fetched.")
    return RecordFile(name, url, found["size"], md5[1])


def fetch_listed(address: str, name: str, folder: Path, download: Download) -> Path:
    """Fetch a file of a record into a folder, going on where an earlier try ended, and check it by size and MD5.

    Parameters
    ----------
    address : str
        Of the record in Zenodo's API.
    name : str
        Of the file.
    folder : Path
        Holds what was begun.
    download : Download
        Number of tries, first pause, timeout.

    Raises
    ------
    UserError
        If there is no network, or the file cannot be had whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    http = session(in_unit(download.timeout, "s"))
    if urlsplit(address).scheme == "https":
        del http.adapters["http://"]  # no redirect leads to an unprotected connection
    answer, part = folder / "record.json.part", folder / "file.part"
    try:
        fetch([address], answer, Wanted(limit=_LARGEST_RECORD), download, http)
        found = listed(_parsed(answer, address), name, address)
        fetch([found.url], part, Wanted(found.size), download, http, check=lambda path: _check(path, found))
    except Unreachable as error:
        raise UserError(
            f"{name} cannot be fetched, for there is no network here ({error}); run where there is."
        ) from error
    except FetchError as error:
        raise UserError(f"{name} cannot be fetched ({error}); run again to go on.") from error
    return part


def _parsed(path: Path, address: str) -> object:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{address}: answers with something else than a record of Zenodo; try again later.") from error


def _check(path: Path, wanted: RecordFile) -> None:
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != wanted.md5:
        raise FetchError(f"its MD5 is {found}, and the record says {wanted.md5}")
