"""From an archive's rows to the wanted files, with counts that are known."""

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from skyloom.archive.select import ALL, select
from skyloom.archive.services import OBSERVATION, PRODUCT, conformed
from skyloom.archive.snapshot import changes, counts_text, in_chunks, read_products, rows_of
from skyloom.archive.targets import target_in_name
from skyloom.config.schema import Search
from skyloom.errors import UserError
from skyloom.files import write_table

A, B = "Low-mass star formation", "Outflows, jets, feedback"


class Archive:
    """An archive of rows given as (member, target, keywords, release, beam, rights), each in two spectral windows."""

    name, asked, simulated, in_place = "made up", [], False, False
    applies = frozenset(Search.model_fields)

    def __init__(self, rows, files=("{t}_sci.cont.I.pbcor.fits", "{t}_sci.cube.I.pbcor.fits", "{t}_sci.mask.tgz")):
        names = ("member_ous_uid", "target_name", "science_keyword", "obs_release_date", "s_resolution", "data_rights")
        whole = [
            dict(zip(names, row, strict=True)) | {"obs_id": f"{row[0]}.spw.{w}", "frequency": 200.0 + 10 * w,
             "s_ra": 10.0 * number, "s_dec": 0.0, "s_fov": 0.01}
            for number, row in enumerate(rows) for w in (0, 1)
        ]  # fmt: skip
        self.table, self.patterns = conformed(Table(whole), OBSERVATION), files

    def named(self, target):
        return self.table

    def observations(self, search, centre):
        return self.table

    def products(self, observations):
        rows = [
            {
                "observation": number,
                "filename": pattern.format(t=row["target_name"]),
                "access_url": f"http://host/{row['target_name']}",
                "content_length": 1000 * (number + 1),
            }
            for number, row in enumerate(observations)
            for pattern in self.patterns
        ]
        return conformed(Table(rows) if rows else Table(), PRODUCT)


ROWS = [
    ("uid://A001/X1/X1", "one", f"{A}, {B}", "2017-01-01", 0.1, "Public"),
    ("uid://A001/X1/X1", "two", A, "2017-01-01", 0.1, "Public"),
    ("uid://A001/X2/X1", "early", A, "2015-01-01", 0.1, "Public"),
    ("uid://A001/X3/X1", "wide", B, "2017-01-01", 0.9, "Public"),
    ("uid://A001/X4/X1", "secret", B, "2017-01-01", 0.1, "Proprietary"),
    ("uid://A001/X5/X1", "other", "Spiral galaxies", "2017-01-01", 0.1, "Public"),
]
SEARCH = {
    "science_keywords": [A, B],
    "released_after": "2016-01-01",
    "angular_resolution": "0.4 arcsec",
    "filename_parts": [".pbcor", "_sci", ".cont"],
    "largest_size": "30 MB",
}


def counted(counts) -> dict:
    return {(row[0], row[1]): tuple(row[2:]) for row in rows_of(counts)}


def test_counts_after_every_filter():
    wanted, counts = select(Archive(ROWS), Search(**SEARCH), "42")
    assert wanted["target_name"].tolist() == ["one", "two"]
    numbers = counted(counts)
    assert numbers["archive", A] == (6, None)
    assert numbers["archive", B] == (6, None)
    assert numbers["archive", ALL] == (12, None)
    assert numbers["release date", A] == (4, None)
    assert numbers["angular resolution", B] == (4, None)
    assert numbers["public", ALL] == (6, None)
    assert numbers["duplicates", A] == (2, None)
    assert numbers["duplicates", B] == (0, None)
    assert numbers["products", ALL] == (2, 6)
    assert numbers["FITS", ALL] == (2, 4)
    assert numbers["file name", ALL] == (2, 2)
    assert "after public: 6 observations (Low-mass star formation: 4;" in counts_text(counts)
    assert "after file name: 2 files of 2 observations" in counts_text(counts)


def test_a_keyword_without_rows_counts_zero():
    _, counts = select(Archive(ROWS), Search(**SEARCH | {"science_keywords": [A, "Debris disks"]}), "42")
    assert counted(counts)["archive", "Debris disks"] == (0, None)


def test_spectral_windows_become_one_row_with_their_mean_frequency():
    wanted, _ = select(Archive(ROWS), Search(**SEARCH), "42")
    assert wanted["frequency"].tolist() == [205.0, 205.0]


@given(st.permutations(range(2 * len(ROWS))))
def test_the_order_of_the_answer_does_not_matter(order):
    archive = Archive(ROWS)
    first, _ = select(archive, Search(**SEARCH), "42")
    archive.table = archive.table[list(order)]
    again, _ = select(archive, Search(**SEARCH), "42")
    assert changes(first, again)["change"].tolist() == []
    assert first["obs_id"].tolist() == again["obs_id"].tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"science_keywords": ["Debris disks"]}, ["'archive'", "science_keywords", "spelling"]),
        ({"released_after": "2030-01-01"}, ["'release date'", "released_after", "2030-01-01", "earlier"]),
        ({"angular_resolution": "1 mas"}, ["'angular resolution'", "1 mas", "larger beam"]),
        ({"science_keywords": [B], "released_after": None, "target": "secret"}, ["'public'", "public_only"]),
        ({"filename_parts": [".uvfits"]}, ["'file name'", "filename_parts", ".uvfits", "removed the last 4"]),
        ({"largest_size": "1 B"}, ["'largest size'", "larger files"]),
    ],
)
def test_no_matches_names_the_filter_and_what_to_loosen(change, words):
    with pytest.raises(UserError) as error:
        select(Archive(ROWS), Search(**SEARCH | change), "42")
    assert all(word in str(error.value) for word in words)


def test_an_archive_without_rows_is_told():
    archive = Archive(ROWS)
    archive.table = archive.table[:0]
    with pytest.raises(UserError, match="gave no rows"):
        select(archive, Search(**SEARCH), "42")


def test_unsafe_and_repeated_files_are_left_out(capsys):
    archive = Archive(ROWS, ("../{t}_sci.cont.pbcor.fits", "{t}_sci.cont.pbcor.fits", "{t}_sci.cont.pbcor.fits"))
    wanted, _ = select(archive, Search(**SEARCH), "42")
    assert len(wanted) == 2
    assert "not plain file names" in capsys.readouterr().out


def test_sample_a_keyword_is_seeded():
    rows = [(f"uid://A001/X{n}/X1", f"t{n}", (A, B)[n % 2], "2017-01-01", 0.1, "Public") for n in range(40)]
    search = Search(**SEARCH | {"sample": 5})
    wanted, counts = select(Archive(rows), search, "42")
    assert counted(counts)["sample", A] == (5, 5)
    assert counted(counts)["sample", ALL] == (10, 10)
    assert wanted["product_id"].tolist() == select(Archive(rows), search, "42")[0]["product_id"].tolist()
    assert wanted["product_id"].tolist() != select(Archive(rows), search, "43")[0]["product_id"].tolist()


@pytest.mark.parametrize("search", [{"target": "T W O"}, {"target": "Two"}, {"position": "10d 0d"}])
def test_target_and_position(search):
    wanted, _ = select(Archive(ROWS), Search(**search), "42")
    assert set(wanted["target_name"]) == {"two"}


@pytest.mark.parametrize(
    ("search", "word"),
    [
        ({"target": "two", "position": "10d 0d"}, "leave one"),
        ({"position": "north of here"}, "not a position"),
    ],
)
def test_wrong_places(search, word):
    with pytest.raises(UserError, match=word):
        select(Archive(ROWS), Search(**search), "42")


def test_an_unknown_target_offline_is_one_sentence(monkeypatch):
    from astropy.coordinates import SkyCoord
    from astropy.coordinates.name_resolve import NameResolveError

    def offline(name):
        raise NameResolveError("All Sesame queries failed.\nno network")

    monkeypatch.setattr(SkyCoord, "from_name", offline)
    with pytest.raises(UserError, match="'Vega'.*SIMBAD.*archive.search.position"):
        select(Archive(ROWS), Search(target="Vega"), "42")


def test_a_target_at_two_places_is_told():
    rows = [(f"uid://A001/X{n}/X1", "same", A, "2017-01-01", 0.1, "Public") for n in range(2)]
    with pytest.raises(UserError, match="36000 arcsec apart"):
        select(Archive(rows), Search(target="same"), "42")


def test_the_longest_target_in_a_name_counts():
    name = "member.uid___A001_X1_X2.HOPS_358_sci.spw25_27.cont.I.pbcor.fits"
    assert target_in_name(name, ["HOPS_35", "HOPS 358", "A001"]) == 1
    assert target_in_name(name, ["HOPS_35"]) is None


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=60), st.integers(1, 9))
def test_chunks_are_a_partition_that_new_files_do_not_change(numbers, count):
    table = Table({"product_id": sorted(f"m/f{n}.fits" for n in numbers)}, dtype=["U20"])
    chunks = in_chunks(table, count)
    assert sorted(name for chunk in chunks for name in chunk["product_id"]) == table["product_id"].tolist()
    more = Table({"product_id": sorted([*table["product_id"], "m/new.fits"])}, dtype=["U20"])
    differing = [
        a["product_id"].tolist() != b["product_id"].tolist()
        for a, b in zip(chunks, in_chunks(more, count), strict=True)
    ]
    assert sum(differing) == 1


def test_changes_tell_added_removed_and_changed(tmp_path):
    before, _ = select(Archive(ROWS), Search(**SEARCH), "42")
    before.meta["time"] = "2026-01-01T00:00:00Z"
    assert changes(None, before).meta["since"] == "first query"
    assert len(changes(None, before)) == 0

    rows = [*ROWS[:1], ("uid://A001/X9/X1", "new", A, "2017-01-01", 0.1, "Public")]
    after, _ = select(Archive(rows), Search(**SEARCH), "42")
    after["content_length"][after["target_name"] == "one"] = 7
    write_table(tmp_path / "before.ecsv", before)
    difference = changes(read_products(tmp_path / "before.ecsv"), after)
    assert difference.meta["since"] == "2026-01-01T00:00:00Z"
    told = {str(row["product_id"]).split("/")[1].split("_")[0]: tuple(row)[::2] for row in difference}
    assert told == {"one": ("changed", "content_length"), "two": ("removed", ""), "new": ("added", "")}


def test_missing_values_survive_the_file(tmp_path):
    wanted, _ = select(Archive(ROWS), Search(**SEARCH), "42")
    wanted["target_name"] = ["", "two"]
    wanted["content_length"].mask = [True, False]
    wanted["spatial_resolution"][0] = np.nan
    write_table(tmp_path / "a.ecsv", wanted)
    again = read_products(tmp_path / "a.ecsv")
    assert again["target_name"].tolist() == ["", "two"]
    assert again["content_length"].mask.tolist() == [True, False]
    assert len(changes(wanted, again)) == 0
