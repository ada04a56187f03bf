"""One file by HTTP: mirrors, retries, pauses, resumption, and checks of what came."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter

from ..config.schema import Download, in_unit
from .failures import FetchError, Unreachable

MOST_REDIRECTS = 5
LONGEST_PAUSE = 60.0  # seconds
SLOWEST = 100.0  # bytes per second over one timeout; slower is as good as silent
BLOCK = 1 << 16
NOT_HERE = {400, 401, 403, 404, 405, 410, 451}  # the same mirror will say so again


class _Hopeless(Exception):
    """This address will never give the file; go on to the next mirror."""


class _Again(Exception):
    """This try failed; the next may not. `pause` is what the server asked for [s]."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


class _NotReached(_Again):
    """There was no connection."""


class _BrokenOff(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True)
class Wanted:
    """What is known beforehand [bytes]: the length the archive told, and the largest that is accepted."""

    length: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Version:
    """What tells one version of a file from another: a part may only be continued with the same."""

    total: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, response: requests.Response, total: int | None) -> "Version":
        """Read it from a response; weak ETags do not tell bytes apart (RFC 9110, 8.8.1) and are left out."""
        etag = response.headers.get("ETag")
        return cls(total, None if etag and etag.startswith("W/") else etag, response.headers.get("Last-Modified"))


class Mirrors:
    """Addresses of equal archives in order of preference; one that fails twice in a row goes to the end."""

    FAILURES = 2

    def __init__(self, addresses: Sequence[str]):
        """Take the addresses in the order given."""
        self.given = list(addresses)
        self._failures = dict.fromkeys(self.given, 0)
        self._lock = threading.Lock()

    def in_order(self) -> list[str]:
        """Return the mirrors, those first that have not just failed."""
        with self._lock:
            return sorted(self.given, key=lambda mirror: self._failures[mirror] >= self.FAILURES)

    def addresses(self, url: str, hosts: Sequence[str] = ()) -> list[str]:
        """Return a file's address at every mirror, those first that have not just failed.

        It is returned alone where its host is neither a mirror nor one of `hosts`.
        """
        return self._at(self.in_order(), url, hosts)

    def first_address(self, url: str, hosts: Sequence[str] = ()) -> str:
        """Return a file's address at the mirror that was given first, whatever failed."""
        return self._at(self.given, url, hosts)[0]

    def _at(self, mirrors: Sequence[str], url: str, hosts: Sequence[str]) -> list[str]:
        parts = urlsplit(url)
        if parts.netloc not in hosts and parts.netloc not in {urlsplit(mirror).netloc for mirror in self.given}:
            return [url]
        return [urlunsplit((*urlsplit(mirror)[:2], parts.path, parts.query, "")) for mirror in mirrors]

    def failed(self, url: str) -> int:
        """Note that the mirror of an address did not do what it should; return how often in a row."""
        return self._note(url, lambda count: count + 1)

    def worked(self, url: str) -> None:
        """Note that the mirror of an address did what it should."""
        self._note(url, lambda count: 0)

    def _note(self, url: str, change: Callable[[int], int]) -> int:
        with self._lock:
            mirror = next((one for one in self.given if urlsplit(one).netloc == urlsplit(url).netloc), None)
            if mirror is None:
                return 0
            self._failures[mirror] = change(self._failures[mirror])
            return self._failures[mirror]


class _Timeout(HTTPAdapter):
    """Requests wait for ever unless told otherwise each time; this tells it once."""

    def __init__(self, timeout: float):
        self.timeout = timeout
        super().__init__(pool_maxsize=16)

    def send(self, request, **options):
        if options.get("timeout") is None:
            options["timeout"] = self.timeout
        return super().send(request, **options)


def session(timeout: float) -> requests.Session:
    """Return an HTTP session whose connections fail when they are silent for `timeout` seconds."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Timeout(timeout))
    made.headers["User-Agent"] = "skyloom"
    return made


def fetch(
    addresses: Sequence[str],
    part: Path,
    wanted: Wanted,
    download: Download,
    http: requests.Session,
    mirrors: Mirrors | None = None,
    check: Callable[[Path], None] = lambda path: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the bytes at an address to `part`, going on where an earlier try ended.

    Parameters
    ----------
    addresses : sequence of str
        The same file at several mirrors, tried in this order.
    part : Path
        Where the bytes go. What it holds already is continued if the server tells that it is the same version;
        what is known of that version lies beside it in ``<part>.json``.
    wanted : Wanted
        Length and limit [bytes].
    download : Download
        Number of tries a mirror, first pause (doubled each time), timeout.
    http : requests.Session
    mirrors : Mirrors, optional
        Is told which mirror worked and which did not.
    check : callable
        Raises `FetchError` where the finished file is not what it should be; this counts as a failed try.
    sleep : callable
        Waits for so many seconds.

    Raises
    ------
    FetchError
        After the last try at the last mirror, with the reason of each mirror; `Unreachable` if it is that of all.
    """
    reasons = []
    reached = False
    for address in addresses:
        try:
            _from_one_mirror(address, part, wanted, download, http, check, sleep)
        except _Hopeless as error:
            reasons.append(f"{urlsplit(address).netloc}: {error}")
            reached = True
            # A file that is missing says nothing about the mirror.
        except _Again as error:
            reasons.append(f"{urlsplit(address).netloc}: {error}")
            reached |= not isinstance(error, _NotReached)
            if mirrors:
                mirrors.failed(address)
        else:
            if mirrors:
                mirrors.worked(address)
            return
    raise (FetchError if reached else Unreachable)("; ".join(reasons))


def _from_one_mirror(address, part, wanted, download, http, check, sleep) -> None:
    pause = in_unit(download.backoff, "s")
    for left in range(download.retries, -1, -1):
        try:
            _one_try(address, part, wanted, in_unit(download.timeout, "s"), http)
            try:
                check(part)
            except FetchError as error:
                _forget(part)
                raise _Again(str(error)) from error
        except _Again as error:
            if not left:
                raise
            sleep(min(max(pause, error.pause), LONGEST_PAUSE))
            pause *= 2
        else:
            _note_path(part).unlink(missing_ok=True)
            return


def _one_try(address: str, part: Path, wanted: Wanted, timeout: float, http: requests.Session) -> None:
    have, version = _begun(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version.etag or version.modified:
            headers["If-Range"] = version.etag or version.modified
    try:
        with _response(address, headers, http) as response:
            if response.status_code == 416:
                _forget(part)
                raise _Again("does not go on where the last try ended")
            _refuse(response)
            start, total = _extent(response, have)
            now = Version.of(response, total)
            if start and now != version:
                _forget(part)
                raise _Again("the file changed between two tries")
            _check_length(total, wanted)
            _note(part, now)
            _receive(response, part, start, total, wanted, timeout)
    except requests.RequestException as error:
        raise (_NotReached if _no_connection(error) else _Again)(_brief(error)) from error


def _no_connection(error: requests.RequestException) -> bool:
    """Whether there was none; one that was closed early is a ConnectionError as well, around another reason."""
    from urllib3.exceptions import MaxRetryError

    return isinstance(error, requests.ConnectionError) and any(isinstance(why, MaxRetryError) for why in error.args)


def _response(address: str, headers: dict, http: requests.Session) -> requests.Response:
    """Follow redirects by hand, so that they lead to HTTP only and not for ever."""
    for _ in range(MOST_REDIRECTS + 1):
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
            raise _Hopeless(f"leads to '{address[:80]}', which is not an http address")
        response = http.get(address, headers=headers, stream=True, allow_redirects=False)
        if not response.is_redirect:
            return response
        response.close()
        address = urljoin(address, response.headers["Location"])
    raise _Hopeless(f"redirects more than {MOST_REDIRECTS} times")


def _refuse(response: requests.Response) -> None:
    status = response.status_code
    if status in NOT_HERE:
        raise _Hopeless(f"answers {status} {response.reason}".rstrip())
    if status not in (200, 206):
        raise _Again(f"answers {status} {response.reason}".rstrip(), _retry_after(response))
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _Again("answers with a web page instead of the file")


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _extent(response: requests.Response, have: int) -> tuple[int, int | None]:
    """Return where the answer's bytes begin in the file, and the file's length if the server tells."""
    length = response.headers.get("Content-Length", "")
    length = int(length) if length.isdecimal() else None
    if response.status_code == 200:
        return 0, length
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes" or not start.isdecimal() or not total.isdecimal() or int(start) != have:
        raise _Again("answers with another part of the file than was asked for")
    return int(start), int(total)


def _check_length(total: int | None, wanted: Wanted) -> None:
    if total is None:
        return
    if wanted.limit is not None and total > wanted.limit:
        raise _Hopeless(f"has {total} bytes, more than the largest size allowed ({wanted.limit})")
    if wanted.length is not None and total != wanted.length:
        raise _Again(f"has {total} bytes, but the archive says {wanted.length}")


def _receive(response, part: Path, start: int, total: int | None, wanted: Wanted, timeout: float) -> None:
    most = min((n for n in (total, wanted.length, wanted.limit) if n is not None), default=None)
    got = start
    # A link in the place of the part would lead out of the folder.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (0 if start else os.O_TRUNC)
    since, before = time.monotonic(), got
    with os.fdopen(os.open(part, flags, 0o666), "wb") as stream:
        stream.seek(start)
        stream.truncate()
        try:
            for block in iter(lambda: _block(response), b""):
                got += len(block)
                if most is not None and got > most:
                    raise _Again(f"sends more than the {most} bytes announced")
                stream.write(block)
                if time.monotonic() - since > timeout:
                    if got - before < SLOWEST * timeout:
                        raise _Again(f"sends less than {SLOWEST:g} bytes a second")
                    since, before = time.monotonic(), got
            whole = True
        except _BrokenOff:
            whole = False
    expected = total if total is not None else wanted.length
    if not whole or (expected is not None and got != expected):
        raise _Again(f"the connection ended after {got} of {expected or 'unknown'} bytes")


def _block(response: requests.Response) -> bytes:
    """Read what has arrived, undecoded; b'' at the end."""
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    try:
        return response.raw.read1(BLOCK, decode_content=False)
    except ReadTimeoutError as error:
        raise _Again("is silent") from error
    except (HTTPError, OSError) as error:
        raise _BrokenOff from error


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _note(part: Path, version: Version) -> None:
    _note_path(part).write_text(json.dumps(asdict(version)))


def _begun(part: Path) -> tuple[int, Version | None]:
    """Return how much of which version is there; nothing where that is not known."""
    try:
        version = Version(**json.loads(_note_path(part).read_text()))
        have = part.lstat().st_size
    except (OSError, ValueError, TypeError):
        return 0, None
    # With no length there is nothing to tell that a part has become whole.
    return (have, version) if isinstance(version.total, int) and 0 < have < version.total else (0, None)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def _brief(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "is silent"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return " ".join(str(error).split())[:120] or type(error).__name__
