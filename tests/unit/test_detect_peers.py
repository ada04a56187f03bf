"""Classical peers: what they find in cubes whose sources are known."""

import importlib.util
import sys
import textwrap
from dataclasses import dataclass, replace

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.detect import peers
from skyloom.errors import UserError
from skyloom.images.cubes import Cube

CHANNELS, SIDE = 48, 96
BEAM = (8.0, 8.0, 0.0)
TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
FREQUENCY = 230e9 + 10e6 * np.arange(CHANNELS)
needs_bdsf = pytest.mark.skipif(importlib.util.find_spec("bdsf") is None, reason="PyBDSF is not installed")
FINDERS = ["photutils", pytest.param("pybdsf", marks=needs_bdsf), "matched_filter_3d"]


@dataclass(frozen=True)
class Source:
    """A Gaussian on the sky with a continuum [Jy] and a line, which is `ratio` times as high."""

    x: float
    y: float
    major: float = 4.0
    minor: float = 4.0
    pa: float = 0.0
    z: float = 24.0
    width: float = 6.0
    continuum: float = 1.0
    ratio: float = 3.0

    @property
    def spectrum(self) -> np.ndarray:
        line = np.exp(-0.5 * ((np.arange(CHANNELS) - self.z) / (self.width * TO_SIGMA)) ** 2)
        return self.continuum * (1 + self.ratio * line)

    @property
    def window(self) -> np.ndarray:
        return np.abs(np.arange(CHANNELS) - self.z) <= self.width

    @property
    def flux(self) -> float:
        return float(self.spectrum[self.window].mean())


APART = (
    Source(24.3, 30.8, 4.0, 4.0, 0.0, 12.4, 6.0),
    Source(66.6, 25.2, 6.0, 3.0, 35.0, 30.7, 5.0),
    Source(52.1, 70.4, 3.0, 3.0, 0.0, 36.2, 8.0),
)


def elliptical(x, y, major, minor, pa):
    """A Gaussian with a peak of one; x to the West, y to the North."""
    angle = np.radians(pa)
    along, across = y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)
    return np.exp(-0.5 * ((along / major) ** 2 + (across / minor) ** 2) / TO_SIGMA**2)


def beam_image(broad: float = 0.0) -> np.ndarray:
    """The Gaussian beam upon a pedestal `broad` high, as uv coverages that are dense in the middle make."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    return (1 - broad) * elliptical(x, y, *BEAM) + broad * elliptical(x, y, 18, 18, 0)


def cube_of(sources, seed: int, snr: float = 30.0, broad: float = 0.0, noise: float = 1.0) -> tuple[Cube, list[Source]]:
    """A cube of sources with this S/N in the mean of their line's channels, and noise that the beam correlates."""
    beam = beam_image(broad)
    response = np.fft.rfft2(np.fft.ifftshift(beam))
    y, x = np.mgrid[:SIDE, :SIDE]
    data, scaled = np.zeros((CHANNELS, SIDE, SIDE)), []
    for source in sources:
        sky = elliptical(x - source.x, y - source.y, source.major, source.minor, source.pa)
        seen = np.fft.irfft2(np.fft.rfft2(sky / sky.sum()) * response)
        factor = snr / (seen.max() * source.flux * np.sqrt(source.window.sum()))
        scaled.append(replace(source, continuum=source.continuum * factor))
        data += scaled[-1].spectrum[:, None, None] * seen
    white = np.random.default_rng(seed).standard_normal((CHANNELS, SIDE, SIDE))
    grain = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(np.clip(response.real, 0, None)))
    data += noise * grain / grain.std()
    dirty = beam.astype(np.float32) if broad else None
    return Cube(data.astype(np.float32), np.ones(CHANNELS), BEAM, FREQUENCY, dirty), scaled


def nearest(found: Table, source: Source) -> Table.Row:
    """The row at a source; of several at one place, the one with its line."""
    distance = np.hypot(found["x"] - source.x, found["y"] - source.y)
    return found[int(np.argmin(distance + 0.1 * np.nan_to_num(np.abs(found["z"] - source.z), nan=CHANNELS)))]


@pytest.mark.parametrize("peer", FINDERS)
def test_bright_sources_are_found_where_they_are_with_their_flux(peer):
    ratios = []
    for seed in range(3):
        cube, sources = cube_of(APART, seed)
        found = peers.PEERS[peer](cube, "one")
        assert set(found["cube"]) == {"one"}
        # The surest detections are the sources, each once.
        assert len({nearest(found[:3], source)["x"] for source in sources}) == 3
        for source in sources:
            row = nearest(found, source)
            assert np.hypot(row["x"] - source.x, row["y"] - source.y) < 1
            assert abs(row["z"] - source.z) < 1
            assert row["line_fwhm"] == pytest.approx(source.width, rel=0.35)
            assert row["x0"] < source.x < row["x1"]
            assert row["y0"] < source.y < row["y1"]
            assert row["z0"] <= source.z < row["z1"]
            assert row["snr"] > 15
            assert abs(row["flux"] - source.flux) < 5 * row["flux_error"]
            ratios.append(row["flux"] / source.flux)
    assert np.median(ratios) == pytest.approx(1, abs=0.1)
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.1) >= 0.6


@pytest.mark.parametrize("peer", ["photutils", "matched_filter_3d"])
def test_a_beam_with_broad_wings_does_not_make_sources_larger_or_brighter(peer):
    cube, sources = cube_of(APART[:2], 5, snr=60, broad=0.2)
    known, blind = peers.PEERS[peer](cube), peers.PEERS[peer](replace(cube, dirty_beam=None))
    for source in sources:
        row, deceived = nearest(known, source), nearest(blind, source)
        assert row["flux"] == pytest.approx(source.flux, rel=0.15)
        assert deceived["flux"] > 1.25 * source.flux
        assert abs(row["fwhm_major"] - source.major) < abs(deceived["fwhm_major"] - source.major) - 1


@pytest.mark.parametrize("peer", FINDERS)
def test_shapes_and_boxes_are_those_of_an_elongated_source(peer):
    cube, (source,) = cube_of([Source(48.2, 47.6, 12.0, 4.0, 60.0)], 3, snr=80)
    row = nearest(peers.PEERS[peer](cube), source)
    assert row["fwhm_major"] == pytest.approx(12, rel=0.15)
    assert row["fwhm_minor"] == pytest.approx(4, abs=2)
    assert row["pa"] == pytest.approx(60, abs=6)
    # One convolved FWHM each side of the centre: an ellipse of 14.4 and 8.9 pixels, turned to the East.
    assert row["x1"] - row["x0"] == pytest.approx(2 * 13.3, abs=4)
    assert row["y1"] - row["y0"] == pytest.approx(2 * 10.6, abs=4)


def test_what_a_segment_lacks_below_its_threshold_is_added():
    cube, (source,) = cube_of([Source(48.2, 47.6, 12.0, 4.0, 60.0)], 3, snr=80)
    for threshold in (3, 10, 25):
        row = nearest(peers.photutils_detections(cube, threshold=threshold), source)
        assert row["fwhm_major"] == pytest.approx(12, rel=0.15)
        assert row["flux"] == pytest.approx(source.flux, rel=0.15)


@pytest.mark.parametrize("peer", FINDERS)
def test_noise_holds_nothing_sure(peer):
    for seed in range(2):
        cube, _ = cube_of([], seed)
        found = peers.PEERS[peer](cube)
        assert not np.any(found["score"] > 6)
        assert set(peers.COLUMNS) | {"cube"} == set(found.colnames)


@pytest.mark.parametrize("peer", FINDERS)
def test_neighbours_are_separated(peer):
    pair = [Source(41.0, 48.3, 3, 3), Source(55.0, 48.3, 3, 3)]
    cube, sources = cube_of(pair, 1, snr=40)
    found = peers.PEERS[peer](cube)
    for source in sources:
        row = nearest(found, source)
        assert np.hypot(row["x"] - source.x, row["y"] - source.y) < 1.5
        assert row["flux"] == pytest.approx(source.flux, rel=0.3)


def test_the_matched_filter_separates_sources_over_each_other_by_their_lines():
    cube, sources = cube_of([Source(48, 48, z=14.0), Source(49, 47, z=34.0)], 2)
    found = peers.matched_filter_detections(cube)
    here = found[np.hypot(found["x"] - 48, found["y"] - 48) < 5]
    strong = np.sort(here["z"][here["score"] > 10])
    assert strong == pytest.approx([14, 34], abs=1)


@pytest.mark.parametrize("peer", FINDERS)
def test_a_continuum_source_has_no_line(peer):
    cube, (source,) = cube_of([Source(40.4, 52.7, ratio=0.0)], 4)
    row = nearest(peers.PEERS[peer](cube), source)
    assert np.hypot(row["x"] - source.x, row["y"] - source.y) < 1
    assert np.isnan(row["z"])
    assert np.isnan(row["line_fwhm"])
    assert (row["z0"], row["z1"]) == (0, CHANNELS)
    assert row["flux"] == pytest.approx(source.continuum, rel=0.1)


@pytest.mark.parametrize("peer", FINDERS)
def test_what_was_not_observed_does_no_harm(peer):
    cube, sources = cube_of(APART, 7)
    cube.data[:, :10] = np.nan
    cube.data[:, :, -8:] = np.nan
    cube.data[35:38] = np.nan
    cube.data[5, 40:60, :30] = np.nan
    found = peers.PEERS[peer](cube)
    for source in sources:
        row = nearest(found, source)
        assert np.hypot(row["x"] - source.x, row["y"] - source.y) < 1
        assert abs(row["z"] - source.z) < 1
        assert row["line_fwhm"] == pytest.approx(source.width, rel=0.35)
        assert row["flux"] == pytest.approx(source.flux, rel=0.25)
    empty = replace(cube, data=np.full_like(cube.data, np.nan))
    assert len(peers.PEERS[peer](empty)) == 0


@pytest.mark.parametrize("peer", FINDERS)
def test_twice_is_the_same_and_silent(peer, capfd):
    cube, _ = cube_of(APART, 8)
    first, second = (peers.PEERS[peer](cube) for _ in range(2))
    for column in first.colnames:
        np.testing.assert_array_equal(first[column], second[column])
    assert capfd.readouterr() == ("", "")


def test_flux_errors_hold_the_scatter_of_the_fluxes():
    pulls = []
    for seed in range(5):
        cube, sources = cube_of(APART, 100 + seed)
        found = peers.matched_filter_detections(cube)
        rows = [nearest(found, source) for source in sources]
        pulls += [(row["flux"] - one.flux) / row["flux_error"] for row, one in zip(rows, sources, strict=True)]
    assert 0.4 < np.std(pulls) < 2


def test_a_missing_pybdsf_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "bdsf", None)
    cube, _ = cube_of(APART, 0)
    with pytest.raises(UserError, match=r"install `bdsf==1\.14\.1`"):
        peers.pybdsf_detections(cube)


@pytest.mark.parametrize("step", [1, 2])
def test_decoras_keeps_what_both_maps_show(step):
    # Places in the middle of the maps' pixels, so that blobs have no other.
    x, y = (np.array(at) + (step - 1) / 2 for at in ((24, 66), (30, 26)))
    cube, sources = cube_of([Source(x[0], y[0], z=12.4), Source(x[1], y[1], z=30.7)], 6)
    rows, columns = (step * (axis + 0.5) - 0.5 for axis in np.mgrid[: SIDE // step, : SIDE // step])

    def heat(places):
        return sum(height * elliptical(columns - at_x, rows - at_y, 8, 8, 0) for at_x, at_y, height in places)

    one = heat([*zip(x, y, (0.9, 0.9), strict=True), (20.5, 80.5, 0.8)])
    two = heat([*((at_x + 2, at_y - 2, 0.6) for at_x, at_y in zip(x, y, strict=True)), (28.5, 80.5, 0.8)])
    found = peers.decoras_detections(one, two, cube)
    assert len(found) == 2
    for source in sources:
        row = nearest(found, source)
        assert (row["x"], row["y"]) == pytest.approx((source.x + 1, source.y - 1), abs=0.01)
        assert row["score"] == pytest.approx(0.6, abs=0.01)
        assert abs(row["z"] - source.z) < 1
        assert row["flux"] == pytest.approx(source.flux, rel=0.2)
    assert len(peers.decoras_detections(one, np.zeros_like(one), cube)) == 0


STAND_IN = """\
import sys
from pathlib import Path
import numpy as np
from astropy.io import fits
from scipy import ndimage

given = dict(line.split(" = ", 1) for line in Path(sys.argv[1]).read_text().splitlines())
known = {"pipeline.threads", "input.data", "output.directory", "output.filename", "output.writeCatASCII",
         "output.writeCatXML", "scfind.threshold", "linker.minSizeZ", "contsub.enable"}
if set(given) - known:
    sys.exit(print("unknown parameter", *(set(given) - known), file=sys.stderr) or 7)
with fits.open(given["input.data"]) as file:
    header, data = file[0].header, file[0].data.astype(float)
assert header["BUNIT"] == "Jy/beam" and header["CTYPE3"] == "FREQ" and header["BMAJ"] > 0
area = np.pi * header["BMAJ"] * header["BMIN"] / (4 * np.log(2) * header["CDELT2"] ** 2)
if given.get("contsub.enable") == "true":
    data -= np.median(data, axis=0)
rms = 1.4826 * np.median(np.abs(data))
labels, count = ndimage.label(data > float(given["scfind.threshold"]) * rms)
names = ("id x y z x_min x_max y_min y_max z_min z_max n_pix f_min f_max f_sum rel flag rms w20 w50 "
         "ell_maj ell_min ell_pa err_x err_y err_z err_f_sum").split()
rows = []
for number in range(1, count + 1):
    z, y, x = np.nonzero(labels == number)
    if len(z) < 300:
        continue
    f = data[z, y, x]
    cx, cy, cz = (np.average(axis, weights=f) for axis in (x, y, z))
    cov = np.cov(np.stack([x, y]), aweights=f, bias=True)
    turn = np.hypot(cov[0, 0] - cov[1, 1], 2 * cov[0, 1])
    ell = [np.sqrt(2 * (cov[0, 0] + cov[1, 1] + sign * turn)) for sign in (1, -1)]
    pa = np.degrees(0.5 * np.arctan2(2 * cov[0, 1], cov[0, 0] - cov[1, 1])) - 90
    profile = np.bincount(z, f)
    w50 = (profile > profile.max() / 2).sum()
    rows.append([len(rows) + 1, cx, cy, cz, x.min(), x.max(), y.min(), y.max(), z.min(), z.max(), len(z), f.min(),
                 f.max(), f.sum(), 0.0, 0, rms, w50 * 1.5, w50, *ell, pa, 0.1, 0.1, 0.1, rms * np.sqrt(len(z) * area)])
if not rows:
    sys.exit(8)
with (Path(given["output.directory"]) / (given["output.filename"] + "_cat.txt")).open("w") as file:
    file.write("# SoFiA source catalogue\\n# Creator: SoFiA 2.5.1 (stand-in)\\n# Time:    Sat, 21 Nov 2026\\n#\\n")
    file.write("# Header rows:\\n#   1 = column number\\n#   2 = parameter name\\n#   3 = parameter unit\\n#\\n#")
    file.write(f"{1:28d}" + "".join(f"{n + 2:14d}" for n in range(len(names))) + "\\n#")
    file.write(f"{'name':>28}" + "".join(f"{name:>14}" for name in names) + "\\n#")
    file.write(f"{'-':>28}" + "".join(f"{'-':>14}" for name in names) + "\\n\\n")
    for row in rows:
        values = (f"{v:14d}" if isinstance(v, (int, np.integer)) else f"{v:14.6f}" for v in row)
        file.write(" " + f'{chr(34)}SoFiA J1200+0000{chr(34)}'.rjust(28) + "".join(values) + "\\n")
"""


def install(folder, monkeypatch, script: str, name: str = "sofia") -> None:
    program = folder / name
    program.write_text(f"#!{sys.executable}\n" + textwrap.dedent(script))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_sofia_is_run_and_its_catalog_is_read(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, STAND_IN)
    cube, sources = cube_of(APART, 9, snr=60)
    found = peers.sofia_detections(cube, 3, parameters={"contsub.enable": "true"})
    assert set(found["cube"]) == {3}
    for source in sources:
        row = nearest(found, source)
        assert np.hypot(row["x"] - source.x, row["y"] - source.y) < 1
        assert abs(row["z"] - source.z) < 1
        assert row["line_fwhm"] == pytest.approx(source.width, abs=2)
        assert row["x0"] < source.x < row["x1"]
        assert row["snr"] > 10
        # The stand-in leaves out what lies below its threshold.
        assert 0.6 * source.flux < row["flux"] < 1.1 * source.flux


@pytest.mark.parametrize("subtracted", [False, True])
def test_numbers_of_sofia_are_understood(tmp_path, monkeypatch, subtracted):
    cube, (source,) = cube_of([Source(48.2, 47.6, 12.0, 4.0, 60.0, 20.0, 6.0)], 0, noise=0)
    masked = cube.data[14:27] - (np.median(cube.data, axis=0) if subtracted else 0)
    names = "name id x y z x_min x_max y_min y_max z_min z_max f_sum w50 ell_maj ell_min ell_pa err_f_sum"
    # Axes are two standard deviations of the source as the beam shows it; upper limits belong to the mask.
    axes = 2 * TO_SIGMA * np.sqrt(64 + np.array([12.0, 4.0]) ** 2)
    values = [1, 48.2, 47.6, 20.0, 30, 66, 30, 66, 14, 26, masked.sum(), 6.0, *axes, -120.0, masked.sum() / 50]
    (tmp_path / "catalog.txt").write_text(f'#\n# {names}\n# - -\n\n "SoFiA J1" {" ".join(map(str, values))}\n')
    install(
        tmp_path,
        monkeypatch,
        f"import pathlib, shutil, sys\n"
        f"shutil.copy({str(tmp_path / 'catalog.txt')!r}, pathlib.Path(sys.argv[1]).parent / 'sofia_cat.txt')",
    )
    (row,) = peers.sofia_detections(cube, parameters={"contsub.enable": str(subtracted).lower()})
    assert (row["x"], row["y"], row["z"], row["line_fwhm"]) == (48.2, 47.6, 20.0, 6.0)
    assert (row["fwhm_major"], row["fwhm_minor"], row["pa"]) == pytest.approx((12, 4, 60), rel=1e-3)
    assert row["flux"] == pytest.approx(source.flux, rel=0.01)
    assert row["snr"] == row["score"] == pytest.approx(50)
    assert (row["z0"], row["z1"]) == (14, 27)


def test_sofia_that_follows_the_continuum_gets_its_line_from_the_spectrum(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, STAND_IN, "sofia2")
    cube, (source,) = cube_of([Source(48, 48, z=11.0)], 9, snr=100)
    row = nearest(peers.sofia_detections(cube), source)
    assert row["z"] == pytest.approx(11, abs=1)
    assert row["line_fwhm"] == pytest.approx(6, abs=1)
    assert 0.6 * source.flux < row["flux"] < 1.1 * source.flux


def test_sofia_that_finds_nothing_gives_an_empty_table(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, STAND_IN)
    cube, _ = cube_of([], 9)
    found = peers.sofia_detections(cube, threshold=8)
    assert len(found) == 0
    assert set(peers.COLUMNS) <= set(found.colnames)


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("import sys; sys.exit('the cube is upside down')", "the cube is upside down"),
        ("pass", "wrote no catalog"),
        ("import time; time.sleep(30)", "did not finish within 1 s"),
        (
            "import pathlib, sys\n(pathlib.Path(sys.argv[1]).parent / 'sofia_cat.txt').write_text('1 2 3\\n')",
            "names no columns",
        ),
        (
            "import pathlib, sys\n"
            "(pathlib.Path(sys.argv[1]).parent / 'sofia_cat.txt').write_text('# id x y z f_sum\\n1 2 3\\n')",
            "no text catalog",
        ),
    ],
)
def test_a_sofia_that_fails_is_told(tmp_path, monkeypatch, script, match):
    install(tmp_path, monkeypatch, script)
    cube, _ = cube_of([], 9)
    with pytest.raises(UserError, match=match):
        peers.sofia_detections(cube, timeout=1)


def test_a_missing_sofia_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    cube, _ = cube_of([], 9)
    with pytest.raises(UserError, match="neither `sofia` nor `sofia2` is on the PATH"):
        peers.sofia_detections(cube)


@settings(max_examples=60, deadline=None)
@given(
    z=st.floats(8, 119),
    width=st.floats(3, 10),
    height=st.floats(15, 200),
    level=st.floats(-5, 50),
    seed=st.integers(0, 1000),
)
def test_a_line_is_found_with_its_width_and_height(z, width, height, level, seed):
    channel = np.arange(128)
    spectrum = level + height * np.exp(-0.5 * ((channel - z) / (width * TO_SIGMA)) ** 2)
    spectrum += np.random.default_rng(seed).standard_normal(128)
    found, fwhm, peak = peers.spectrum_line(spectrum, 1.0)
    # Centre, width and height of a Gaussian fit (Landman et al. 1982), five times over.
    unit = 5 / (height * np.sqrt(width))
    assert abs(found - z) < 0.6 * width * unit + 0.05
    assert abs(fwhm - width) < 2 * width * unit + 0.1
    assert abs(peak - height) < 2 * height * unit + 0.5


def test_a_spectrum_without_a_line_has_none():
    rng = np.random.default_rng(1)
    found = [np.isfinite(peers.spectrum_line(rng.standard_normal(128), 1.0, 5)[0]) for _ in range(50)]
    assert not any(found)
    assert np.isnan(peers.spectrum_line(np.full(128, np.nan), 1.0)).all()
    assert np.isnan(peers.spectrum_line(np.zeros(128), 1.0)).all()
    dip = -20 * np.exp(-0.5 * ((np.arange(128) - 60) / 3) ** 2)
    assert np.isnan(peers.spectrum_line(dip + rng.standard_normal(128), 1.0, 5)[0])


@settings(max_examples=100, deadline=None)
@given(
    major=st.floats(2, 20),
    ratio=st.floats(0.2, 0.95),
    pa=st.floats(0, 179),
    beam_major=st.floats(4, 12),
    beam_ratio=st.floats(0.5, 1),
    beam_pa=st.floats(0, 179),
)
def test_deconvolution_undoes_convolution(major, ratio, pa, beam_major, beam_ratio, beam_pa):
    def moments(shape):
        # Measured from an image, so that nothing is shared with what is tested.
        a, b, angle = shape[0], shape[1], np.radians(shape[2])
        east, north = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
        return a**2 * np.outer(east, east) + b**2 * np.outer(north, north)

    beam = (beam_major, beam_major * beam_ratio, beam_pa)
    total = moments((major, major * ratio, pa)) + moments(beam)
    squares, axes = np.linalg.eigh(total)
    seen = (*np.sqrt(squares[::-1]), np.degrees(np.arctan2(*axes[:, 1])) % 180)
    found = peers.deconvolved(seen, beam)
    assert found[:2] == pytest.approx((major, major * ratio), rel=1e-4, abs=1e-4)
    assert abs((found[2] - pa + 90) % 180 - 90) < 0.1
    assert peers.deconvolved(beam, (2 * beam_major, 2 * beam_major, 0))[:2] == (0, 0)


@given(snr=st.floats(3, 1000), fwhm=st.floats(5, 12))
def test_errors_of_a_point_source_are_those_of_the_radio_surveys(snr, fwhm):
    x, y, major, minor, pa, flux = peers.condon_errors((fwhm, fwhm, 0), (fwhm, fwhm, 0), snr)
    # A beam over its S/N: FWHM / sqrt(8 ln 2) in position, one in width.
    assert x == pytest.approx(fwhm * TO_SIGMA / snr)
    assert y == pytest.approx(x)
    assert major == pytest.approx(fwhm / snr)
    assert minor == pytest.approx(major)
    assert pa == peers.ANY_ANGLE
    assert 1 / snr < flux < 2 / snr
