"""Small cubes with their truth, detections in them, and stand-in networks, for the tests of the steps that search."""

import functools
import hashlib
import importlib
import json
import tarfile
from pathlib import Path

import numpy as np
from astropy.table import Table
from threadpoolctl import threadpool_limits

from skyloom.archive.manifest import COLUMNS
from skyloom.files import read_table, write_table

ROOT = Path(__file__).parents[1]
INSTRUMENTS = ROOT / "resources"
CASE = "alma_cubes"
SEED = 7
OBSERVATION = {"side": 96, "channels": 64, "integration": 60}
SIMULATE = {"shards": 1, "train": 2, "validation": 2, "test": 2, "observation": OBSERVATION}
SEARCH = {"map_threshold": 0.5, "threads": 1}
ROLES = ("map", "lines", "fwhm_major", "fwhm_minor", "pa", "flux")
BEAM, SIZE = 8.24, 5.0
"""Geometric mean FWHM of the dirty beam, and of the sources as the stand-in networks have them [pixel]."""
PLAIN = {
    **dict.fromkeys(("overlapping", "more_lines", "double_peaked", "rotating", "continuum_only"), 0.0),
    **{"fewest": 2, "most": 2, "apart": 30.0},
}
"""A sky of sources that are far apart and have one plain line each."""
LONELY = PLAIN | {"fewest": 1, "most": 1}
"""A sky of one such source, in the middle."""
ERRORS = {"x": 0.2, "y": 0.2, "z": 0.1, "line_fwhm": 0.3, "flux": 0.05, "fwhm_major": 0.3, "fwhm_minor": 0.3, "pa": 8.0}
"""1 sigma by which `detections_of` scatters what is true; that of the flux is a share."""


def step(script: str, **options) -> None:
    """Call a step by its command line; an option may be a list, a number, a path, or settings as a dictionary."""
    words = []
    for name, value in options.items():
        value = json.dumps(value) if isinstance(value, dict) else value
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    # As in a job of the workflow; threads that wait for each other take ten times as long.
    with threadpool_limits(1, "blas"):
        importlib.import_module(script).main(words)


def simulate(folder: Path, split: str = "test", shard: int = 0, seed: int = SEED, **changes) -> tuple[Path, Path]:
    """Simulate one shard and return the paths of its cubes and their truth; `changes` are settings."""
    cubes, truth = folder / f"{split}_{shard}.h5", folder / f"{split}_{shard}.truth.ecsv"
    asked = {"case": CASE, "settings": SIMULATE | changes, "seed": seed, "split": split, "shard": shard}
    step("simulate", **asked, instruments=INSTRUMENTS, output=cubes, truth=truth)
    return cubes, truth


def archive(folder: Path, fields: int = 2, shards: int = 1, shard: int = 0, seed: int = SEED, **simulated) -> dict:
    """Simulate one shard of the embedded archive and return its paths by option; `simulated` are settings."""
    ends = {"products": "tar", "obscore": "obscore.ecsv", "truth": "truth.ecsv"}
    paths = {option: folder / f"{shard}.{end}" for option, end in ends.items()}
    settings = {"simulate": SIMULATE | simulated, "embedded": {"fields": fields, "shards": shards}}
    asked = {"case": CASE, "all_settings": settings, "seed": seed, "shard": shard, "instruments": INSTRUMENTS}
    step("simulate_cube_archive", **asked, **paths)
    return paths


@functools.cache
def networks(folder: Path) -> list[str]:
    """Write a network for every role into a folder and return ROLE=FILE of each.

    They are not trained, but the simplest that find a bright source: on the map and in the spectra is what is above
    half of the highest pixel or channel, and every source is a circle of `SIZE`, its flux what the beam makes of its
    peak.
    """
    from skyloom.learn import backend

    backend.start(1)

    import keras
    from keras import layers

    from skyloom.learn import store

    def above_half(shape, convolution, name):
        given = keras.Input(shape, name="given")
        model = keras.Model(given, convolution(1, 1, activation="sigmoid", name="above_half")(given), name=name)
        kernel = np.zeros(model.weights[0].shape, np.float32)
        kernel[..., 0, 0] = 20
        model.set_weights([kernel, np.array([-10], np.float32)])
        return model

    def constant(values, name):
        given = keras.Input((48, 48, 2), name="given")
        mean = layers.GlobalAveragePooling2D(name="mean")(given)
        model = keras.Model(given, layers.Dense(len(values), name="values")(mean), name=name)
        model.set_weights([np.zeros((2, len(values)), np.float32), np.array(values, np.float32)])
        return model

    tenth = 2 * np.log(0.1)  # an error of a tenth, as the logarithm of the variance
    made = {
        "map": above_half((None, None, 2), layers.Conv2D, "map"),
        "lines": above_half((None, 2), layers.Conv1D, "lines"),
        "fwhm_major": constant([np.log(SIZE / 5), tenth], "fwhm_major"),
        "fwhm_minor": constant([np.log(SIZE / 5), tenth], "fwhm_minor"),
        "pa": constant([0.5, 0.5, tenth], "pa"),
        "flux": constant([np.log(1 + (SIZE / BEAM) ** 2), tenth], "flux"),
    }
    for role, model in made.items():
        store.save_model(folder / f"{role}.keras", model)
    return [f"{role}={folder / role}.keras" for role in ROLES]


def detect(models: list[str], cubes: Path, output: Path, **settings) -> Table:
    """Search a shard of simulated cubes by the step's command line and return the detections."""
    given = {"models": models, "observations": cubes}
    step("detect_simulated", case=CASE, settings=SEARCH | settings, **given, output=output)
    return read_table(output)


def truth_of(count: int, seed: int, cubes: int = 10) -> Table:
    """Return the truth of sources that are far enough apart to be told apart."""
    random = np.random.default_rng(seed)
    place = np.arange(count) // cubes
    table = Table({"cube": np.arange(count) % cubes, "source": place})
    table["x"] = 40.0 * (place % 5) + 30 + random.uniform(-3, 3, count)
    table["y"] = 40.0 * (place // 5) + 30 + random.uniform(-3, 3, count)
    table["z"], table["line_fwhm"] = random.uniform(12, 110, count), random.uniform(3, 10, count)
    sizes = np.sort(random.uniform(2, 8, (count, 2)), axis=1)
    table["fwhm_major"], table["fwhm_minor"] = sizes[:, 1], sizes[:, 0]
    table["pa"], table["flux"] = random.uniform(0, 180, count), np.exp(random.uniform(-7, -3, count))
    table["snr"] = np.exp(random.uniform(np.log(5), np.log(200), count))
    return _boxed(table)


def detections_of(truth: Table, seed: int, false: int = 12, missed: int = 4, told: float = 0.5) -> Table:
    """Return detections of a truth: scattered by `ERRORS`, some sources missed, and false ones, fainter and less sure.

    The errors in the table are `told` times the scatter, for a calibration to mend.
    """
    random = np.random.default_rng(seed)
    table = Table(truth[missed:], copy=True)
    for name, error in ERRORS.items():
        size = error * (table["flux"] if name == "flux" else np.ones(len(table)))
        table[name] = table[name] + size * random.standard_normal(len(table))
        table[f"{name}_error"] = told * size
    table["score"] = random.uniform(0.3, 1, len(table))
    wrong = Table(table[:false], copy=True)
    wrong["x"] = wrong["x"] + 20  # between the sources
    wrong["snr"], wrong["score"] = random.uniform(4, 8, false), random.uniform(0.15, 0.5, false)
    found = Table({name: np.concatenate([table[name], wrong[name]]) for name in table.colnames if name != "source"})
    found["matched_snr"] = found["snr"] * 1.1
    found.meta = {"cubes": int(np.max(truth["cube"])) + 1, "beam_fwhm": BEAM}
    return _boxed(found)


def _boxed(table: Table) -> Table:
    """Give sources boxes two beams wide, whose corners are no whole pixels, so that a small shift changes little."""
    half = np.hypot(BEAM, SIZE)
    for axis, width in (("x", half), ("y", half), ("z", np.asarray(table["line_fwhm"]))):
        table[f"{axis}0"], table[f"{axis}1"] = table[axis] - width, table[axis] + width
    return table


def write_pair(folder: Path, name: str, count: int = 120, seed: int = 1, **options) -> tuple[Path, Path]:
    """Write a truth and detections of it and return the paths of both."""
    truth = truth_of(count, seed)
    paths = folder / f"{name}.truth.ecsv", folder / f"{name}.ecsv"
    write_table(paths[0], truth)
    write_table(paths[1], detections_of(truth, seed + 1, **options))
    return paths


def calibrate(folder: Path, models: list[str], truths: list[Path], detections: list[Path], **settings) -> Path:
    """Calibrate by the step's command line and return the calibration's path."""
    path = folder / "calibration.json"
    inputs = {"detections": detections, "truths": truths, "models": models}
    step("calibrate_detections", case=CASE, settings=SEARCH | settings, **inputs, output=path)
    return path


def downloaded(folder: Path, products: Path) -> list[dict]:
    """Unpack the cubes of an archive's shard, as the download leaves them; return the rows of their manifest."""
    rows = []
    with tarfile.open(products) as tar:
        for member in tar:
            if ".cube." in member.name:
                path = folder / member.name
                path.write_bytes(tar.extractfile(member).read())
                rows.append(manifest_row(path))
    return rows


def manifest_row(path: Path, /, **changes) -> dict:
    """Return the row of a file in a manifest."""
    content = path.read_bytes()
    row = {
        "product_id": path.name,
        "target_name": path.name.partition("_sci")[0],
        "proposal_id": "2022.1.00001.S",
        "member_ous_uid": "uid://A001/X1/X1",
        "filename": path.name,
        "simulated": True,
        "path": str(path),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "status": "fetched",
        "reason": "",
    }
    return row | changes


def write_manifest(path: Path, rows: list[dict]) -> Path:
    """Write a manifest, with all its columns even if it has no row."""
    kinds = [bool if name == "simulated" else int if name == "size" else str for name in COLUMNS]
    write_table(path, Table(rows=rows, names=COLUMNS) if rows else Table(names=COLUMNS, dtype=kinds))
    return path


def units_of(table: Table) -> dict[str, str]:
    """Return the units of a table's columns that have one."""
    return {name: str(table[name].unit) for name in table.colnames if table[name].unit}
