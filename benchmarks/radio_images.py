"""Speed and memory of the search for diffuse emission against the size of the image, beside the published network."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

SURVEYS = {"20 arcsec": (20.0, 4.5), "6 arcsec": (6.0, 1.5)}
"""FWHM of the beam and side of a pixel [arcsec] of LOFAR images."""
TILE, STRIDE = 192, 96
"""Of the published network [pixel]."""
SKY = (150.0, 45.0)


def main() -> None:
    """Write images, search each in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE (.keras) of the trained networks")
    parser.add_argument("--calibration", required=True, help="theirs (JSON)")
    parser.add_argument("--sides", nargs="+", type=int, default=[1000, 2000, 4000, 8000], help="of the images [pixel]")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(searched(*args.child, args.models, args.calibration, args.threads)))
        return

    print(f"{args.threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.")
    print("Side 0 is the process itself, with its networks and without an image.\n")
    print("| beam | side [pixel] | seconds | processor | megapixels/s | peak memory [GB] |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (beam, pixel) in SURVEYS.items():
            for side in [0, *args.sides]:
                path = Path(folder) / "image.fits"
                if side:
                    write_image(path, side, beam, pixel)
                row = child(args, "chain", str(path) if side else "")
                speed = f"{side**2 / 1e6 / row['seconds']:.2f}" if side else ""
                spent = f"{row['seconds']:.1f} | {row['processor']:.1f}"
                print(f"| {name} | {side} | {spent} | {speed} | {row['memory']:.2f} |", flush=True)
        write_image(Path(folder) / "image.fits", 1000, *SURVEYS["6 arcsec"])
        row = child(args, "published", str(Path(folder) / "image.fits"))
    print(
        f"\nPublished network, tiles of {TILE} pixels at strides of {STRIDE}: {row['seconds'] * 1e3:.1f} ms a tile, "
        f"{STRIDE**2 / 1e6 / row['seconds']:.2f} megapixels/s ({row['processor'] * 1e3:.1f} ms of processor time)"
    )


def child(args, what: str, path: str) -> dict:
    """Return what a process of its own measured."""
    command = [sys.executable, __file__, "--child", what, path, "--threads", str(args.threads)]
    command += ["--models", *args.models, "--calibration", args.calibration]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_image(path: Path, side: int, beam: float, pixel: float) -> None:
    """Write an image of noise with the texture of the beam, point sources, and haloes here and there."""
    from astropy.io import fits
    from scipy import ndimage

    rng = np.random.default_rng(side)
    sigma = beam / pixel / 2.3548
    image = ndimage.gaussian_filter(rng.standard_normal((side, side), np.float32), sigma, mode="wrap")
    image *= np.float32(1e-4 / image.std())
    y, x = rng.integers(0, side, (2, side**2 // 20_000))
    points = np.zeros_like(image)
    points[y, x] = np.float32(2 * np.pi * sigma**2) * rng.pareto(1.6, len(x)).astype(np.float32) * 1e-3
    image += ndimage.gaussian_filter(points, sigma, mode="wrap")
    halo = round(300 / pixel)
    for y, x in rng.integers(0, max(side - halo, 1), (max(1, side // 1000) ** 2, 2)):
        part = image[y : y + halo, x : x + halo]
        line = np.linspace(-2.5, 2.5, halo)
        part += (4e-4 * np.exp(-0.5 * np.add.outer(line**2, line**2)))[: part.shape[0], : part.shape[1]].astype(
            np.float32
        )
    header = fits.Header({"BUNIT": "JY/BEAM", "BMAJ": beam / 3600, "BMIN": beam / 3600, "BPA": 0.0, "RESTFRQ": 1.44e8})
    for number, (kind, at, step) in enumerate((("RA---SIN", SKY[0], -pixel), ("DEC--SIN", SKY[1], pixel)), 1):
        header[f"CTYPE{number}"], header[f"CRVAL{number}"], header[f"CDELT{number}"] = kind, at, step / 3600
        header[f"CRPIX{number}"], header[f"CUNIT{number}"] = side / 2, "deg"
    fits.writeto(path, image, header, overwrite=True)


def searched(what: str, path: str, models: list[str], calibration: str | None, threads: int) -> dict:
    """Return seconds, processor seconds and peak memory of a search, without the start of the process."""
    from skyloom.learn import backend

    backend.start(threads)

    from skyloom.cases.diffuse_radio import Search
    from skyloom.images.radio_files import read_field
    from skyloom.learn import chains, field_files, store
    from skyloom.nets import radio_unet

    if what == "published":
        image = np.nan_to_num(read_field(path, None).field.image[:TILE, :TILE])
        network = radio_unet.build((TILE, TILE, 1))
        network.predict_on_batch(image[None, ..., None])
        now, spent, tiles = time.perf_counter(), time.process_time(), 20
        for _ in range(tiles):
            network.predict_on_batch(image[None, ..., None])
        seconds, processor = (time.perf_counter() - now) / tiles, (time.process_time() - spent) / tiles
    else:
        networks = {role: store.load_model(file) for role, file in chains.chain_files(models).items()}
        settings, given = Search(threads=threads), json.loads(Path(calibration).read_text())
        now, spent = time.perf_counter(), time.process_time()
        if path:
            field_files.search_file(path, networks, given, settings)
        seconds, processor = time.perf_counter() - now, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": seconds, "processor": processor, "memory": memory}


if __name__ == "__main__":
    main()
