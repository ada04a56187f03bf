"""A small downloaded archive with its truth, for the tests of the steps from crop to build_dataset."""

import hashlib

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from skyloom.archive.manifest import COLUMNS
from skyloom.images.augment import beam_noise

SCALE, BEAM, SIDE = 0.05, (0.3, 0.22, 30.0), 96
CROP = '{"size": 32, "view": 12, "smallest_view": 8}'


def field(index, wind):
    """One image of a disc at (50, 46), with an arm if it has a wind, and its header."""
    rng = np.random.default_rng(index)
    rows, columns = np.indices((SIDE, SIDE))
    dy, dx = rows - 46, columns - 50
    data = 1e-3 * beam_noise(SIDE, (BEAM[0] / SCALE, BEAM[1] / SCALE, BEAM[2]), rng)
    data += 0.1 * np.exp(-4 * np.log(2) * (dx**2 + dy**2) / 8**2)
    if wind:
        data += 0.01 * np.exp(-0.5 * ((dx - dy) / 3) ** 2) * (np.hypot(dx, dy) < 20)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---SIN", "DEC--SIN"], [-SCALE / 3600, SCALE / 3600]
    wcs.wcs.crval, wcs.wcs.crpix = [80 + index, -20], [SIDE // 2 + 1] * 2
    header = wcs.to_header()
    header.update(BMAJ=BEAM[0] / 3600, BMIN=BEAM[1] / 3600, BPA=BEAM[2], BUNIT="Jy/beam")
    return data.astype(np.float32), header, wcs.pixel_to_world(50, 46)


def row(path, name, target):
    """One row of a manifest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    return (name, target, "2022.1.00001.S", f"uid://A001/{name}", name, True, str(path), size, digest, "fetched", "")


def archive(folder, count=20, winds=8):
    """Write images, the manifest and the truth; the last image is there a second time under another name."""
    manifest, truth = [], []
    for index in range(count):
        name = f"field_{index:02d}.cont.pbcor.fits"
        data, header, sky = field(index, index < winds)
        fits.PrimaryHDU(data, header).writeto(folder / name)
        manifest.append(row(folder / name, name, f"T{index}"))
        truth.append(
            (name, "disc_wind" if index < winds else "smooth_disc", index < winds, sky.ra.deg, sky.dec.deg, True)
        )
    again = folder / "zz_again.fits"
    again.write_bytes((folder / name).read_bytes())
    manifest.append(row(again, "zz_again.fits", f"T{count - 1}"))
    Table(rows=manifest, names=COLUMNS).write(folder / "manifest.ecsv")
    names = ("filename", "kind", "is_wind", "ra", "dec", "labelled")
    Table(rows=truth, names=names).write(folder / "truth.ecsv")
    return folder


def crop_arguments(folder, **other):
    """The command line of crop."""
    given = {"manifest": "manifest.ecsv", "cutouts": "c.h5", "objects": "o.ecsv", "fields": "f.ecsv"} | other
    paths = [part for name, file in given.items() for part in (f"--{name}", str(folder / file))]
    return ["--case", "disk_winds", "--settings", CROP, *paths]


def label_arguments(folder, *more):
    """The command line of label_objects."""
    return [
        *("--case", "disk_winds", "--settings", "{}", "--seed", "5"),
        *("--objects", str(folder / "o.ecsv"), "--fields", str(folder / "f.ecsv")),
        *("--output", str(folder / "labels.ecsv"), "--duplicates", str(folder / "duplicates.ecsv"), *more),
    ]


def augment_arguments(folder, settings='{"copies": 2, "pairs": 4}', output="augmented.h5"):
    """The command line of augment."""
    return [
        *("--case", "disk_winds", "--settings", settings, "--seed", "5", "--labels", str(folder / "labels.ecsv")),
        *("--cutouts", str(folder / "c.h5"), "--output", str(folder / output)),
    ]


def dataset_arguments(folder):
    """The command line of build_dataset."""
    return [
        *("--case", "disk_winds", "--labels", str(folder / "labels.ecsv"), "--cutouts", str(folder / "c.h5")),
        *("--augmented", str(folder / "augmented.h5"), "--output", str(folder / "cutouts.h5")),
        *("--npy-x", str(folder / "x.npy"), "--npy-y", str(folder / "y.npy")),
    ]
