from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from skyloom.cases import cherenkov as case
from skyloom.detect.simulated_maps import observe
from skyloom.detect.simulated_photons import Pointing, as_dl3, dataset_of, draw_events, on_the_sky
from skyloom.images.photon_lists import PhotonList, counts_map, read_photons, sky_wcs
from skyloom.instruments import cherenkov, counts_maps, photon_products, products
from skyloom.instruments.counts_maps import Frame
from skyloom.sky.transients import Background, Field, PointSource

RESOURCES = Path(__file__).parents[2] / "resources"
PERFORMANCE = cherenkov.read_performance(RESOURCES / case.PERFORMANCE)
HESS = sorted((Path(__file__).parents[3] / "shared/data/cherenkov/hess-dl3-dr1/data").glob("*.fits.gz"))
ENERGIES = (0.04, 5.0)
SOURCES = (PointSource(0.5, 0.3, 6.0, 2.5), PointSource(-1.1, -0.9, 3.0, 1.83), PointSource(0.02, -0.67, 4.0, 3.15))
BACKGROUND = Background(1.15, (0.06, -0.04), ((-0.5, 0.7, 0.4, 0.3),))
FIELD = Field(20.0, 40.0, SOURCES, BACKGROUND)
POINTING = Pointing("SIMGAMMA_0000", "four telescopes", 1, 83.6, 22.5, 40.0, date(2024, 1, 1), ENERGIES)
DRAWS = 24


@pytest.fixture(scope="module")
def irfs():
    return cherenkov.make_irfs(PERFORMANCE, 40)


def within(image, frame, source, radius):
    """Return the sum of an image within a radius [deg] of a source."""
    lon, lat = frame.grid()
    return float(image[np.hypot(lon - source.lon, lat - source.lat) < radius].sum())


@pytest.fixture(scope="module")
def expected(irfs):
    """What gammapy and our own response expect, on the same fine pixels."""
    frame = Frame(320, 0.0125)
    dataset = dataset_of(FIELD, POINTING, irfs, 4.0, frame.pixel)
    return frame, dataset, counts_maps.respond(irfs, frame, ENERGIES)


@pytest.mark.parametrize("number", range(len(SOURCES)))
def test_expected_photons_are_those_of_gammapy(expected, number):
    frame, dataset, response = expected
    theirs = dataset.npred_signal(model_names=[f"source-{number}"]).data.sum(axis=0)
    ours = response.expected_source(SOURCES[number], FIELD.time)
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.01)
    for radius in (0.1, 0.2):
        values = (within(image, frame, SOURCES[number], radius) for image in (ours, theirs))
        assert next(values) == pytest.approx(next(values), rel=0.01)


def test_expected_background_is_that_of_gammapy(expected):
    _, dataset, response = expected
    theirs = dataset.npred_background().data.sum(axis=0)
    ours = response.expected_background(BACKGROUND, FIELD.time)
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.01)
    assert np.allclose(ours, theirs, rtol=0.01)


@pytest.fixture(scope="module")
def drawn(irfs):
    """Counts of all events and of the sources, and truth: from photon lists, and from maps drawn at once."""
    frame, rng = Frame(200, 0.025), np.random.default_rng(5)
    dataset = dataset_of(FIELD, POINTING, irfs, 5.0)
    response = counts_maps.respond(irfs, frame, ENERGIES)
    lists = [draw_events(dataset, rng) for _ in range(DRAWS)]
    maps = [observe(FIELD, response, rng) for _ in range(DRAWS)]
    return SimpleNamespace(
        frame=frame,
        lists=lists,
        binned=[binned(events, frame) for events in lists],
        photons=[binned(events[events["MC_ID"] > 0], frame) for events in lists],
        maps=[one.counts.astype(int) for one, _ in maps],
        source_counts=[one.source_counts.astype(int) for one, _ in maps],
        truth=[rows for _, rows in maps],
    )


def binned(events, frame):
    photons = PhotonList(
        *(np.asarray(events[name], float) for name in ("RA", "DEC", "ENERGY")),
        (POINTING.ra, POINTING.dec), FIELD.time, "", "", 40.0, (0.0, np.inf), "",
    )  # fmt: skip
    return counts_map(photons, frame, ENERGIES)[0].counts.astype(int)


def deviations(first, second):
    """Return by how many standard deviations sums of Poisson counts differ."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    return (first - second) / np.sqrt(np.maximum(first + second, 1))


def test_events_are_in_range_and_in_the_order_of_their_times(drawn):
    for events in drawn.lists[:3]:
        energy, time = np.asarray(events["ENERGY"]), np.asarray(events["TIME"])
        assert ENERGIES[0] <= energy.min() and energy.max() < ENERGIES[1]
        assert time.min() >= 0 and time.max() <= FIELD.time and np.all(np.diff(time) >= 0)
        assert set(events["MC_ID"]) == {0, 1, 2, 3}


def test_counts_in_regions_agree_with_the_maps(drawn):
    parts = [np.sum(maps, axis=0).reshape(5, 40, 5, 40).sum(axis=(1, 3)) for maps in (drawn.binned, drawn.maps)]
    off = deviations(*parts)
    assert np.abs(off).max() < 4 and np.sum(off**2) < 45  # 25 regions; 1 % of chance
    assert parts[0].sum() == pytest.approx(parts[1].sum(), rel=0.005)


def test_counts_of_sources_agree_with_the_maps(drawn):
    for number in range(len(SOURCES)):
        listed = sum(int((events["MC_ID"] == number + 1).sum()) for events in drawn.lists)
        mapped = sum(rows[number]["counts"] for rows in drawn.truth)
        assert abs(deviations(listed, mapped)) < 3.5
        assert listed == pytest.approx(DRAWS * drawn.truth[0][number]["expected"], rel=0.05)


def test_profiles_of_sources_agree_with_the_maps(drawn):
    lon, lat = drawn.frame.grid()
    photons, maps = (np.sum(counts, axis=0) for counts in (drawn.photons, drawn.source_counts))
    for source in SOURCES:
        distance = np.hypot(lon - source.lon, lat - source.lat)
        edges = [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45]
        rings = [
            np.array([counts[(distance >= a) & (distance < b)].sum() for a, b in zip(edges, edges[1:], strict=False)])
            for counts in (photons, maps)
        ]
        assert np.sum(deviations(*rings) ** 2) < 16.8  # 6 rings; 1 % of chance


def test_the_scatter_is_poisson(drawn):
    for maps in (drawn.binned, drawn.maps):
        sums = np.array([counts[60:140, 60:140].sum() for counts in maps])
        assert 0.3 < sums.var(ddof=1) / sums.mean() < 2.2


@pytest.fixture(scope="module")
def written(irfs, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("list") / "a.dl3.fits"
    path.write_bytes(as_dl3(drawn.lists[0], FIELD, POINTING, irfs))
    return path


def test_what_is_written_is_read(drawn, written):
    photons, events = read_photons(written), drawn.lists[0]
    assert len(photons.ra) == len(events) and np.allclose(photons.ra, events["RA"], atol=1e-5)
    assert (photons.pointing, photons.target, photons.obs_id) == ((83.6, 22.5), "SIMGAMMA_0000", "1")
    assert photons.livetime == FIELD.time and photons.zenith == pytest.approx(40)
    assert photons.safe((0.03, 10.0)) == ENERGIES


def test_gammapy_reads_it(irfs, drawn, written):
    from gammapy.data import Observation, PointingInfo

    found = Observation.read(written)
    assert sorted(found.available_irfs) == sorted(cherenkov.IRFS)
    assert found.observation_live_time_duration.to_value("s") == pytest.approx(FIELD.time)
    assert found.get_pointing_icrs(found.tmid).ra.deg == pytest.approx(83.6)
    assert np.allclose(found.events.energy.to_value("TeV"), drawn.lists[0]["ENERGY"], rtol=1e-6)
    assert found.tstart.isot.startswith("2024-01-01T23:00") and found.obs_id == 1
    assert PointingInfo.read(written).table["RA_PNT"][0] == pytest.approx(83.6)
    frame = Frame(64, 0.05)
    ours, theirs = (
        counts_maps.respond(parts, frame, ENERGIES) for parts in (irfs, {n: getattr(found, n) for n in cherenkov.IRFS})
    )
    assert np.allclose(ours.rate, theirs.rate, rtol=1e-4, atol=1e-9)
    assert np.allclose(ours.spread, theirs.spread, rtol=1e-3, atol=1e-6)
    assert np.allclose(ours.background, theirs.background, rtol=1e-4, atol=1e-12)


def test_the_file_says_that_it_is_simulated_and_has_no_date_of_its_making(irfs, drawn, written):
    assert written.read_bytes() == as_dl3(drawn.lists[0], FIELD, POINTING, irfs)
    with fits.open(written) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["EVENTS", "GTI", "POINTING", "AEFF", "EDISP", "PSF", "BKG"]
        assert hdus["EVENTS"].header["SIMULATE"] is True and "MC_ID" not in hdus["EVENTS"].columns.names
        assert not any("DATE" in hdu.header or "CREATED" in hdu.header for hdu in hdus)
    assert written.stat().st_size < 1e6


def test_equal_seeds_give_equal_events(irfs):
    field = replace(FIELD, time=2.0)
    dataset = dataset_of(field, POINTING, irfs, 3.0, 0.05)
    first, second, other = (draw_events(dataset, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], second[name]) for name in first.colnames)
    assert len(first) != len(other) or not np.array_equal(first["RA"], other["RA"])


def test_a_field_may_be_empty(irfs):
    field = replace(FIELD, time=2.0, sources=())
    events = draw_events(dataset_of(field, POINTING, irfs, 3.0, 0.05), np.random.default_rng(1))
    assert len(events) > 100 and not np.any(events["MC_ID"])


@pytest.mark.skipif(not HESS, reason="the H.E.S.S. photon lists are not here")
def test_a_response_from_a_file_can_be_simulated():
    irfs = cherenkov.read_irfs(HESS[0])
    pointing = replace(POINTING, energies=(0.9, 20.0))
    events = draw_events(dataset_of(replace(FIELD, time=600.0), pointing, irfs, 4.0, 0.05), np.random.default_rng(1))
    response = counts_maps.respond(irfs, Frame(160, 0.025), pointing.energies)
    expected = response.expected_background(BACKGROUND, 600.0).sum()
    assert abs((events["MC_ID"] == 0).sum() - expected) < 5 * np.sqrt(expected)


@given(lon=st.floats(-2, 2), lat=st.floats(-2, 2), ra=st.floats(0, 359.99), dec=st.floats(-80, 80))
def test_offsets_on_the_sky_are_those_of_the_map(lon, lat, ra, dec):
    frame = Frame(200, 0.025)
    x, y = sky_wcs(frame, ra, dec).wcs_world2pix(*on_the_sky(lon, lat, ra, dec), 0)
    assert np.allclose((x, y), frame.pixel_of(lon, lat), atol=1e-6)


ARCHIVE = SimpleNamespace(
    simulate=case.Simulate(
        sky={"time": (1.0, 3.0), "sources": (1, 2), "offset": (0.0, 0.8)}, observation={"zenith": [40.0], "side": 96}
    )
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A small embedded archive: its table, its tar, and what was made."""
    made = list(case.archived(ARCHIVE, (0, 6, 8), 42, RESOURCES))
    folder = tmp_path_factory.mktemp("archive")
    with products.Tar(folder / "shard_000.tar") as tar:
        for _, files, *_ in made:
            for name, content in files.items():
                tar.add(name, content)
    table = products.as_table([row for *_, rows, _ in made for row in rows], products.OBSCORE_UNITS)
    table.write(folder / "shard_000.obscore.ecsv")
    return folder, table, made


def test_the_archive_gives_what_is_public_and_wanted(archive):
    from skyloom.archive.embedded import EmbeddedService
    from skyloom.archive.select import select
    from skyloom.config.schema import Search

    folder, table, made = archive
    assert list(table["target_name"]) == ["SIMGAMMA_0000", "SIMGAMMA_0006", "SIMGAMMA_0008"]
    assert list(table["data_rights"]) == ["Public", "Public", "Proprietary"]
    search = Search(science_keywords=[case.KEYWORD], filename_parts=[".dl3"])
    wanted, _ = select(EmbeddedService([folder / "shard_000.obscore.ecsv"]), search, "test")
    assert list(wanted["filename"]) == [made[0][2]] and wanted["simulated"][0]
    assert table["em_min"][0] < table["em_max"][0] < 1e-16 and table["em_min"].unit == "m"


def test_the_truth_of_the_archive_is_in_its_files(archive, tmp_path):
    _, _, made = archive
    for number, files, name, rows, truth in made:
        path = tmp_path / name
        path.write_bytes(files[name])
        photons = read_photons(path)
        assert photons.pointing == pytest.approx((rows[0]["s_ra"], rows[0]["s_dec"]))
        assert photons.target == rows[0]["target_name"] and photons.livetime == pytest.approx(rows[0]["t_exptime"])
        frame = Frame(96, 0.025)
        for row in truth:
            place = sky_wcs(frame, *photons.pointing).wcs_world2pix(row["ra"], row["dec"], 0)
            assert np.allclose(place, (row["x"], row["y"]), atol=1e-6)
        table = case.truth_table(
            [{"filename": name, "target_name": photons.target, "cube": number, **r} for r in truth]
        )
        assert set(table["filename"]) == {name} and table["ra"].unit == "deg"


def test_the_archive_is_the_same_for_the_same_seed(archive):
    again = next(iter(case.archived(ARCHIVE, (0,), 42, RESOURCES)))
    assert again[1] == archive[2][0][1]


def test_an_archive_entry_names_its_files_as_the_service_wants(archive):
    from skyloom.archive.embedded import member_tag, tag_in_name

    for *_, name, rows, _ in archive[2]:
        assert tag_in_name(name) == member_tag(rows[0]["member_ous_uid"])
        assert set(rows[0]) >= {"obs_id", "proposal_id", "s_fov", "s_resolution", "obs_release_date"}


def test_the_resolution_is_that_of_the_table(irfs):
    at = np.interp(np.log(0.3 / 4 * 3), np.log(PERFORMANCE["energy"]), PERFORMANCE["radius68"])
    assert photon_products.resolution_of(irfs) == pytest.approx(at * 3600, rel=0.03)
    assert isinstance(case.truth_table([]), Table) and len(case.truth_table([])) == 0
