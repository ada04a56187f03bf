"""Whether a file is a whole FITS file."""

import gzip
import warnings
from pathlib import Path

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .failures import FetchError

GZIP = b"\x1f\x8b"
MOST_PIXELS = 2**40  # beyond this the header is nonsense


def check_fits(path: Path) -> None:
    """Make sure that a file is FITS, has data, and all of the data its headers announce.

    Parameters
    ----------
    path : Path
        Plain or gzipped.

    Raises
    ------
    FetchError
        Saying what is wrong.
    """
    with open(path, "rb") as stream:
        start = stream.read(512)
    if not start:
        raise FetchError("the file is empty")
    if start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise FetchError("the file is a web page, not FITS")
    if start[:2] == GZIP:
        _check_gzip(path)
    elif start[:9] != b"SIMPLE  =":
        raise FetchError("the file is not FITS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*may have been truncated.*", category=AstropyUserWarning)
        try:
            with fits.open(path, memmap=start[:2] != GZIP, lazy_load_hdus=False) as hdus:
                _check_headers(hdus, path.stat().st_size if start[:2] != GZIP else None)
        except AstropyUserWarning as error:
            raise FetchError("the file is truncated") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, fits.VerifyError) as error:
            raise FetchError(f"the file is not readable FITS ({' '.join(str(error).split())[:100]})") from error


def _check_gzip(path: Path) -> None:
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError) as error:
        raise FetchError("the file is a broken or truncated gzip") from error


def _check_headers(hdus: fits.HDUList, size: int | None) -> None:
    pixels = 0
    for hdu in hdus:
        axes = [hdu.header[f"NAXIS{axis}"] for axis in range(1, hdu.header["NAXIS"] + 1)]
        if any(not isinstance(length, int) or length < 0 for length in axes):
            raise FetchError(f"the header has impossible axes {axes}")
        count = 1 if axes else 0
        for length in axes:
            count *= length
        if count > MOST_PIXELS:
            raise FetchError(f"the header has impossible axes {axes}")
        pixels += count
        info = hdu.fileinfo()
        if size is not None and info and info["datLoc"] + info["datSpan"] > size:
            raise FetchError("the file is truncated")
    if not pixels:
        raise FetchError("the file has no data")
