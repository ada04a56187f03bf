"""Dirty cubes of our simulator beside those of CASA's simobserve and tclean, on the same machine: time and agreement.

CASA gets an environment, a home and a configuration of its own in the folder of --work (1.9 GB with its data, and 3 GB
more while it runs).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("casatools==6.7.0.31", "casatasks==6.7.0.31", "casadata==2025.9.22", "six")
CONFIG = """datapath = ["{data}"]
measurespath = "{data}"
data_auto_update = False
measures_auto_update = False
nologger = True
log2term = False
"""
SIDE, PIXEL, FREQUENCY, WIDTH = 256, 0.1, 230e9, 10e6  # pixels, arcsec, Hz, Hz
RA, DEC, DECLINATION = "03h59m59.96s", "-34d59m59.50s", -(34 + 59 / 60 + 59.5 / 3600)
TIME, INTEGRATION, WATER, CONFIGURATION = 2400, 10, 0.8, 3  # s, s, mm
CENTRE, ASIDE = (128, 128), (92, 152)  # x, y of the point sources [pixel]
POINT_FLUX, POINT_FWHM = 0.1, 5.0  # Jy, channels
RINGS = 20  # of the noise power spectrum
SPEED_OF_LIGHT = 299_792_458.0  # m/s


def in_casa(sky: Path, result: Path) -> None:
    """Simulate and image one sky; this function runs in CASA's own environment."""
    from casatasks import simobserve, tclean
    from casatools import image, table

    cube = np.load(sky).astype(np.float64)
    channels = len(cube)
    tool = image()
    tool.fromarray("sky.im", cube.transpose(2, 1, 0)[:, :, None], overwrite=True, linear=False)
    frame = tool.coordsys()
    frame.setunits(["rad", "rad", "", "Hz"])
    cell = np.radians(PIXEL / 3600)
    frame.setincrement([-cell, cell], "direction")
    frame.setdirection(refcode="J2000", refval=[RA, DEC], refpix=[SIDE // 2, SIDE // 2])
    # simobserve takes the frequency of the reference pixel for the band's middle when it asks for the atmosphere.
    frame.setreferencecode("LSRK", "spectral")
    frame.setreferencepixel((channels - 1) / 2, "spectral")
    frame.setreferencevalue(FREQUENCY, "spectral")
    frame.setincrement(WIDTH, "spectral")
    tool.setcoordsys(frame.torecord())
    tool.setbrightnessunit("Jy/pixel")
    tool.done()

    clock, processor = [time.perf_counter()], [time.process_time()]
    simobserve(
        project="p", skymodel="sky.im", inbright="", integration=f"{INTEGRATION}s", totaltime=f"{TIME}s",
        mapsize=["10arcsec", "10arcsec"], obsmode="int", hourangle="transit", thermalnoise="tsys-atm", user_pwv=WATER,
        antennalist=f"alma.cycle9.{CONFIGURATION}.cfg", graphics="none", overwrite=True,
    )  # fmt: skip
    clock.append(time.perf_counter())
    settings = {
        "imsize": SIDE, "cell": f"{PIXEL}arcsec", "specmode": "cube", "niter": 0, "weighting": "natural", "pbcor": False
    }  # fmt: skip
    root = f"p/p.alma.cycle9.{CONFIGURATION}"
    tclean(vis=f"{root}.noisy.ms", imagename="dirty", **settings)
    clock.append(time.perf_counter())
    processor.append(time.process_time())
    tclean(vis=f"{root}.ms", imagename="noiseless", **settings)  # not timed: only to compare

    def read(name):
        tool.open(name)
        found = tool.getchunk()[:, :, 0].transpose(2, 1, 0).astype(np.float32)
        tool.close()
        return found

    visibilities = table()
    visibilities.open(f"{root}.ms")
    uvw = visibilities.getcol("UVW").T
    visibilities.close()
    middle = channels // 2
    tool.open("dirty.image")
    fit = tool.restoringbeam(channel=middle)
    tool.close()
    np.savez(
        result, data=read("dirty.image"), noiseless=read("noiseless.image"), beam=read("dirty.psf")[middle],
        response=read("dirty.pb")[middle], seconds=np.diff(clock), processor=np.diff(processor),
        fit=[fit["major"]["value"], fit["minor"]["value"], fit["positionangle"]["value"]], uvw=uvw,
    )  # fmt: skip


def environment(work: Path, python: str) -> None:
    """Make CASA's environment where there is none."""
    own = work / "env" / "bin" / "python"
    if not own.is_file():
        subprocess.run([python, "-m", "venv", str(work / "env")], check=True)
        subprocess.run([str(own), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    where = "import casadata, os; print(os.path.join(list(casadata.__path__)[0], '__data__'))"
    data = subprocess.run([str(own), "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    folder = work / "home" / ".casa"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.py").write_text(CONFIG.format(data=data))


def casa(work: Path, name: str, sky: np.ndarray) -> None:
    """Run `in_casa` on a sky (channels, SIDE, SIDE) [Jy/pixel]; its measurement sets take 25 MB a channel meanwhile."""
    folder = work / "casa" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.save(folder / "sky.npy", sky)
    command = [work / "env/bin/python", Path(__file__).resolve(), "--in-casa", folder / "sky.npy", work / f"{name}.npz"]
    surroundings = {**os.environ, "HOME": str(work / "home")}
    with open(work / f"{name}.log", "w") as log:
        done = subprocess.run(
            [str(part) for part in command], cwd=folder, env=surroundings, stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        sys.exit(f"CASA failed; see {work / f'{name}.log'}.")
    shutil.rmtree(folder)


def ours(parts: list, repeats: int) -> dict:
    """Simulate the same cube with this project.

    Parameters
    ----------
    parts : list of (numpy.ndarray, shape (SIDE, SIDE), numpy.ndarray, shape (channels,))
        Images and spectra [Jy] whose products sum up to the sky.
    repeats : int
        Number of timed runs.

    Returns
    -------
    dict
        `data` and `noiseless` cubes (channels, SIDE, SIDE) [Jy/beam]; `beam` (SIDE, SIDE), its peak of one at SIDE / 2;
        `rms` by the radiometer equation [Jy/beam], a number or one a channel; `uvw`, baselines (n, 3) [m]; `setup` [s],
        once for all cubes; `seconds` and `processor` seconds of each repeat.
    """
    from skyloom.cases.alma_cubes import Observation
    from skyloom.instruments import alma, dirty_cubes

    channels = len(parts[0][1])
    settings = Observation(
        configuration=CONFIGURATION, frequency=FREQUENCY / 1e9, channel_width=WIDTH / 1e9, channels=channels, side=SIDE,
        pixel=PIXEL, time=TIME, integration=INTEGRATION, declination=DECLINATION, water=WATER,
    )  # fmt: skip
    started = time.perf_counter()
    band = dirty_cubes.observe_band(settings, alma.read_antennas(ROOT / "resources" / "arrays", CONFIGURATION))
    telescope = dirty_cubes.Telescope(band)
    setup = time.perf_counter() - started
    rng = np.random.default_rng(1)
    seconds, processor = [], []
    for _ in range(repeats):
        clock, used = time.perf_counter(), time.process_time()
        noiseless = telescope.signal(parts)
        data = noiseless + band.rms * telescope.noise(channels, rng)
        seconds.append(time.perf_counter() - clock)
        processor.append(time.process_time() - used)
    low = band.dirty_beam.shape[0] // 2 - SIDE // 2
    return {
        "data": data, "noiseless": noiseless, "beam": band.dirty_beam[low : low + SIDE, low : low + SIDE],
        "rms": band.rms, "uvw": band.uvw.reshape(-1, 3), "setup": setup, "seconds": seconds,
        "processor": processor,
    }  # fmt: skip


def line_centres(channels: int) -> tuple[int, int]:
    """Return the channels of the two point sources' lines."""
    return channels // 4, 3 * channels // 4


def skies(channels: int, few: int) -> dict[str, list]:
    """Return the three skies as images and spectra: drawn sources, point sources, nothing."""
    from skyloom.cases.alma_cubes import Sky
    from skyloom.sky import line_sources

    tilt = 1 + (np.arange(channels) - (channels - 1) / 2) * WIDTH / FREQUENCY
    drawn = line_sources.draw_sources(np.random.default_rng(3), Sky(), channels, SIDE)
    sources = [part for source in drawn for part in line_sources.parts(source, (SIDE, SIDE), channels, tilt)]
    points = []
    for (x, y), centre in zip((CENTRE, ASIDE), line_centres(few), strict=True):
        image = np.zeros((SIDE, SIDE), np.float32)
        image[y, x] = 1
        points.append((image, line_sources.line_profile((line_sources.Line(centre, POINT_FWHM, POINT_FLUX),), few)))
    return {"sources": sources, "points": points, "empty": [(np.zeros((SIDE, SIDE), np.float32), np.zeros(channels))]}


def power_spectrum(noise: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the mean power of apodised images (channels, SIDE, SIDE) in the rings between `edges` [wavelengths]."""
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
    power = np.mean([np.abs(np.fft.fft2(image * window)) ** 2 for image in noise], axis=0) / np.sum(window**2)
    waves = np.fft.fftfreq(SIDE, np.radians(PIXEL / 3600))
    radius = np.hypot(waves[:, None], waves)
    inside = (radius >= edges[0]) & (radius < edges[-1])
    ring = np.digitize(radius[inside], edges) - 1
    return np.bincount(ring, power[inside], len(edges) - 1) / np.bincount(ring, minlength=len(edges) - 1)


def peak(image: np.ndarray, near: tuple[int, int]) -> tuple[float, float, float]:
    """Return the peak and its place x, y [pixel] by a Gaussian through the three by three pixels around `near`."""
    x, y = near
    dy, dx = np.mgrid[-1:2, -1:2]
    terms = np.stack([np.ones(9), *(term.ravel() for term in (dx, dy, dx**2, dx * dy, dy**2))], axis=1)
    found = np.linalg.lstsq(terms, np.log(image[y - 1 : y + 2, x - 1 : x + 2].ravel()), rcond=None)[0]
    slope, curvature = found[1:3], [[2 * found[3], found[4]], [found[4], 2 * found[5]]]
    shift = -np.linalg.solve(curvature, slope)
    return float(np.exp(found[0] + shift @ slope / 2)), x + shift[0], y + shift[1]


def time_rows(theirs: dict, mine: dict) -> list[tuple]:
    """Return the rows of the table (what, CASA, ours, comparison) on time, from results for the same sky."""
    simulation, imaging = theirs["seconds"]
    spent, own, setup = simulation + imaging, np.median(mine["seconds"]), mine["setup"]
    busy, own_busy = float(theirs["processor"][0]), np.median(mine["processor"])
    return [
        ("seconds a cube", f"{simulation:.1f} + {imaging:.1f} = {spent:.1f}", f"{own:.2f}", f"{spent / own:.0f} times"),
        ("processor seconds a cube", f"{busy:.1f}", f"{own_busy:.2f}", f"{busy / own_busy:.0f} times"),
        ("seconds once for all cubes", "", f"{setup:.2f}", f"{spent / (own + setup):.0f} times for a single cube"),
    ]


def beam_rows(theirs: dict, mine: dict) -> list[tuple]:
    """Return the rows on the dirty beam."""
    from skyloom.instruments import interferometer as radio

    both = [theirs["beam"], mine["beam"]]
    pixel, frequency = np.radians(PIXEL / 3600), FREQUENCY + (len(theirs["data"]) % 2 == 0) * WIDTH / 2
    same = radio.dirty_beam(np.ones(len(theirs["uvw"])), theirs["uvw"], frequency, SIDE, pixel)
    inner = slice(SIDE // 4, -SIDE // 4)

    def differ(beam):
        difference = np.abs(beam - theirs["beam"])
        return f"differ by up to {difference.max():.1e}, in the inner half {difference[inner, inner].max():.1e}"

    lengths = [np.hypot(found["uvw"][:, 0], found["uvw"][:, 1]) for found in (theirs, mine)]
    apart = np.sqrt(np.mean((theirs["uvw"] + mine["uvw"])[:, :2] ** 2))  # the signs are opposite by convention
    rows = [
        ("uv distance [m]", *(f"{uv.min():.2f} to {uv.max():.2f}" for uv in lengths), f"rms of u, v {apart:.3f} m"),
        ("dirty beam", "", "", differ(mine["beam"])),
        ("dirty beam, ours from CASA's uv coverage", "", "", differ(same)),
        ("lowest sidelobe", *(f"{beam.min():.4f}" for beam in both), f"{both[1].min() - both[0].min():.1e}"),
    ]
    fits = [radio.fit_beam(beam, pixel) for beam in both]
    sizes = [(np.degrees(fit.major) * 3600, np.degrees(fit.minor) * 3600, fit.angle % 180) for fit in fits]
    for name, left, right in zip(("major axis [arcsec]", "minor axis [arcsec]", "angle [deg]"), *sizes, strict=True):
        rows.append((f"Gaussian fit of the beam, {name}", f"{left:.4f}", f"{right:.4f}", f"{right - left:.1e}"))
    rows.append(("the same as CASA fits it", "{:.4f}, {:.4f}, {:.3f}".format(*theirs["fit"]), "", ""))
    return rows


def noise_rows(theirs: dict, mine: dict) -> tuple[list[tuple], dict]:
    """Return the rows on an empty cube, and what the picture needs of it."""
    cubes = [theirs["data"], mine["data"]]
    rms = [np.std(cube, axis=(1, 2), dtype=float) * 1e3 for cube in cubes]
    expected = np.broadcast_to(np.asarray(mine["rms"], dtype=float) * 1e3, rms[1].shape)
    middle = [np.median(found) for found in (*rms, expected)]
    # Pixels are correlated by the beam: an image has as many independent ones as the beam's square fits into it.
    inner = slice(SIDE // 4, -SIDE // 4)
    correlated = np.sum(np.asarray(mine["beam"][inner, inner], dtype=float) ** 2)
    error = np.sqrt(correlated / (2 * SIDE**2) * np.pi / 2 / len(rms[0]))
    lengths = np.hypot(mine["uvw"][:, 0], mine["uvw"][:, 1]) * FREQUENCY / SPEED_OF_LIGHT
    edges = np.linspace(lengths.min(), lengths.max(), RINGS + 1)
    spectra = [power_spectrum(cube, edges) for cube in cubes]
    ratios = spectra[1] / spectra[0]
    rows = [
        ("rms of an empty cube, median of its channels [mJy/beam]", f"{middle[0]:.4f}", f"{middle[1]:.4f}",
         f"ratio {middle[1] / middle[0]:.4f} ± {error * np.sqrt(2):.4f}"),
        ("its lowest and highest channel [mJy/beam]", *(f"{found.min():.4f}, {found.max():.4f}" for found in rms), ""),
        ("radiometer equation, median [mJy/beam]", "", f"{middle[2]:.4f}", f"over CASA {middle[2] / middle[0]:.4f}"),
        (f"noise power in {RINGS} rings of uv distance", "", "",
         f"ratio {np.median(ratios):.3f}, {ratios.min():.3f} to {ratios.max():.3f}"),
    ]  # fmt: skip
    return rows, {"edges": edges, "spectra": spectra, "rms": rms, "expected": expected}


def point_rows(theirs: dict, mine: dict) -> list[tuple]:
    """Return the rows on the point sources, without and with noise."""
    rows = []
    centres = line_centres(len(theirs["data"]))
    for name, (x, y), channel in zip(("in the middle", "aside"), (CENTRE, ASIDE), centres, strict=True):
        dimming = float(theirs["response"][y, x])
        taken_out = f"; CASA's primary beam {dimming:.3f} taken out" if dimming < 1 else ""
        for kind, noisy in (("noiseless", "without noise"), ("data", "with noise")):
            left, right = (peak(cube[kind][channel], (x, y)) for cube in (theirs, mine))
            moved = np.hypot(right[1] - left[1], right[2] - left[2])
            rows.append(
                (
                    f"point source {name}, {noisy} [mJy/beam at pixel]",
                    *(f"{flux * 1e3:.3f} at {px:.3f}, {py:.3f}" for flux, px, py in (left, right)),
                    f"ratio {right[0] * dimming / left[0]:.4f}, {moved:.3f} pixel{taken_out}",
                )
            )
    return rows


def picture(path: Path, theirs: dict, mine: dict, found: dict) -> None:
    """Draw the beams, the noise power spectra, the noise of the channels and the point sources' spectra."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    half = SIDE / 2 * PIXEL
    both = [theirs["sources"]["beam"], mine["sources"]["beam"]]
    titles = ["dirty beam, CASA", "dirty beam, ours", "ours − CASA"]
    for axis, image, title in zip(axes[0], [*both, both[1] - both[0]], titles, strict=True):
        top = min(0.3, np.abs(image).max())
        shown = axis.imshow(
            image, origin="lower", cmap="RdBu_r", vmin=-top, vmax=top, extent=(half, -half, -half, half)
        )
        axis.set(title=title, xlabel="offset to the East [arcsec]", ylabel="to the North [arcsec]")
        figure.colorbar(shown, ax=axis, shrink=0.8)

    edges = found["edges"] / 1e3
    middle = (edges[1:] + edges[:-1]) / 2
    for spectrum, name, style in zip(found["spectra"], ("CASA", "ours"), ("o", "-"), strict=True):
        axes[1, 0].plot(middle, spectrum * 1e6, style, label=name)
    axes[1, 0].set(title="noise power spectrum", xlabel="uv distance [kλ]", ylabel="power [(mJy/beam)²]")
    axes[1, 0].set_yscale("log")
    axes[1, 0].legend()

    for rms, name, style in zip(found["rms"], ("CASA", "ours"), ("o", "x"), strict=True):
        axes[1, 1].plot(rms, style, markersize=4, label=name)
    axes[1, 1].plot(found["expected"], "k-", label="radiometer equation")
    axes[1, 1].set(title="empty cube", xlabel="channel", ylabel="rms [mJy/beam]")
    axes[1, 1].margins(y=0.25)
    axes[1, 1].legend()

    a, b = theirs["points"], mine["points"]
    for (x, y), name in ((CENTRE, "in the middle"), (ASIDE, "aside")):
        dimming = float(a["response"][y, x])
        line = axes[1, 2].plot(b["data"][:, y, x] * dimming * 1e3, "-", label=f"ours, {name}")[0]
        axes[1, 2].plot(a["data"][:, y, x] * 1e3, "o", mfc="none", color=line.get_color(), label=f"CASA, {name}")
    axes[1, 2].set(title="point sources through the primary beam", xlabel="channel", ylabel="mJy/beam")
    axes[1, 2].margins(y=0.35)
    axes[1, 2].legend(ncols=2, loc="upper center", fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print the table and draw the picture."""
    if sys.argv[1:2] == ["--in-casa"]:
        return in_casa(Path(sys.argv[2]), Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--work", type=Path, help="folder of CASA's environment and products, kept (default: temporary)")
    add("--python", default="python3.11", help="interpreter for CASA, Python 3.11 (default: %(default)s)")
    add("--skip-casa", action="store_true", help="reuse the products that are in --work")
    add("--channels", type=int, default=128, help="of the sources' and the empty cube (default: %(default)s)")
    add("--few", type=int, default=32, help="channels of the cube of point sources (default: %(default)s)")
    add(
        "--repeats",
        type=int,
        default=5,
        help="timed runs of our simulator, before and after CASA's (default: %(default)s)",
    )
    add("--picture", type=Path, default=Path("casa_cubes.png"), help="default: %(default)s")
    args = parser.parse_args()
    if args.skip_casa and not args.work:
        parser.error("--skip-casa needs --work.")
    if min(args.channels, args.few) < 24:
        parser.error("--channels and --few are 24 at least, for the lines' sake.")
    sys.path.insert(0, str(ROOT / "scripts"))

    parts, theirs, mine = skies(args.channels, args.few), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        work = (args.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        if not args.skip_casa:
            environment(work, args.python)
        for name, sky in parts.items():
            runs = args.repeats if name == "sources" else 1
            mine[name] = ours(sky, runs)
            if not args.skip_casa:
                print(f"CASA: {name}, load of the machine before it {os.getloadavg()[0]:.2f}", flush=True)
                casa(work, name, sum(spectrum[:, None, None] * image for image, spectrum in sky))
                # Once more, as others may have used the machine less before, or after.
                again = ours(sky, runs)
                for kind in ("seconds", "processor"):
                    mine[name][kind] += again[kind]
            saved = work / f"{name}.npz"
            if not saved.is_file():
                sys.exit(f"{saved} is not there; run once without --skip-casa.")
            with np.load(saved) as file:
                theirs[name] = dict(file)
            if len(theirs[name]["data"]) != len(sky[0][1]):
                sys.exit(f"{saved} has {len(theirs[name]['data'])} channels; give the options that made it.")

    dimmed = [(image * theirs["sources"]["response"], spectrum) for image, spectrum in parts["sources"]]
    expected = theirs["sources"]["noiseless"]
    worst = np.abs(ours(dimmed, 1)["noiseless"] - expected).max() / np.abs(expected).max()
    empty, found = noise_rows(theirs["empty"], mine["empty"])
    rows = [
        *time_rows(theirs["sources"], mine["sources"]),
        *beam_rows(theirs["sources"], mine["sources"]),
        ("sources without noise, through CASA's primary beam", "", "", f"differ by up to {worst:.1e} of the peak"),
        *empty,
        *point_rows(theirs["points"], mine["points"]),
    ]
    picture(args.picture, theirs, mine, found)
    earlier = "; CASA's seconds are of an earlier run" if args.skip_casa else ""
    print(f"{args.channels} x {SIDE} x {SIDE}, {os.cpu_count()} cores{earlier}\n")
    print("| | CASA | ours | comparison |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
