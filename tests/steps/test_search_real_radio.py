"""Real radio images through the search, with a stand-in network: what it says depends on no training."""

import json

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from cube_fixtures import ROOT, manifest_row, step, write_manifest

from skyloom.files import read_table, sha256
from skyloom.images.radio_files import read_field
from skyloom.sky.cluster_lists import read_clusters

DATA = ROOT.parent / "shared/data/diffuse_radio"
CASE = "diffuse_radio"
IMAGES = {
    "Abell 2744": "A2744_VLA/A2744_JVLA.image.fits",
    "Abell 2255": "A2255_WSRT_pybdsf/reference.ch0_I.fits",
    "Fornax A": "FornaxA_VLA_1.5GHz.fits",
    "LOFAR": "LOFAR_GRB201006A_cutout.fits",
    "cube": "A2255_WSRT_pybdsf/tbdsf_process_image.in_fits.gz",
}
# Positions, redshifts and M500 [1e14 Msun] of PSZ2 (Planck Collaboration 2016, A&A 594, A27).
CLUSTERS = """\
name,ra,dec,redshift,mass
Abell 2744,3.5785,-30.3888,0.308,9.84
Abell 2255,258.1787,64.0629,0.0806,5.38
"""
HALO = SkyCoord("0h14m19s -30d23m20s")
# Its flux at 1.5 GHz is about 45 mJy (Pearce et al. 2017, ApJ 845, 81); flux scales are known to a tenth.
FLUX, ERROR = 45.1, 4.5


def network():
    """Return a network that finds what is wide and above the noise: a mean of S/N over some beams, and a threshold."""
    from skyloom.learn import backend

    backend.start(1)

    import keras
    from keras import layers

    given = keras.Input((None, None, 5), name="given")
    mean = layers.AveragePooling2D(9, strides=1, padding="same", name="mean")(given)
    model = keras.Model(given, layers.Conv2D(1, 1, activation="sigmoid", name="above")(mean), name="map")
    model.set_weights([np.array([12, 0, 0, 0, 0], np.float32).reshape(1, 1, 5, 1), np.array([-9], np.float32)])
    return model


def calibration(files):
    """Return a calibration that knows nothing: every island is as probable as not."""
    from skyloom.learn import field_calibration, field_tables

    def unknown(count):
        return field_calibration.logistic(np.zeros((2, count)), np.array([True, False]))

    return {
        "probability": unknown(7),
        "fields": {name: unknown(5) for name in field_tables.OUTPUTS},
        "kinds": [unknown(8) for _ in field_tables.KINDS],
        "errors": {"flux": {group: {"scale": 1.0, "factor": 1.0} for group in ("relic", "other")}},
        "threshold": 0.4,
        "field_threshold": 0.4,
        "identity": "stand-in",
        "trained": {"beam": [2.0, 2.5], "frequency": [144.0, 144.0]},
        "models_sha256": {role: sha256(path) for role, path in files.items()},
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    if not DATA.is_dir():
        pytest.skip(f"the real images are not here: {DATA} is absent")
    from skyloom.learn import store

    folder = tmp_path_factory.mktemp("radio")
    files = {"map": folder / "map.keras"}
    store.save_model(files["map"], network())
    (folder / "calibration.json").write_text(json.dumps(calibration(files)))
    (folder / "clusters.csv").write_text(CLUSTERS)
    rows = [manifest_row(DATA / path, simulated=False) for path in IMAGES.values()]
    tables = {kind: folder / f"{kind}.ecsv" for kind in ("objects", "predictions", "fields")}
    step(
        "search",
        case=CASE,
        settings={"clusters": {"file": str(folder / "clusters.csv")}},
        manifest=write_manifest(folder / "manifest.ecsv", rows),
        models=[f"{role}={path}" for role, path in files.items()],
        calibration=folder / "calibration.json",
        **tables,
    )
    return read_table(tables["fields"]), read_table(tables["objects"])


def rows_of(found, name):
    objects = found[1]
    rows = objects[[str(file) == IMAGES[name].rpartition("/")[2] for file in objects["filename"]]]
    return rows[np.argsort(-np.asarray(rows["snr"]))]


def test_every_image_is_searched_and_a_cube_is_not(found):
    status = dict(zip(found[0]["filename"], found[0]["status"], strict=True))
    assert list(status.values()) == ["kept"] * 4 + ["dropped"]
    assert "cube of 129 x 129 x 10 x 4" in str(found[0]["reason"][-1])


def test_the_halo_of_abell_2744(found):
    row = rows_of(found, "Abell 2744")[0]
    assert SkyCoord(row["ra"], row["dec"], unit="deg").separation(HALO) < 1 * units.arcmin
    assert row["cluster"] == "Abell 2744" and row["cluster_redshift"] == pytest.approx(0.308)
    assert 1e3 * row["flux"] == pytest.approx(FLUX, abs=0.25 * FLUX), "with what is around it of its relics"
    assert row["las"] / 60 == pytest.approx(7, abs=3)
    assert "untrained" in str(row["flags"]) and "no_cluster" not in str(row["flags"])


def test_the_flux_of_the_halo_inside_its_radius():
    if not DATA.is_dir():
        pytest.skip(f"the real images are not here: {DATA} is absent")
    file = read_field(DATA / IMAGES["Abell 2744"])
    usable = np.squeeze(fits.getdata(DATA / "A2744_VLA/A2744_JVLA.image_MASK.fits.gz")) > 0.5
    x, y = file.wcs.world_to_pixel(HALO)
    rows, columns = np.indices(usable.shape)
    inside = np.hypot(columns - x, rows - y) * file.field.pixel < 3.5 * 60
    flux = file.field.image[:][inside & usable].sum() / file.field.beam_area
    assert 1e3 * flux == pytest.approx(FLUX, abs=ERROR)


def test_a_cluster_beside_the_image_and_images_without(found, tmp_path):
    (tmp_path / "clusters.csv").write_text(CLUSTERS)
    from skyloom.cases.diffuse_radio import Clusters

    known = read_clusters(tmp_path / "clusters.csv", Clusters())
    assert read_field(DATA / IMAGES["Abell 2255"], known).cluster == "Abell 2255"
    for name in ("Fornax A", "LOFAR"):
        assert all("no_cluster" in str(row["flags"]) for row in rows_of(found, name))
    for row in rows_of(found, "Abell 2255"):
        assert {"unit_assumed", "partial", "untrained"} <= set(str(row["flags"]).split(";"))


def test_fornax_a_is_what_such_a_network_claims(found):
    """Its lobes are wide and bright: no network that sees brightness alone can tell them from a halo."""
    row = rows_of(found, "Fornax A")[0]
    assert row["las"] > 20 * 60 and "no_cluster" in str(row["flags"])
