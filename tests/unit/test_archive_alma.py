"""The ALMA service against recorded answers and mirrors that fail; tests/services has a real TAP server."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from steps.http_server import BadServer, status, web_page

from skyloom.archive.alma import AlmaService
from skyloom.archive.names import is_plain, name_in_url
from skyloom.archive.services import OBSERVATION, conformed
from skyloom.config.schema import AlmaArchive, Download, Search
from skyloom.errors import UserError

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "alma_archive"
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers of ALMA's archive are not here")
MEMBER = "uid://A001/X12a3/Xe9"
LINKS = "/datalink/sync?ID="
TAR = "2017.1.01185.S_uid___A001_X12a3_Xe9"


@pytest.fixture
def mirror():
    with BadServer() as server:
        server.headers["Content-Type"] = "application/x-votable+xml"
        yield server


def service(*mirrors, backend="pyvo"):
    return AlmaService(AlmaArchive(mirrors=list(mirrors), backend=backend), Download(timeout="5 s", parallel=2))


def observed(**values):
    from astropy.table import Table

    row = {"obs_id": "a", "member_ous_uid": MEMBER, "target_name": "50_kms_cloud", "lastModified": "2024-01-01"}
    return conformed(Table([row | values]), OBSERVATION)


def targets(*names) -> bytes:
    from astropy.table import Table

    stream = io.BytesIO()
    Table({"member_ous_uid": [MEMBER] * len(names), "target_name": names}).write(stream, format="votable")
    answer = b'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>'
    return re.sub(rb'<RESOURCE type="results">', answer, stream.getvalue())


@recorded
def test_tar_files_are_expanded_to_their_products(mirror):
    for name, file in (
        ("uid%3A%2F%2FA001%2FX12a3%2FXe9", "alma-datalink.xml"),
        (f"{TAR}_001_of_001.tar", "alma-datalink-recurse-this.xml"),
        (f"{TAR}_auxiliary.tar", "alma-datalink-recurse-aux.xml"),
    ):
        mirror.files[LINKS + name] = (RECORDED / file).read_bytes()
    mirror.files["/tap/sync"] = targets("50_kms_cloud", "another")
    products = service(mirror.url()).products(observed())
    lengths = dict(zip(products["filename"], products["content_length"], strict=True))
    image = "member.uid___A001_X12a3_Xe9.50_kms_cloud_sci.spw0_1_2_3_4_5_6_7_8_9_10_11_12_13_14_15.mfs.I.manual.image"
    assert lengths[f"{image}.pbcor.fits"] == 1359360
    assert not any("asdm" in name or "calibration" in name for name in lengths)
    # An address at one of ALMA's own hosts is written as that of the first mirror, whoever answered.
    readme = products["access_url"][["README" in name for name in products["filename"]]][0]
    assert readme == mirror.url("/dataPortal/member.uid___A001_X12a3_Xe9.README.txt")
    assert set(products["version"]) == {"2024-01-01"}


@recorded
def test_products_of_a_target_that_is_not_selected_are_left_out(mirror):
    mirror.files[f"{LINKS}uid%3A%2F%2FA001%2FX12a3%2FXe9"] = (RECORDED / "alma-datalink-recurse-this.xml").read_bytes()
    mirror.files["/tap/sync"] = targets("50_kms_cloud", "another")
    assert len(service(mirror.url()).products(observed(target_name="another"))) == 0


@recorded
def test_a_recorded_observation_has_all_columns():
    from astropy.table import Table

    row = conformed(Table.read(RECORDED / "alma-onerow.txt", format="ascii"), OBSERVATION)
    assert row["target_name"][0] == "M83"
    assert row["s_resolution"][0] == pytest.approx(1.578, abs=1e-3)
    assert len(conformed(Table.read(RECORDED / "alma-empty.txt", format="ascii"), OBSERVATION)) == 0


@recorded
def test_all_recorded_product_names_are_plain():
    addresses = (RECORDED / "alma_cont_pbcor_links.txt").read_text().split()
    names = [name_in_url(address) for address in addresses]
    assert len(names) > 900
    assert [name for name in names if not is_plain(name)] == []


@pytest.mark.parametrize("backend", ["pyvo", "alminer"])
def test_all_mirrors_failing_is_one_sentence(mirror, backend):
    with BadServer() as gone:
        dead = gone.url()
    mirror.plan("/tap/sync", *[status(503)] * 9)
    search = Search(science_keywords=["Low-mass star formation"])
    with pytest.raises(UserError) as error:
        service(dead, mirror.url(), backend=backend).observations(search, None)
    text = str(error.value)
    assert f"{dead}: cannot be reached" in text
    assert mirror.url() in text
    assert "\n" not in text


def test_a_web_page_is_no_answer(mirror):
    with BadServer() as other:
        for server in (mirror, other):
            server.plan(f"{LINKS}uid%3A%2F%2FA001%2FX12a3%2FXe9", web_page())
        with pytest.raises(UserError, match="no ALMA mirror answered"):
            service(mirror.url(), other.url()).products(observed())
        assert len(other.requests) == 1


def test_the_whole_archive_is_not_asked_for(mirror):
    with pytest.raises(UserError, match="would ask for all of ALMA"):
        service(mirror.url()).observations(Search(), None)
    assert mirror.requests == []


@pytest.mark.parametrize("address", ["almascience.eso.org", "ftp://almascience.eso.org", "file:///etc"])
def test_a_mirror_is_an_http_address(address):
    with pytest.raises(UserError, match="archive.alma.mirrors"):
        service(address)


def test_quotes_cannot_leave_the_query():
    from skyloom.archive.alma import _conditions

    text = _conditions(Search(science_keywords=["x' OR '1'='1"]), SkyCoord(10, -5, unit="deg"), np.float64(0.1))
    assert "x'' or ''1''=''1" in text
    assert text.endswith("1 = INTERSECTS(CIRCLE('ICRS', 10.00000000, -5.00000000, 0.10000000), s_region)")
