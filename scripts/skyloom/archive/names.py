"""Names of files that come from elsewhere: they never lead out of the folder they belong to."""

import re
import stat
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..errors import UserError

LONGEST_NAME = 200  # bytes; file systems allow 255, and `.part` and `.json` are added
_PLAIN = re.compile(r"[A-Za-z0-9_+\-.,=@]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def is_plain(name: str) -> bool:
    """Whether a text is a file name and nothing else: no path, no hidden file, no control or odd character.

    Spaces and non-ASCII letters are odd as well: ALMA's product names have none.
    """
    return (
        _PLAIN.fullmatch(name) is not None
        and not name.startswith((".", "-"))
        and len(name) <= LONGEST_NAME
        and not _RESERVED.match(name)
    )


def name_in_url(url: str) -> str:
    """Return the decoded last part of an address's path, which is the file's name, plain or not."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def folder_of(member_ous_uid: str) -> str:
    """Return the folder of a member OUS: ``uid://A001/X1/X2`` becomes ``uid___A001_X1_X2``, as ALMA writes it.

    Whatever the text, the result is one plain name.
    """
    name = re.sub(r"[^A-Za-z0-9_+\-]", "_", member_ous_uid)[:LONGEST_NAME].lstrip("-")
    return name if name and is_plain(name) else f"member_{name[: LONGEST_NAME - 7]}"


def path_in(store: Path, product_id: str) -> Path:
    """Return the place of a product in the store.

    Parameters
    ----------
    store : Path
        The folder that holds all files.
    product_id : str
        ``folder/name`` with plain parts (see `is_plain`).

    Raises
    ------
    UserError
        If the id would lead out of the store, by its text or through a symbolic link.
    """
    parts = PurePosixPath(product_id).parts
    if not parts or "/".join(parts) != product_id or not all(is_plain(part) for part in parts):
        raise UserError(
            f"{product_id!r}: not a safe name for a file in {store}; correct the row or ask the archive again."
        )
    place = Path(store)
    for part in parts:
        place = place / part
        if _is_link(place):
            raise UserError(f"{place}: a symbolic link in the store could lead out of it; remove the link.")
    return place


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return False
