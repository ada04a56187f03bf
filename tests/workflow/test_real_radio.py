"""Real radio images through the workflow with `service: local`: the halo and the relic of Abell 2744."""

import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from .conftest import ROOT

DATA = ROOT.parent / "shared/data/diffuse_radio"
IMAGES = {
    "a2744.fits": "A2744_VLA/A2744_JVLA.image.fits",
    "a2255.fits": "A2255_WSRT_pybdsf/reference.ch0_I.fits",
    "fornax_a.fits": "FornaxA_VLA_1.5GHz.fits",
    "lofar.fits": "LOFAR_GRB201006A_cutout.fits",
}
# Positions, redshifts and M500 [1e14 Msun] of PSZ2 (Planck Collaboration 2016, A&A 594, A27).
CLUSTERS = """\
name,ra,dec,redshift,mass
Abell 2744,3.5785,-30.3888,0.308,9.84
Abell 2255,258.1787,64.0629,0.0806,5.38
"""
HALO, RELIC = SkyCoord("0h14m19s -30d23m20s"), SkyCoord("0h14m38s -30d19m40s")


@pytest.fixture(scope="module")
def radio_rows(clean_project, tmp_path_factory):
    """Return the catalog of the real images, searched by small networks trained on simulated LOFAR images."""
    if not DATA.is_dir():
        pytest.skip(f"the real radio images are not here: {DATA} is absent")
    project = clean_project("radio")
    given = tmp_path_factory.mktemp("radio")
    (given / "images").mkdir()
    for name, path in IMAGES.items():
        (given / "images" / name).symlink_to(DATA / path)
    (given / "clusters.csv").write_text(CLUSTERS)
    small = {
        "simulate": {"train": 24, "validation": 32, "test": 8, "other_surveys": 2},
        "examples": {"fields": 240, "turns": 4},
        "search": {"clusters": {"file": str(given / "clusters.csv")}},
        "models": {"diffuse": {"epochs": 8, "batch_size": 4}, "kind": {"epochs": 3}},
    }
    settings = {
        "run": {"name": "radio", "cases": ["diffuse_radio"], "chunks": 1},
        "archive": {"service": "local", "local": {"folder": str(given / "images")}},
        "cases": {"diffuse_radio": small},
    }
    extra = given / "small.yaml"
    extra.write_text(json.dumps(settings))
    project.snakemake(
        "results/radio/catalog.csv", "--cores", "2", configs=["config/presets/local_clusters.yaml", extra]
    )
    return Table.read(project.path / "results/radio/catalog.ecsv")


def rows_of(rows, name):
    return rows[[str(file) == name for file in rows["source_file"]]]


def nearest(rows, place):
    return rows[int(np.argmin(SkyCoord(rows["ra"], rows["dec"], unit="deg").separation(place)))]


def test_halo_and_relic_of_abell_2744_are_found(radio_rows):
    rows = rows_of(radio_rows, "a2744.fits")
    halo = nearest(rows, HALO)
    assert SkyCoord(halo["ra"], halo["dec"], unit="deg").separation(HALO).arcmin < 1.5
    assert halo["cluster"] == "Abell 2744" and halo["r500_distance"] < 0.3 and not halo["simulated"]
    # The halo has about 45 mJy at 1.5 GHz (Pearce et al. 2017, ApJ 845, 81) and the relic some 10; small networks may
    # see both as one.
    around = rows[SkyCoord(rows["ra"], rows["dec"], unit="deg").separation(HALO).arcmin < 8]
    assert 1e3 * halo["flux"] > 40 and 45 < 1e3 * np.sum(around["flux"]) < 75
    apart = around[SkyCoord(around["ra"], around["dec"], unit="deg").separation(RELIC).arcmin < 2]
    assert len(apart) or halo["las"] / 60 > 9


def test_probability_is_where_the_emission_is(radio_rows):
    """R, the mean in the box of 2 R500, is at least a quarter: the halo fills as much of it."""
    rows = rows_of(radio_rows, "a2744.fits")
    assert rows["r500_mean"][0] > 0.2


def test_no_emission_is_claimed_of_noise_and_none_of_a_cluster_where_there_is_none(radio_rows):
    assert not any(rows_of(radio_rows, "lofar.fits")["candidate"])
    # The lobes of Fornax A are wider than most haloes: they are found, and said to be in no cluster.
    assert all("no_cluster" in str(row["flags"]) for row in rows_of(radio_rows, "fornax_a.fits"))
