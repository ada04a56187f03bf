"""Small tables and cutouts as crop, infer and label_objects leave them, for the tests of catalog and plots."""

import hashlib

import numpy as np
from astropy import units
from astropy.table import MaskedColumn, Table

from crop import OBJECT_UNITS
from skyloom.files import write_table
from skyloom.images.store import Cutouts, write_cutouts

UNITS = OBJECT_UNITS | {"radius": "arcsec"}


def with_units(table: Table) -> Table:
    for name, unit in UNITS.items():
        if name in table.colnames:
            table[name].unit = unit
    return table


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_objects(n: int = 12, seed: int = 1) -> Table:
    rng = np.random.default_rng(seed)
    files = [f"member.uid___A001_X{i // 2:03d}._sci.spw0.cont.I.pbcor.fits" for i in range(n)]
    peak = rng.uniform(1e-4, 5e-2, n)
    table = Table(
        {
            "object_id": [f"member.uid___A001_X{i // 2:03d}.{i % 2 + 1:02d}" for i in range(n)],
            "target_name": [f"Target {i // 2}" for i in range(n)],
            "proposal_id": [f"2019.1.{i:05d}.S" for i in range(n)],
            "member_ous_uid": [f"uid://A001/X{i // 2:03d}/X1" for i in range(n)],
            "filename": files,
            "sha256": [digest(name) for name in files],
            "data_sha256": [digest(name + "data") for name in files],
            "simulated": [i % 3 > 0 for i in range(n)],
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
            "pos_error": rng.uniform(0.001, 0.02, n),
            "peak_flux": peak,
            "peak_flux_error": peak / 50,
            "flux": 3 * peak,
            "flux_error": peak / 20,
            "fwhm_major": MaskedColumn(rng.uniform(0.2, 1.0, n), mask=[i == 2 for i in range(n)]),
            "fwhm_minor": MaskedColumn(rng.uniform(0.1, 0.2, n), mask=[i == 2 for i in range(n)]),
            "pa": MaskedColumn(rng.uniform(0, 180, n), mask=[i == 2 for i in range(n)]),
            "size": rng.uniform(0.2, 1.0, n),
            "beam_major": rng.uniform(0.1, 0.2, n),
            "beam_minor": rng.uniform(0.05, 0.1, n),
            "beam_pa": rng.uniform(-90, 90, n),
            "rms": peak / 60,
            "snr": np.full(n, 60.0),
            "frequency": np.where(np.arange(n) == 1, np.nan, 230.5),
            "flags": ["" if i % 4 else "edge" for i in range(n)],
        },
    )
    return with_units(table)


def make_predictions(objects: Table, seed: int = 2) -> Table:
    n = len(objects)
    probability = np.random.default_rng(seed).uniform(0, 1, n)
    table = Table(
        {
            "object_id": objects["object_id"],
            "probability": probability,
            "spread": MaskedColumn(np.zeros(n), mask=np.ones(n, dtype=bool)),
            "logit": np.log(probability / (1 - probability)),
            "candidate": probability > 0.6,
            "model": np.full(n, "windnet-0123456789ab"),
        }
    )
    # Another order than the objects: the join is by id.
    return table[::-1]


def make_labels(objects: Table) -> Table:
    """Return labels: the first two objects trained, the third validated, the next two test, the rest is unknown."""
    splits = ["train", "train", "validation", "test", "test"][: len(objects)]
    return Table(
        {
            "object_id": MaskedColumn(objects["object_id"][: len(splits)], dtype="U60"),
            "label": np.array([1, 0, 1, 1, 0][: len(splits)], dtype=int),
            "split": MaskedColumn(splits, dtype="U10"),
        }
    )


def make_fields(n: int = 6, seed: int = 3) -> Table:
    rng = np.random.default_rng(seed)
    table = Table(
        {
            "product_id": [f"p{i}" for i in range(n)],
            "filename": [f"f{i}.fits" for i in range(n)],
            "status": ["dropped" if i == 0 else "kept" for i in range(n)],
            "ra": np.where(np.arange(n) == 0, np.nan, rng.uniform(0, 360, n)),
            "dec": np.where(np.arange(n) == 0, np.nan, rng.uniform(-60, 60, n)),
            "radius": np.where(np.arange(n) == 0, np.nan, 10.0 + np.arange(n)),
        }
    )
    return with_units(table)


def make_cutouts(objects: Table, side: int = 40, seed: int = 4) -> Cutouts:
    """Return cutouts with a tilted Gaussian ridge each, the left edge of the first not observed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    scaled = []
    for _ in range(len(objects)):
        angle = rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        scaled.append(40 * np.exp(-((along / 8) ** 2) - (across / 3) ** 2) + rng.normal(0, 1, (side, side)))
    scaled = np.array(scaled, dtype=np.float32).reshape(len(objects), side, side)
    if len(objects):
        scaled[0, :, : side // 5] = np.nan
    rms = np.asarray(objects["rms"], dtype=np.float32)
    headers = np.array([_header(row, side) for row in objects], dtype=str)
    beam = np.tile(np.array([[6.0, 4.0, 30.0]], dtype=np.float32), (len(objects), 1))
    ids = np.asarray(objects["object_id"], dtype=str)
    return Cutouts(ids, scaled * rms[:, None, None], scaled, scaled, rms, headers, headers, headers, beam, beam, beam)


def _header(row, side: int) -> str:
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [row["ra"], row["dec"]]
    wcs.wcs.crpix = [(side + 1) / 2] * 2
    wcs.wcs.cdelt = [-(0.03 * units.arcsec).to_value("deg"), (0.03 * units.arcsec).to_value("deg")]
    return wcs.to_header().tostring(sep="\n")


def write_inputs(folder, n: int = 12) -> dict[str, list[str]]:
    """Write all inputs of build_catalog, in two chunks, and return their paths by option."""
    objects = make_objects(n)
    predictions, labels, fields = make_predictions(objects), make_labels(objects), make_fields()
    paths = {"objects": [], "predictions": [], "fields": [], "cutouts": []}
    for chunk, rows in enumerate((slice(0, n // 3), slice(n // 3, n))):
        part = objects[rows]
        keep = np.isin(predictions["object_id"], part["object_id"])
        tables = {"objects": part, "predictions": predictions[keep], "fields": fields[chunk::2]}
        for kind, table in tables.items():
            path = folder / f"chunk_{chunk:03d}.{kind}.ecsv"
            write_table(path, table)
            paths[kind].append(str(path))
        path = folder / f"chunk_{chunk:03d}.h5"
        write_cutouts(path, make_cutouts(part), {"case": "disk_winds"})
        paths["cutouts"].append(str(path))
    write_table(folder / "labels.ecsv", labels)
    return paths | {"labels": [str(folder / "labels.ecsv")]}


def catalog_paths(folder) -> dict[str, str]:
    suffixes = {
        "csv": "csv",
        "ecsv": "ecsv",
        "votable": "vot",
        "fits": "fits",
        "regions": "reg",
        "moc": "moc.fits",
    }
    return {kind: str(folder / f"catalog.{suffix}") for kind, suffix in suffixes.items()}


def arguments(options: dict) -> list[str]:
    """Return options as a command line."""
    return [
        word for key, value in options.items() for word in [f"--{key}", *([value] if isinstance(value, str) else value)]
    ]
