"""FITS files out of an archive file that came from elsewhere: their names are never taken for paths."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import UserError
from .names import is_plain

_PACKED = (".tar.gz", ".tgz", ".tar")
_WANTED = (".fits", ".fits.gz")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, OSError, RuntimeError, NotImplementedError)
_BLOCK = 1 << 20


def unpack_fits(path: str | Path, folder: Path, largest: int) -> list[str]:
    """Write all FITS files of a zip, and of the tar files in it, into one folder.

    Parameters
    ----------
    path : path
        A zip file.
    folder : Path
        Exists, and is empty.
    largest : int
        Most bytes that may be written.

    Returns
    -------
    list of str
        Sorted names of the files.

    Raises
    ------
    UserError
        If the file is broken, holds a link, a name that leads out of the folder, a name twice, no FITS file, or more
        than `largest`.
    """
    left, names = largest, []
    try:
        for inside, stream in _files(Path(path)):
            name = PurePosixPath(inside).name
            if not name.endswith(_WANTED):
                continue
            if name in names:
                raise UserError(f"{path}: holds {name} twice; nothing was unpacked.")
            names.append(name)
            with open(folder / name, "xb") as out:
                while block := stream.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise UserError(f"{path}: holds more than {largest} bytes; nothing was unpacked.")
                    out.write(block)
    except _BROKEN as error:
        raise UserError(f"{path}: is broken or no zip file ({error}); nothing was unpacked.") from error
    if not names:
        raise UserError(f"{path}: holds no FITS file.")
    return sorted(names)


def _files(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the names and contents of the files in a zip, and in the tar files in it."""
    with zipfile.ZipFile(path) as packed:
        for entry in packed.infolist():
            if entry.is_dir():
                continue
            _refuse(path, entry.filename, (entry.external_attr >> 16) & 0o170000 == 0o120000)
            with packed.open(entry) as stream:
                if not entry.filename.endswith(_PACKED):
                    yield entry.filename, stream
                    continue
                with tarfile.open(fileobj=stream, mode="r|*") as tar:
                    for member in tar:
                        if member.isdir():
                            continue
                        _refuse(path, member.name, not member.isreg())
                        yield member.name, tar.extractfile(member)


def _refuse(path: Path, name: str, is_link: bool) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if is_link or not parts or parts[0] == "/" or ".." in parts or not is_plain(parts[-1]):
        what = "a link or a device" if is_link else "no safe name for a file"
        raise UserError(f"{path}: holds {name[:80]!r}, which is {what}; nothing was unpacked.")
