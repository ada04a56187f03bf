"""One file by HTTP from a server that misbehaves."""

import io
import json

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from steps.http_server import (
    BadServer,
    drip,
    endless,
    ignore_range,
    lie,
    redirect,
    stall,
    status,
    truncate,
    web_page,
    wrong_range,
)

from skyloom.archive.failures import FetchError
from skyloom.archive.fits_check import check_fits
from skyloom.archive.transfer import Mirrors, Wanted, fetch, session
from skyloom.config.schema import Download

PATH = "/dataPortal/member.uid___A001_X1_X2.T_sci.cont.I.pbcor.fits"


def image(side=60) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.arange(side * side, dtype=np.float32).reshape(side, side)).writeto(stream)
    return stream.getvalue()


DATA = image()


@pytest.fixture
def server():
    with BadServer() as made:
        made.files[PATH] = DATA
        yield made


@pytest.fixture
def get(server, tmp_path):
    """Fetch the file; the pauses are noted and not waited for."""

    def run(addresses=None, wanted=None, retries=2, check=check_fits, timeout="0.4 s", mirrors=None):
        part = tmp_path / "part"
        run.pauses = []
        download = Download(retries=retries, backoff="1 s", timeout=timeout)
        fetch(
            addresses or [server.url(PATH)],
            part,
            wanted or Wanted(len(DATA)),
            download,
            session(float(timeout.split()[0])),
            mirrors,
            check,
            run.pauses.append,
        )
        return part.read_bytes()

    return run


def ranges(server) -> list[str | None]:
    return [headers.get("Range") for _, headers in server.requests]


def test_a_good_server_needs_one_request(server, get, tmp_path):
    assert get() == DATA
    assert server.count(PATH) == 1
    assert not (tmp_path / "part.json").exists()


def test_truncated_is_resumed_where_it_ended(server, get):
    server.headers["ETag"] = '"v1"'
    server.plan(PATH, truncate(5000))
    assert get() == DATA
    assert ranges(server) == [None, "bytes=5000-"]
    assert server.requests[1][1]["If-Range"] == '"v1"'


def test_last_modified_is_a_validator_as_well(server, get):
    server.headers["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
    server.plan(PATH, truncate(5000))
    assert get() == DATA
    assert ranges(server)[1] == "bytes=5000-"


def test_a_part_of_an_earlier_run_is_resumed(server, get):
    server.headers["ETag"] = '"v1"'
    server.plan(PATH, truncate(3000))
    with pytest.raises(FetchError, match=f"ended after 3000 of {len(DATA)} bytes"):
        get(retries=0)
    assert get() == DATA
    assert ranges(server)[-1] == "bytes=3000-"


def test_a_new_version_starts_again(server, get):
    server.headers["ETag"] = '"v1"'
    server.plan(PATH, truncate(5000))
    with pytest.raises(FetchError):
        get(retries=0)
    server.headers["ETag"] = '"v2"'
    server.files[PATH] = image()[:2880] + b"\1" * (len(DATA) - 2880)
    assert get() == server.files[PATH]


def test_a_server_that_ignores_if_range_does_not_mix_versions(server, get):
    server.headers["ETag"] = '"v1"'
    server.plan(PATH, truncate(5000))
    with pytest.raises(FetchError):
        get(retries=0)
    new = DATA[:2880] + b"\1" * (len(DATA) - 2880)

    def half_of_the_new(handler, data):
        handler.start(206, len(new) - 5000, {"ETag": '"v2"', "Content-Range": f"bytes 5000-{len(new) - 1}/{len(new)}"})
        handler.wfile.write(new[5000:])

    server.files[PATH] = new
    server.plan(PATH, half_of_the_new)
    assert get() == new


def test_a_server_without_ranges_starts_again(server, get):
    server.plan(PATH, truncate(5000), ignore_range)
    assert get() == DATA


def test_a_wrong_range_is_not_appended(server, get):
    server.plan(PATH, truncate(5000), wrong_range, ignore_range)
    assert get() == DATA


def test_a_part_without_its_note_is_not_trusted(server, get, tmp_path):
    (tmp_path / "part").write_bytes(b"x" * 5000)
    assert get() == DATA
    assert ranges(server) == [None]


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"total": "many", "etag": null, "modified": null}', "\0"])
def test_a_broken_note_is_not_trusted(server, get, tmp_path, note):
    (tmp_path / "part").write_bytes(DATA[:5000])
    (tmp_path / "part.json").write_text(note)
    assert get() == DATA


def test_a_part_that_is_too_long_starts_again(server, get, tmp_path):
    (tmp_path / "part").write_bytes(DATA + b"x")
    (tmp_path / "part.json").write_text(json.dumps({"total": len(DATA), "etag": None, "modified": None}))
    assert get() == DATA


def test_a_part_is_not_written_through_a_link(server, get, tmp_path):
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / "part").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        get()
    assert (tmp_path / "outside").read_bytes() == b"mine"


def test_pauses_double(server, get):
    server.plan(PATH, status(500), truncate(10), status(502))
    assert get(retries=3) == DATA
    assert get.pauses == [1, 2, 4]


@pytest.mark.parametrize(
    ("asked", "pause"), [("7", 7), ("86400", 60), ("soon", 1), ("Mon, 01 Jan 2001 00:00:00 GMT", 1)]
)
def test_retry_after_is_honoured_and_bounded(server, get, asked, pause):
    server.plan(PATH, status(503, asked))
    assert get() == DATA
    assert get.pauses == [pause]


@pytest.mark.parametrize("code", [404, 403, 410])
def test_what_is_not_there_is_not_asked_again(server, get, code):
    server.plan(PATH, status(code))
    with pytest.raises(FetchError, match=str(code)):
        get()
    assert server.count(PATH) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (stall(100), "silent"),
        (stall(), "silent"),
        (truncate(0), "ended after 0"),
        (status(500), "500"),
        (status(503), "503"),
        (status(418), "418"),
        (web_page(), "web page"),
        (web_page("application/fits"), "the archive says"),
        (lie(len(DATA) + 10), "the archive says"),
        (lie(len(DATA) - 10), "the archive says"),
        (endless, "more than"),
        (drip(), "100 bytes a second"),
    ],
)
def test_bad_answers_are_told_and_the_next_try_mends(server, get, bad, reason):
    server.plan(PATH, bad)
    with pytest.raises(FetchError, match=reason):
        get(retries=0)
    server.plan(PATH, bad)
    assert get(retries=1) == DATA


@pytest.mark.parametrize("bad", [web_page("application/fits"), lie(len(DATA) - 2880), truncate(2880)])
def test_a_bad_file_is_seen_where_no_length_is_known(server, get, bad):
    server.plan(PATH, bad)
    with pytest.raises(FetchError, match="web page|truncated|ended"):
        get(retries=0, wanted=Wanted())
    assert get(wanted=Wanted()) == DATA


def test_a_file_over_the_limit_is_refused_before_it_is_read(server, get, tmp_path):
    with pytest.raises(FetchError, match="largest size"):
        get(wanted=Wanted(None, 1000))
    assert server.count(PATH) == 1
    assert not (tmp_path / "part").exists()


def test_redirects_are_followed(server, get):
    server.plan("/a", redirect("/b", 301))
    server.plan("/b", redirect(server.url(PATH), 307))
    assert get([server.url("/a")]) == DATA


def test_redirects_for_ever_end(server, get):
    server.plan("/a", *[redirect("/a")] * 100)
    with pytest.raises(FetchError, match="redirects more than"):
        get([server.url("/a")])
    assert server.count("/a") == 6


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x", "javascript:1"])
def test_redirects_lead_to_http_only(server, get, place):
    server.plan("/a", redirect(place))
    with pytest.raises(FetchError, match="not an http address"):
        get([server.url("/a")])


def test_only_http_addresses_are_fetched(get):
    with pytest.raises(FetchError, match="not an http address"):
        get(["file:///etc/passwd"])


def test_the_next_mirror_is_asked_and_the_part_goes_on_there(server, get):
    server.headers["ETag"] = '"v1"'
    server.plan(PATH, truncate(4000))
    with BadServer() as other:
        other.headers["ETag"] = '"v1"'
        other.files[PATH] = DATA
        assert get([server.url(PATH), other.url(PATH)], retries=0) == DATA
        assert ranges(other) == ["bytes=4000-"]


def test_all_mirrors_are_named_with_their_reasons(server, get):
    server.plan(PATH, status(404))
    with BadServer() as other:
        other.plan(PATH, status(500))
        hosts = [server.url().removeprefix("http://"), other.url().removeprefix("http://")]
        with pytest.raises(FetchError, match=f"{hosts[0]}: answers 404.*{hosts[1]}: answers 500"):
            get([server.url(PATH), other.url(PATH)], retries=0)


def test_a_mirror_that_cannot_be_reached_is_left(server, get):
    with BadServer() as gone:
        dead = gone.url(PATH)
    assert get([dead, server.url(PATH)]) == DATA


def test_mirrors_that_fail_twice_go_to_the_end_and_come_back():
    mirrors = Mirrors(["https://a.org", "https://b.org"])
    assert mirrors.addresses("https://b.org/x?y=1") == ["https://a.org/x?y=1", "https://b.org/x?y=1"]
    mirrors.failed("https://a.org/x")
    assert mirrors.in_order() == ["https://a.org", "https://b.org"]
    mirrors.failed("https://a.org/y")
    assert mirrors.in_order() == ["https://b.org", "https://a.org"]
    assert mirrors.first_address("https://b.org/x") == "https://a.org/x"
    mirrors.worked("https://a.org/y")
    assert mirrors.in_order() == ["https://a.org", "https://b.org"]


def test_other_hosts_have_no_mirrors():
    mirrors = Mirrors(["https://a.org"])
    assert mirrors.addresses("https://elsewhere.org/x") == ["https://elsewhere.org/x"]
    assert mirrors.addresses("https://known.org/x", ["known.org"]) == ["https://a.org/x"]


@given(st.binary(max_size=6000))
def test_no_bytes_pass_for_fits(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.fits"
    path.write_bytes(data)
    with pytest.raises(FetchError):
        check_fits(path)


@given(st.integers(0, len(DATA) - 1))
def test_no_truncated_image_passes(tmp_path_factory, size):
    path = tmp_path_factory.getbasetemp() / "cut.fits"
    path.write_bytes(DATA[:size])
    with pytest.raises(FetchError):
        check_fits(path)


def test_headers_without_sense_do_not_pass(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(DATA.replace(b"NAXIS1  =                   60", b"NAXIS1  =          99999999999"))
    with pytest.raises(FetchError, match="truncated|impossible|not readable"):
        check_fits(path)
    path.write_bytes(DATA.replace(b"NAXIS1  =                   60", b"NAXIS1  =                   -6"))
    with pytest.raises(FetchError):
        check_fits(path)
    fits.PrimaryHDU().writeto(path, overwrite=True)
    with pytest.raises(FetchError, match="no data"):
        check_fits(path)


def test_gzipped_fits_passes_whole_only(tmp_path):
    import gzip

    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(DATA))
    check_fits(path)
    path.write_bytes(gzip.compress(DATA)[:-200])
    with pytest.raises(FetchError, match="gzip"):
        check_fits(path)
