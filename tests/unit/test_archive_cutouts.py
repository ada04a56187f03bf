"""Cutouts of LoTSS from a server on loopback, and the list of the Planck clusters."""

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from steps.http_server import BadServer, status, web_page

import fetch_clusters
from skyloom.archive.cutouts import LotssService
from skyloom.archive.download import manifest_of
from skyloom.archive.manifest import FAILED
from skyloom.archive.planck import planck_clusters
from skyloom.archive.select import select
from skyloom.config.schema import Download, LotssArchive, Search
from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.sky.cluster_lists import read_clusters


def cutout(value=1.0) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.full((20, 20), value, np.float32)).writeto(stream)
    return stream.getvalue()


@pytest.fixture
def server():
    with BadServer() as made:
        yield made


@pytest.fixture
def positions(tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("name,ra,dec\nPSZ2 G1+2,150.5,30.25\nPSZ2 G3,10,45\nPSZ2 south,20,-30\n")
    return path


def service(server, positions, **settings):
    given = LotssArchive(server=server.url(), positions=str(positions), size="30 arcmin", **settings)
    return LotssService(given, Download(timeout="5 s"))


def test_one_cutout_a_position_of_the_northern_sky(server, positions):
    search = Search(science_keywords=["Clusters of galaxies"], filename_parts=[".image"], largest_size="2 GB")
    wanted, counts = select(service(server, positions), search, "42:diffuse_radio")
    assert list(wanted["target_name"]) == ["PSZ2 G1+2", "PSZ2 G3"]
    assert list(wanted["filename"]) == ["PSZ2_G1+2.lotss_dr2_20arcsec.fits", "PSZ2_G3.lotss_dr2_20arcsec.fits"]
    assert wanted["access_url"][0] == server.url("/dr2-low-cutout.fits?pos=150.500000,30.250000&size=30")
    assert all(wanted["content_length"].mask) and not any(wanted["simulated"])
    sharp, _ = select(service(server, positions, beam=6), Search(), "42:diffuse_radio")
    assert "/dr2-cutout.fits?" in sharp["access_url"][0]
    one, _ = select(service(server, positions), Search(target="PSZ2 G3", radius="1 arcmin"), "42:diffuse_radio")
    assert list(one["target_name"]) == ["PSZ2 G3"]


def test_a_position_outside_the_survey_is_left_out_and_the_others_come(server, positions, tmp_path):
    archive = service(server, positions)
    wanted, _ = select(archive, Search(), "42:diffuse_radio")
    first, second = (str(url).removeprefix(server.url()) for url in wanted["access_url"])
    server.files[first] = cutout()
    server.plan(first, web_page(), status(503))
    server.plan(second, *[status(404)] * 5)
    download = Download(retries=3, backoff="1 ms", timeout="5 s", on_failure="leave_out")
    manifest, new = manifest_of(wanted, archive, tmp_path / "store", download, None)
    assert new == 1 and list(manifest["status"] == FAILED) == [False, True]
    assert (tmp_path / "store" / str(manifest["product_id"][0])).read_bytes() == cutout()


def test_what_is_missing_is_said(server, tmp_path, positions):
    with pytest.raises(UserError, match=r"archive\.lotss\.positions"):
        service(server, "").observations(Search(), None)
    with pytest.raises(UserError, match=r"archive\.lotss\.server"):
        LotssService(LotssArchive(server="lofar-surveys.org"), Download())
    positions.write_text("name,raj,dec\na,1,2\n")
    with pytest.raises(UserError, match=r"no column `ra` .*did you mean `raj`"):
        service(server, positions).observations(Search(), None)


def vizier_answer(rows) -> bytes:
    table = Table()
    table["PSZ2"] = [row[0] for row in rows]
    for number, (name, unit) in enumerate((("RAJ2000", "deg"), ("DEJ2000", "deg"), ("SNR", "")), 1):
        table[name] = MaskedColumn([row[number] for row in rows], unit=unit or None)
    for number, name in ((4, "z"), (5, "MSZ")):
        values = [row[number] for row in rows]
        table[name] = MaskedColumn([value or 0.0 for value in values], mask=[value is None for value in values])
    stream = io.BytesIO()
    table.write(stream, format="votable")
    return stream.getvalue()


# Names, positions, S/N, redshifts and masses [1e14 Msun] as PSZ2 has them; the last one has neither.
PLANCK = [
    ("G093.92+34.92", 258.1787, 64.0629, 16.0, 0.0809, 5.38),
    ("G008.94-81.22", 3.5785, -30.3888, 20.0, 0.3066, 9.84),
    ("G000.04+45.13", 229.19, -1.02, 6.75, None, None),
]


def test_the_planck_clusters_with_their_radii(server, tmp_path):
    server.files["/viz-bin/votable"] = vizier_answer(PLANCK)
    server.headers["Content-Type"] = "text/xml"
    output = tmp_path / "psz2.ecsv"
    fetch_clusters.main(["--server", server.url(), "--timeout", "5 s", "--output", str(output)])
    table = read_table(output)
    assert list(table["name"]) == ["PSZ2 G008.94-81.22", "PSZ2 G000.04+45.13", "PSZ2 G093.92+34.92"]
    assert table["mass"][0] == pytest.approx(9.84e14) and np.ma.is_masked(table["r500"][1])
    from skyloom.cases.diffuse_radio import Clusters

    known = read_clusters(output, Clusters())
    assert len(known) == 2
    assert known["r500"][0] == pytest.approx(4.9, abs=0.3), "1.3 Mpc at z = 0.31"
    assert known["r500"][1] == pytest.approx(13.0, abs=1.0), "1.2 Mpc at z = 0.08"


def test_a_server_that_says_something_else(server):
    server.files["/viz-bin/votable"] = b"<html>sorry</html>"
    with pytest.raises(UserError, match="127"):
        planck_clusters(server.url(), 5)
    with pytest.raises(UserError, match="network"):
        planck_clusters("http://127.0.0.1:9", 2)
