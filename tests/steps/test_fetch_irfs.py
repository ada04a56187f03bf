"""Responses from a record that a server on loopback has in place of Zenodo."""

import hashlib
import io
import json
import stat
import tarfile
import zipfile

import pytest
from http_server import BadServer, status, truncate

import fetch_irfs
from skyloom.archive.unpack import unpack_fits
from skyloom.errors import UserError

RECORD, NAME, LINK = "/api/records/1", "irfs.zip", "/api/records/1/files/irfs.zip/content"
NORTH = "Prod5-North-20deg-AverageAz-4LSTs09MSTs.180000s-v0.1.fits.gz"


def packed_tar(files: dict[str, bytes], link: str | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
    return stream.getvalue()


def packed_zip(files: dict[str, bytes], link: str | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
    return stream.getvalue()


CONTENT = packed_zip(
    {
        "README.md": b"about",
        "figures/area.png": b"png",
        "fits/North.FITS.tar.gz": packed_tar({NORTH: b"north" * 1000}),
        "fits/South.FITS.tar.gz": packed_tar({"fits/South.fits.gz": b"south"}),
    }
)


@pytest.fixture
def server():
    with BadServer() as made:
        made.headers["ETag"] = '"1"'
        made.files[LINK] = CONTENT
        offer(made)
        yield made


def offer(server, **changes) -> None:
    """Let the record tell of the file, but for what is changed."""
    entry = {
        "key": NAME,
        "size": len(CONTENT),
        "checksum": f"md5:{hashlib.md5(CONTENT).hexdigest()}",
        "links": {"self": server.url(LINK)},
    }
    server.files[RECORD] = json.dumps({"files": [{"key": "other.zip"}, entry | changes]}).encode()


def fetch(server, folder, retries=1):
    words = ["--record", server.url(RECORD), "--file", NAME, "--retries", retries, "--timeout", "1 s"]
    words += ["--part", folder / "begun", "--output", folder / "irfs"]
    fetch_irfs.main([str(word) for word in words])


def test_the_fits_files_are_unpacked_and_nothing_else(server, tmp_path):
    fetch(server, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [NORTH, "South.fits.gz"]
    assert (tmp_path / "irfs" / NORTH).read_bytes() == b"north" * 1000
    assert [path.name for path in tmp_path.iterdir()] == ["irfs"]


def test_a_download_that_was_cut_off_goes_on(server, tmp_path):
    server.plan(LINK, truncate(len(CONTENT) // 2))
    with pytest.raises(UserError, match="connection ended.*run again to go on"):
        fetch(server, tmp_path, retries=0)
    assert not (tmp_path / "irfs").exists()
    fetch(server, tmp_path, retries=0)
    assert server.requests[-1][1]["Range"] == f"bytes={len(CONTENT) // 2}-"
    assert (tmp_path / "irfs" / NORTH).is_file()


def test_other_bytes_than_the_record_tells_are_refused(server, tmp_path):
    offer(server, checksum="md5:" + "0" * 32)
    with pytest.raises(UserError, match="its MD5 is .*, and the record says 0000"):
        fetch(server, tmp_path, retries=0)
    offer(server, size=len(CONTENT) - 1)
    with pytest.raises(UserError, match="bytes, but the archive says"):
        fetch(server, tmp_path, retries=0)
    assert not (tmp_path / "irfs").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "new.zip"}, "the record has no file irfs.zip"),
        ({"checksum": None}, "does not tell size and MD5"),
        ({"size": "many"}, "does not tell size and MD5"),
        ({"links": {"self": "http://elsewhere.example/irfs.zip"}}, "another host; nothing was fetched"),
        ({"links": None}, "another host"),
    ],
)
def test_a_record_that_tells_too_little_is_refused(server, tmp_path, changes, sentence):
    offer(server, **changes)
    with pytest.raises(UserError, match=sentence):
        fetch(server, tmp_path)
    assert server.count(LINK) == 0


@pytest.mark.parametrize("answer", [b"no json", b"[]", b'{"files": 3}', b"[" * 100_000])
def test_an_answer_that_is_no_record(server, tmp_path, answer):
    server.files[RECORD] = answer
    with pytest.raises(UserError, match="something else than a record"):
        fetch(server, tmp_path)


def test_no_network_is_told_in_a_sentence(server, tmp_path):
    server.plan(RECORD, status(404))
    with pytest.raises(UserError, match="irfs.zip cannot be fetched .*answers 404"):
        fetch(server, tmp_path)
    words = ["--record", "http://127.0.0.1:9/", "--retries", "0", "--part", str(tmp_path / "begun")]
    with pytest.raises(UserError, match="there is no network here .*cannot be reached"):
        fetch_irfs.main([*words, "--output", str(tmp_path / "irfs")])


BAD = {
    "a way out of the folder": (packed_zip({"../a.fits": b"x"}), "no safe name"),
    "an absolute path": (packed_zip({"/tmp/a.fits": b"x"}), "no safe name"),
    "a way out with backslashes": (packed_zip({"..\\a.fits": b"x"}), "no safe name"),
    "a hidden file": (packed_zip({"fits/.a.fits": b"x"}), "no safe name"),
    "a link": (packed_zip({"a.fits": b"x"}, link="b.fits"), "a link or a device"),
    "a way out of the tar": (packed_zip({"a.tar.gz": packed_tar({"../../a.fits": b"x"})}), "no safe name"),
    "a link in the tar": (packed_zip({"a.tar.gz": packed_tar({"a.fits": b"x"}, link="b.fits")}), "a link or a device"),
    "a name twice": (packed_zip({"a/a.fits": b"x", "b/a.fits": b"y"}), "holds a.fits twice"),
    "too much": (packed_zip({"a.fits": b"0" * 200_000}), "more than 100000 bytes"),
    "no FITS": (packed_zip({"a.txt": b"x"}), "holds no FITS file"),
    "no zip": (b"text", "is broken or no zip file"),
    "half a zip": (CONTENT[: len(CONTENT) // 2], "is broken or no zip file"),
    "a broken tar": (packed_zip({"a.tar.gz": packed_tar({"a.fits": b"x"})[:-30]}), "is broken or no zip file"),
}


@pytest.mark.parametrize(("content", "sentence"), BAD.values(), ids=BAD)
def test_archives_that_are_refused(tmp_path, content, sentence):
    path, folder = tmp_path / "a.zip", tmp_path / "folder" / "inner"
    path.write_bytes(content)
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match=sentence):
        unpack_fits(path, folder, 100_000)
    assert {found.name for found in tmp_path.rglob("*")} <= {"a.zip", "folder", "inner", "a.fits"}
    assert not list((tmp_path / "folder").glob("*.fits")) and not list(tmp_path.glob("*.fits"))
