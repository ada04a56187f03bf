"""The LAT data server: a form that is posted, a page of results, and files that come some time later."""

import io
from urllib.parse import parse_qs

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from pydantic import ValidationError
from steps.http_server import BadServer, status, truncate, web_page

from skyloom.archive.download import manifest_of
from skyloom.archive.failures import FetchError, Unreachable
from skyloom.archive.fermi import FermiService, joined
from skyloom.archive.names import is_plain
from skyloom.archive.select import select
from skyloom.config.schema import Download, FermiArchive, Search
from skyloom.errors import UserError

FORM, QUEUE = "/cgi-bin/ssc/LAT/LATDataQuery.cgi", "/cgi-bin/ssc/LAT/QueryResults.cgi"
FILES = "/FTP/fermi/data/lat/queries/"
CRAB = SkyCoord(83.633, 22.014, unit="deg")


def photons(count, start=0.0, seed=0) -> bytes:
    rng = np.random.default_rng(seed)
    bits = rng.random((count, 32)) < 0.5
    columns = [
        fits.Column("ENERGY", "E", unit="MeV", array=rng.uniform(300, 20000, count)),
        fits.Column("RA", "E", unit="deg", array=rng.uniform(80, 87, count)),
        fits.Column("DEC", "E", unit="deg", array=rng.uniform(18, 26, count)),
        fits.Column("THETA", "E", unit="deg", array=rng.uniform(0, 60, count)),
        fits.Column("EVENT_TYPE", "32X", array=bits),
    ]
    events = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    events.header.update({"NDSKEYS": 1, "DSTYP1": "POS(RA,DEC)", "DSVAL1": "CIRCLE(83.633,22.014,5)", "DATE": "today"})
    gti = [fits.Column(key, "D", unit="s", array=[start + value]) for key, value in (("START", 0.0), ("STOP", 100.0))]
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), events, fits.BinTableHDU.from_columns(gti, name="GTI")]).writeto(stream)
    return stream.getvalue()


class LatServer(BadServer):
    """Answers a question with the address of a page of results, and there lists files."""

    def __enter__(self):
        super().__enter__()
        page = f"{self.url(QUEUE)}?id=L1"
        told = f'The results of your query may be found at <a href="{page}">{page}</a>'
        self.files[FORM] = f"<html><body>Your search criteria were accepted.<p>{told}</body></html>".encode()
        self.results("L1_PH00.fits", "L1_SC00.fits")
        return self

    def results(self, *names):
        lines = "".join(f"wget {self.url(FILES + name)}<br>" for name in names)
        self.files[f"{QUEUE}?id=L1"] = f"<html><body>{lines or 'Position in queue: 3'}</body></html>".encode()


@pytest.fixture
def server():
    with LatServer() as one:
        one.files[f"{FILES}L1_PH00.fits"] = photons(50)
        yield one


def service(server, sleep=lambda seconds: None, **settings):
    given = {"url": server.url(FORM), "targets": ["83.633 22.014"], "radius": "5 deg", **settings}
    return FermiService(FermiArchive(**given), Download(timeout="5 s", retries=1, backoff="1 ms", parallel=1), sleep)


def retrieved(one, server, tmp_path):
    table = one.products(one.observations(Search(), None))
    one.retrieve(table[0], tmp_path / "a.part", Download(timeout="5 s", retries=1, backoff="1 ms"), None)
    return fits.open(tmp_path / "a.part")


def test_the_question_is_what_the_settings_say(server):
    one = service(server, energies=(1.0, 20.0), dates=("2010-01-01", "2011-01-01"))
    table = one.products(one.observations(Search(), None))
    form = {name: values[0] for name, values in parse_qs(server.posted[0][1], keep_blank_values=True).items()}
    # FK5, which differs from ICRS by some milliseconds of arc.
    assert [float(part) for part in form["coordfield"].split(",")] == pytest.approx([83.633, 22.014], abs=3e-5)
    assert form["coordsystem"] == "J2000"
    assert form["shapefield"] == "5" and form["energyfield"] == "1000, 20000"
    assert form["timefield"] == "2010-01-01 00:00:00, 2011-01-01 00:00:00" and form["timetype"] == "Gregorian"
    assert form["photonOrExtendedOrNone"] == "Photon" and form["spacecraft"] == "off"
    assert table["access_url"][0] == f"{server.url(QUEUE)}?id=L1" and is_plain(str(table["filename"][0]))
    assert table["content_length"].mask.all() and "FermiLAT.query_object" in one.asked[0]


def test_the_same_question_has_the_same_version_and_another_one_has_not(server):
    def version(**settings):
        one = service(server, **settings)
        return str(one.products(one.observations(Search(), None))["version"][0])

    assert version() == version() != version(energies=(1.0, 20.0))
    assert len(server.posted) == 3  # no answer was taken from a cache


def test_files_are_waited_for_and_fetched(server, tmp_path):
    ready = server.files[f"{QUEUE}?id=L1"]
    server.results()
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            server.files[f"{QUEUE}?id=L1"] = ready

    with retrieved(service(server, sleep, poll="10 s"), server, tmp_path) as hdus:
        assert len(hdus["EVENTS"].data) == 50
    assert waits == [10.0, 10.0] and server.count(f"{FILES}L1_SC00.fits") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.part"]


def test_several_files_come_as_one_list_with_all_intervals(server, tmp_path):
    server.results("L1_PH01.fits", "L1_PH00.fits")
    server.files[f"{FILES}L1_PH01.fits"] = photons(70, 100.0, seed=1)
    with retrieved(service(server), server, tmp_path) as hdus:
        events = hdus["EVENTS"]
        assert len(events.data) == 120 and "THETA" not in events.columns.names and "DATE" not in events.header
        assert events.header["DSVAL1"] == "CIRCLE(83.633,22.014,5)"
        with fits.open(io.BytesIO(photons(70, 100.0, seed=1))) as other:
            assert np.array_equal(events.data["RA"][50:], other["EVENTS"].data["RA"])
            assert np.array_equal(events.data["EVENT_TYPE"][50:], other["EVENTS"].data["EVENT_TYPE"])
        assert hdus["GTI"].data["START"].tolist() == [0.0, 100.0]
    first = (tmp_path / "a.part").read_bytes()
    joined_again = tmp_path / "again"
    for number, seed in enumerate((0, 1)):
        (tmp_path / str(number)).write_bytes(photons((50, 70)[number], 100.0 * number, seed))
    joined([tmp_path / "0", tmp_path / "1"], joined_again)
    assert joined_again.read_bytes() == first


def test_the_archive_is_searched_and_its_files_are_kept(server, tmp_path):
    one = service(server)
    wanted, counts = select(one, Search(science_keywords=["Gamma-ray sources"]), "42")
    assert len(wanted) == 1 and counts["files"][-1] == 1
    manifest, new = manifest_of(wanted, one, tmp_path, Download(parallel=1))
    assert new == 1 and manifest["size"][0] > 0
    assert manifest_of(wanted, service(server), tmp_path, Download(parallel=1))[1] == 0
    named, _ = select(one, Search(position="83.633 22.014"), "42")
    assert (named["s_ra"][0], named["s_dec"][0]) == (83.633, 22.014)


def test_a_grid_covers_the_sky(server):
    table = service(server, targets=[], grid=8).observations(Search(), None)
    assert len(table) == len(set(table["obs_id"])) == 768
    galactic = SkyCoord(table["s_ra"], table["s_dec"], unit="deg").galactic
    assert abs(galactic.b.deg.mean()) < 1e-6 and galactic.b.deg.max() > 80
    assert len(service(server).observations(Search(), CRAB)) == 1


def test_bad_answers_to_a_question_are_told_in_one_sentence(server):
    server.files[FORM] = b"<html><title>x</title><body><b>Error:</b> the search radius is too large.</body></html>"
    with pytest.raises(UserError, match="did not take the question: 'Error: the search radius is too large'"):
        service(server).products(service(server).observations(Search(), None))
    server.files[FORM] = b""
    with pytest.raises(UserError, match="an empty page"):
        service(server).products(service(server).observations(Search(), None))
    server.plan(FORM, status(503))
    with pytest.raises(UserError, match="did not answer"):
        service(server).products(service(server).observations(Search(), None))
    nowhere = service(server)
    nowhere.settings = FermiArchive(url="http://127.0.0.1:9/x", targets=["83 22"])
    with pytest.raises(UserError, match="cannot be reached"):
        nowhere.products(nowhere.observations(Search(), None))


def test_a_page_of_another_server_is_not_followed(server):
    server.files[FORM] = b'The results of your query may be found at <a href="https://elsewhere.example/page">'
    with pytest.raises(UserError, match="did not take the question"):
        service(server).products(service(server).observations(Search(), None))


def test_bad_results_are_failures_of_the_file(server, tmp_path):
    server.results()
    with pytest.raises(FetchError, match="no files after 1 min"):
        retrieved(service(server, patience="1 min"), server, tmp_path)
    server.results("L1_SC00.fits")
    with pytest.raises(FetchError, match="no photons"):
        retrieved(service(server), server, tmp_path)
    server.results("L1_PH00.fits")
    server.plan(f"{FILES}L1_PH00.fits", web_page(), web_page(), web_page())
    with pytest.raises(FetchError, match="web page"):
        retrieved(service(server), server, tmp_path)
    server.files[f"{FILES}L1_PH00.fits"] = server.files[f"{FILES}L1_PH00.fits"][:5000]
    with pytest.raises(FetchError, match="truncated|no data"):
        retrieved(service(server), server, tmp_path)


def test_a_download_that_breaks_off_goes_on(server, tmp_path):
    server.headers["ETag"] = '"1"'
    server.plan(f"{FILES}L1_PH00.fits", truncate(4000))
    with retrieved(service(server), server, tmp_path) as hdus:
        assert len(hdus["EVENTS"].data) == 50


def test_a_server_that_went_away_is_not_the_file_s_fault(server, tmp_path):
    one = service(server)
    row = one.products(one.observations(Search(), None))[0]
    row["access_url"] = "http://127.0.0.1:9/page"
    one.root = "http://127.0.0.1:9"
    with pytest.raises(Unreachable):
        one.retrieve(row, tmp_path / "a.part", Download(retries=0, backoff="1 ms"), None)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dates": ("2011-01-01", "2010-01-01")}, "dates"),
        ({"radius": "70 deg"}, "radius"),
        ({"energies": (5, 1)}, "small"),
    ],
)
def test_settings_that_the_server_would_refuse_are_refused(settings, reason):
    with pytest.raises(ValidationError, match=reason):
        FermiArchive(**settings)


def test_nothing_to_ask_for_and_bad_addresses_are_mistakes(server):
    with pytest.raises(UserError, match="give `targets`, `grid`"):
        service(server, targets=[]).observations(Search(), None)
    with pytest.raises(UserError, match="archive.fermi.url"):
        FermiService(FermiArchive(url="fermi"), Download())
