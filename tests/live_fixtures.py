"""A chain of untrained networks with a calibration, and photon lists, for the search of files as they come."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

SIDE = 96
SEARCH = {"side": SIDE, "lowest_score": 1e-3}
POINTING = (83.6, 22.5)


def chain(folder: Path, litert: bool = True) -> SimpleNamespace:
    """Write the networks, by both runtimes, and their calibration; return what options name them."""
    from skyloom.files import write_json
    from skyloom.learn import map_search, runtimes, store
    from skyloom.nets import photon_net, source_net

    shapes = {"map": (SIDE // 2, SIDE // 2, 1), "position": (map_search.CROP, map_search.CROP, 5)}
    networks = {
        "map": photon_net.build(shapes["map"], 2, width=8, dilations=(1, 2)),
        "position": source_net.build(shapes["position"], 2, blocks=1),
    }
    kernel = networks["map"].get_layer("share").weights[0]
    kernel.assign(np.random.default_rng(1).normal(0, 0.3, kernel.shape))
    hashes = {}
    for role, network in networks.items():
        path = folder / f"{role}.keras"
        store.save_model(path, network)
        hashes[role] = hashlib.sha256(path.read_bytes()).hexdigest()
        if litert:
            (folder / f"{role}.tflite").write_bytes(runtimes.as_litert(network, shapes[role], hashes[role]))
    calibration = {
        "probability": {"weights": [1.0, 0.0, 0.0], "bias": 0.0},
        "errors": {"score": [5.0], "radius68": [1.5], "radius95": [2.5], "scale": [1.0], "photons": [1.2]},
        "threshold": 0.0,
        "identity": "chain-0",
        "models_sha256": hashes,
    }
    write_json(folder / "calibration.json", calibration)

    def options(runtime: str = "keras") -> list[str]:
        ending = {"keras": "keras", "litert": "tflite"}[runtime]
        words = ["--case", "cherenkov", "--settings", json.dumps(SEARCH), "--runtime", runtime]
        words += ["--calibration", str(folder / "calibration.json")]
        return [*words, "--models", *(f"{role}={folder / role}.{ending}" for role in networks)]

    return SimpleNamespace(folder=folder, networks=networks, shapes=shapes, calibration=calibration, options=options)


def photon_list(path: Path, events: int = 3000, seed: int = 1) -> Path:
    """Write a photon list with a source among an even background."""
    from skyloom.images.photon_lists import sky_wcs
    from skyloom.instruments.counts_maps import Frame

    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SIDE - 1, (2, events))
    x[:200], y[:200] = rng.normal([[40], [60]], 2.5, (2, 200))
    ra, dec = sky_wcs(Frame(SIDE, 0.025), *POINTING).wcs_pix2world(x, y, 0)
    energy = np.exp(rng.uniform(np.log(0.03), np.log(5), events))
    table = fits.BinTableHDU(Table({"RA": ra * u.deg, "DEC": dec * u.deg, "ENERGY": energy * u.TeV}), name="EVENTS")
    table.header.update({"RA_PNT": POINTING[0], "DEC_PNT": POINTING[1], "LIVETIME": 90.0})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path


def counts_file(path: Path, source: Path, pixel: float = 0.025) -> Path:
    """Write the counts map of a photon list."""
    from skyloom.images.photon_lists import counts_map, read_photons
    from skyloom.instruments.counts_maps import Frame

    observed, wcs = counts_map(read_photons(source), Frame(SIDE, pixel), (0.03, 5.0))
    fits.PrimaryHDU(observed.counts.astype(np.int32), wcs.to_header()).writeto(path)
    return path
