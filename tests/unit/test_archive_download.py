"""The store: what is fetched, what is kept, and what a bad archive cannot do to it."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table, vstack
from steps.http_server import BadServer, status, truncate, web_page

from skyloom.archive.acknowledge import acknowledgement
from skyloom.archive.alma import AlmaService
from skyloom.archive.download import manifest_of
from skyloom.archive.embedded import EmbeddedService
from skyloom.archive.local import LocalService, told_by_header
from skyloom.archive.select import CHUNK
from skyloom.archive.services import conformed
from skyloom.config.schema import AlmaArchive, Download, LocalArchive
from skyloom.errors import UserError

DOWNLOAD = Download(parallel=3, retries=1, backoff="1 ms", timeout="1 s")
LEAVE_OUT = DOWNLOAD.model_copy(update={"on_failure": "leave_out"})


def image(value=1.0, side=30) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.full((side, side), value, dtype=np.float32)).writeto(stream)
    return stream.getvalue()


def chunk(*rows, **common) -> Table:
    table = conformed(Table([common | row for row in rows]), {k: v for k, v in CHUNK.items() if k != "simulated"})
    table["simulated"] = False
    return table


@pytest.fixture
def server():
    with BadServer() as made:
        yield made


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path("store")


def files(server, number) -> Table:
    rows = []
    for n in range(number):
        server.files[f"/d/f{n}.fits"] = image(n)
        rows.append(
            {
                "product_id": f"m/f{n}.fits",
                "access_url": server.url(f"/d/f{n}.fits"),
                "content_length": len(image()),
                "version": "v1",
            }
        )
    return chunk(*rows)


def alma(*servers) -> AlmaService:
    return AlmaService(AlmaArchive(mirrors=[server.url() for server in servers]), DOWNLOAD)


def names(store) -> list[str]:
    return sorted(path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file())


def test_manifest_tells_path_size_and_sha256(server, store):
    manifest, new = manifest_of(files(server, 5), alma(server), store, DOWNLOAD)
    assert new == 5
    assert manifest["product_id"].tolist() == [f"m/f{n}.fits" for n in range(5)]
    for number, row in enumerate(manifest):
        data = Path(row["path"]).read_bytes()
        assert data == image(number)
        assert row["path"] == f"store/m/f{number}.fits"
        assert (row["size"], row["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert not [name for name in names(store) if name.endswith((".part", ".part.json"))]


def test_what_is_there_is_not_fetched_again(server, store):
    products = files(server, 3)
    first, _ = manifest_of(products, alma(server), store, DOWNLOAD)
    asked = len(server.requests)
    again, new = manifest_of(products, alma(server), store, DOWNLOAD)
    assert (new, len(server.requests)) == (0, asked)
    assert again.pformat(max_width=-1) == first.pformat(max_width=-1)


def test_only_what_changed_is_fetched_again(server, store):
    products = files(server, 3)
    manifest_of(products, alma(server), store, DOWNLOAD)
    server.requests.clear()
    server.files["/d/f1.fits"] = image(99)
    products["version"][1] = "v2"
    manifest, new = manifest_of(products, alma(server), store, DOWNLOAD)
    assert new == 1
    assert [path for path, _ in server.requests] == ["/d/f1.fits"]
    assert Path(manifest["path"][1]).read_bytes() == image(99)


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"x" * len(image())), lambda p: p.unlink()])
def test_a_damaged_or_lost_file_is_fetched_again(server, store, damage):
    products = files(server, 2)
    manifest_of(products, alma(server), store, DOWNLOAD)
    damage(store / "m" / "f0.fits")
    manifest, new = manifest_of(products, alma(server), store, DOWNLOAD)
    assert new == 1
    assert Path(manifest["path"][0]).read_bytes() == image(0)


def test_failures_are_listed_and_the_rest_is_kept(server, store):
    products = files(server, 9)
    for number in range(7):
        server.plan(f"/d/f{number}.fits", *[status(500)] * 2)
    with pytest.raises(UserError) as error:
        manifest_of(products, alma(server), store, DOWNLOAD)
    text = str(error.value)
    assert text.startswith("7 of 9 files could not be fetched: m/f0.fits (")
    assert "and 2 more" in text
    assert "\n" not in text
    server.requests.clear()
    manifest, new = manifest_of(products, alma(server), store, DOWNLOAD)
    assert (len(manifest), new) == (9, 7)
    assert server.count("/d/f8.fits") == 0


def test_what_cannot_be_had_is_left_out_where_that_is_wanted(server, store):
    products = files(server, 4)
    server.plan("/d/f0.fits", status(404))
    server.plan("/d/f1.fits", *[truncate(3000)] * 2)
    server.plan("/d/f2.fits", *[web_page()] * 2)
    manifest, new = manifest_of(products, alma(server), store, LEAVE_OUT)
    assert (manifest["status"].tolist(), new) == (["failed"] * 3 + ["fetched"], 1)
    for row, word in zip(manifest[:3], ("404 Not Found", "ended after 3000 of", "web page"), strict=True):
        assert word in row["reason"]
        assert (row["path"], row["size"], row["sha256"]) == ("", 0, "")
    assert manifest["reason"][3] == ""
    assert Path(manifest["path"][3]).read_bytes() == image(3)
    again, new = manifest_of(products, alma(server), store, LEAVE_OUT)
    assert (set(again["status"]), set(again["reason"]), new) == ({"fetched"}, {""}, 3)


def test_an_archive_that_cannot_be_reached_is_no_reason_to_leave_files_out(server, store):
    products = files(server, 2)
    gone = BadServer()
    with gone:
        products["access_url"][1] = gone.url("/d/f1.fits")
        service = alma(gone)
    with pytest.raises(UserError, match=r"1 of 2 files.*m/f1.fits .*cannot be reached"):
        manifest_of(products, service, store, LEAVE_OUT)


def test_an_interrupted_download_goes_on_in_the_next_run(server, store):
    server.headers["ETag"] = '"v1"'
    products = files(server, 1)
    server.plan("/d/f0.fits", truncate(3000), status(500))
    with pytest.raises(UserError):
        manifest_of(products, alma(server), store, DOWNLOAD)
    assert names(store) == ["m/.f0.fits.part", "m/.f0.fits.part.json"]
    server.requests.clear()
    manifest_of(products, alma(server), store, DOWNLOAD)
    assert server.requests[0][1]["Range"] == "bytes=3000-"
    assert names(store) == ["m/.f0.fits.json", "m/f0.fits"]


def test_an_error_page_never_gets_its_name(server, store):
    products = files(server, 1)
    products["content_length"].mask = True
    server.plan("/d/f0.fits", web_page("application/fits"), web_page("application/fits"))
    with pytest.raises(UserError, match="web page, not FITS"):
        manifest_of(products, alma(server), store, DOWNLOAD)
    assert names(store) == []


def test_the_other_mirror_is_asked(server, store):
    products = files(server, 1)
    with BadServer() as dead:
        products["access_url"] = [dead.url("/d/f0.fits")]
        service = alma(dead, server)
    manifest, _ = manifest_of(products, service, store, DOWNLOAD)
    assert Path(manifest["path"][0]).read_bytes() == image(0)


def test_too_large_a_file_is_refused(server, store):
    products = files(server, 1)
    products["content_length"].mask = True
    with pytest.raises(UserError, match="largest size"):
        manifest_of(products, alma(server), store, DOWNLOAD, limit=100)


@pytest.mark.parametrize("evil", ["../f0.fits", "/etc/f0.fits", "m/../../f0.fits", "m\\f0.fits", "m/f\0.fits", ".", ""])
def test_no_file_leaves_the_store(server, store, evil):
    products = files(server, 1)
    products["product_id"] = [evil]
    with pytest.raises(UserError, match="safe name"):
        manifest_of(products, alma(server), store, DOWNLOAD)
    assert server.requests == []


def test_a_folder_that_is_a_link_is_refused(server, store, tmp_path):
    (tmp_path / "outside").mkdir()
    store.mkdir()
    (store / "m").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="symbolic link"):
        manifest_of(files(server, 1), alma(server), store, DOWNLOAD)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_product_listed_twice_is_refused(server, store):
    products = files(server, 1)
    with pytest.raises(UserError, match="listed twice"):
        manifest_of(vstack([products, products]), alma(server), store, DOWNLOAD)


def test_a_full_disk_is_told_and_stops(server, store, monkeypatch):
    import errno

    from skyloom.archive import transfer

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "_note", full)
    with pytest.raises(UserError, match="disk is full"):
        manifest_of(files(server, 4), alma(server), store, DOWNLOAD)


def test_an_empty_chunk_has_an_empty_manifest(server, store):
    manifest, new = manifest_of(files(server, 1)[:0], alma(server), store, DOWNLOAD)
    assert (len(manifest), new) == (0, 0)
    assert {"path", "size", "sha256", "status", "reason"} <= set(manifest.colnames)


def simulated(tmp_path, data) -> Table:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        entry = tarfile.TarInfo("member.uid___A001_X1_X2.T_sci.cont.I.pbcor.fits")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return chunk(
        {
            "product_id": "m/a.fits",
            "access_url": "embedded:s.tar#member.uid___A001_X1_X2.T_sci.cont.I.pbcor.fits",
            "content_length": len(data),
            "version": f"sha256:{hashlib.sha256(data).hexdigest()[:16]}",
        }
    )


def test_embedded_products_come_out_of_their_tar(store, tmp_path):
    manifest, new = manifest_of(simulated(tmp_path, image(3)), EmbeddedService(), store, DOWNLOAD)
    assert new == 1
    assert Path(manifest["path"][0]).read_bytes() == image(3)


def test_a_tar_that_changed_or_went_is_told(store, tmp_path):
    products = simulated(tmp_path, image(3))
    simulated(tmp_path, image(4))
    with pytest.raises(UserError, match="changed since the query"):
        manifest_of(products, EmbeddedService(), store, DOWNLOAD)
    products["access_url"] = ["embedded:s.tar#other.fits"]
    with pytest.raises(UserError, match="no readable"):
        manifest_of(products, EmbeddedService(), store, LEAVE_OUT)  # what can be made again is never left out
    (tmp_path / "s.tar").unlink()
    with pytest.raises(UserError, match=r"s\.tar is missing"):
        manifest_of(products, EmbeddedService(), store, DOWNLOAD)


def test_local_files_are_used_where_they_are(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken one.fits").write_bytes(b"not FITS")
    service = LocalService(LocalArchive(folder="mine"))
    products = service.products(service.observations(None, None))
    table = chunk(*[{name: row[name] for name in ("product_id", "access_url", "version")} for row in products])
    manifest, new = manifest_of(table, service, store, DOWNLOAD)
    assert (manifest["path"].tolist(), new) == (["mine/broken one.fits"], 0)
    assert not store.exists()


def test_header_tells_what_it_can(tmp_path):
    header = fits.Header(
        {"OBJECT": "B335", "BMAJ": 0.0001, "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ"}
        | {"CRVAL1": 294.25, "CRVAL2": 7.5, "CRPIX1": 5.5, "CRPIX2": 5.5, "CDELT1": -0.001, "CDELT2": 0.001}
        | {"CRVAL3": 2.3e11, "RESTFRQ": 2.2e11, "CUNIT1": "deg", "CUNIT2": "deg"}
    )
    fits.PrimaryHDU(np.zeros((1, 10, 10), np.float32), header).writeto(tmp_path / "a.fits")
    told = told_by_header(tmp_path / "a.fits")
    assert (told["target_name"], told["frequency"]) == ("B335", 230.0)
    assert told["s_resolution"] == pytest.approx(0.36)
    assert (told["s_ra"], told["s_dec"]) == pytest.approx((294.25, 7.5), abs=1e-6)
    assert told["s_fov"] == pytest.approx(0.01)


@pytest.mark.parametrize("data", [b"", b"SIMPLE", b"<html>", image()[:1000]])
def test_a_broken_header_tells_nothing(tmp_path, data):
    (tmp_path / "a.fits").write_bytes(data)
    assert told_by_header(tmp_path / "a.fits") == {}


def test_acknowledgement_names_each_project_once():
    table = chunk(
        {"product_id": "a", "proposal_id": "2019.1.00912.S"},
        {"product_id": "b", "proposal_id": "2017.1.00288.S"},
        {"product_id": "c", "proposal_id": "2019.1.00912.S"},
        {"product_id": "d", "proposal_id": ""},
    )
    fake = chunk({"product_id": "e", "proposal_id": "2022.1.90000.S"})
    fake["simulated"] = True
    text = " ".join(acknowledgement([table, fake, table[:0]]).split())
    assert (
        "This paper makes use of the following ALMA data: ADS/JAO.ALMA#2017.1.00288.S, ADS/JAO.ALMA#2019.1.00912.S."
        in text
    )
    assert "1 of 4 observed files do not name an ALMA project" in text
    assert "1 files are simulated" in text
    assert "90000" not in text
    only = acknowledgement([fake])
    assert "ALMA data" not in only
    assert acknowledgement([table[:0]]) == "No files were used.\n"
