import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from skyloom.images import lat_files, sky_blocks
from skyloom.images.fits import UnusableImage
from skyloom.images.lat_files import Wanted, read_file, read_patches
from skyloom.images.patch_fits import as_fits
from skyloom.images.patches import Patch, patch_wcs

DATA = Path(__file__).parents[3] / "shared/data/fermi_sources"
CUBE = DATA / "fermi-3fhl-gc/fermi-3fhl-gc-counts-cube.fits.gz"
EXPOSURE = DATA / "fermi-3fhl-gc/fermi-3fhl-gc-exposure-cube.fits.gz"
ALLSKY = DATA / "allsky/fermi573w_2-20GeV_nside128.npz"

TWO = Wanted(bands=((1.0, 3.0), (3.0, 10.0)), sides=(64, 128))
EDGES = (1.0, 2.0, 3.0, 5.0, 10.0)


def header_of(centre, shape, pixel, projection="CAR", frame="G", energies=EDGES):
    wcs = WCS(naxis=2)
    names = ("GLON", "GLAT") if frame == "G" else ("RA--", "DEC-")
    wcs.wcs.ctype = [f"{name}-{projection}" for name in names]
    wcs.wcs.crval = centre if projection != "CAR" else (centre[0], 0.0)
    wcs.wcs.crpix = (shape[1] + 1) / 2, (shape[0] + 1) / 2 - (centre[1] / pixel if projection == "CAR" else 0)
    wcs.wcs.cdelt = -pixel, pixel
    return wcs


def bounds(edges=EDGES, name="EBOUNDS"):
    columns = [
        fits.Column(key, "D", unit="keV", array=np.array(values) * 1e6)
        for key, values in (("E_MIN", edges[:-1]), ("E_MAX", edges[1:]))
    ]
    return fits.BinTableHDU.from_columns(columns, name=name)


def write_cube(path, data, wcs, edges=EDGES, extra=(), **keys):
    primary = fits.PrimaryHDU(data.astype(np.int32), wcs.to_header())
    primary.header.update(keys)
    fits.HDUList([primary, *([bounds(edges)] if edges else []), *extra]).writeto(path, overwrite=True)
    return path


def write_healpix(path, maps, edges, ordering="RING", frame="GAL", extra=(), pixels=None):
    columns = [fits.Column(f"CHANNEL{number}", "D", array=one) for number, one in enumerate(maps, 1)]
    if pixels is not None:
        columns.insert(0, fits.Column("PIX", "J", array=pixels))
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    nside = int(np.sqrt(len(maps[0]) / 12)) if pixels is None else 64
    table.header.update({"PIXTYPE": "HEALPIX", "ORDERING": ordering, "COORDSYS": frame, "NSIDE": nside})
    fits.HDUList([fits.PrimaryHDU(), table, bounds(edges), *extra]).writeto(path, overwrite=True)
    return path


def events_hdu(lon, lat, energy, circle=None):
    sky = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    given = [
        fits.Column("ENERGY", "E", unit="MeV", array=np.asarray(energy) * 1e3),
        fits.Column("RA", "D", unit="deg", array=sky.ra.deg),
        fits.Column("DEC", "D", unit="deg", array=sky.dec.deg),
    ]
    hdu = fits.BinTableHDU.from_columns(given, name="EVENTS")
    if circle is not None:
        hdu.header.update({"NDSKEYS": 1, "DSTYP1": "POS(RA,DEC)", "DSUNI1": "deg"})
        hdu.header["DSVAL1"] = "CIRCLE({:.6f},{:.6f},{:.4f})".format(*circle)
    return hdu


def owned(piece, band):
    """Return the counts of a band in the pixels that belong to a patch."""
    counts = piece.patch.counts[band]
    y, x = np.mgrid[: len(counts), : len(counts)]
    centre = piece.patch.lon, piece.patch.lat
    return counts[piece.belongs(*sky_blocks.sky_of_pixels(x, y, centre, piece.patch.width, len(counts)))].sum()


def test_places_of_a_patch_are_those_of_its_coordinates():
    x, y = np.random.default_rng(0).uniform(0, 127, (2, 50))
    lon, lat = sky_blocks.sky_of_pixels(x, y, (359.0, 62.0), 12.8, 128)
    expected = patch_wcs((359.0, 62.0, 12.8), 128).wcs_pix2world(x, y, 0)
    assert np.allclose(lon, expected[0]) and np.allclose(lat, expected[1])
    assert np.allclose(sky_blocks.pixels_of(lon, lat, (359.0, 62.0), 12.8, 128), (x, y))


def test_frames_are_those_of_astropy():
    lon, lat = np.random.default_rng(0).uniform(0, 360, 20), np.linspace(-89, 89, 20)
    sky = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    assert np.allclose(sky_blocks.equatorial(lon, lat), (sky.ra.deg, sky.dec.deg))
    assert np.allclose(sky_blocks.galactic(sky.ra.deg, sky.dec.deg), (lon, lat))


@settings(max_examples=15)
@given(
    lon=st.floats(0, 360),
    lat=st.floats(-90, 90),
    nside=st.sampled_from([32, 64, 256]),
    side=st.sampled_from([32, 64]),
    nested=st.booleans(),
)
def test_blocks_within_a_patch_keep_their_counts(lon, lat, nside, side, nested):
    blocks = sky_blocks.Blocks(lon, lat, 12.8, side, nside, nested)
    counts = np.random.default_rng(side).poisson(3.0, len(blocks.numbers))
    image = blocks.spread(counts)
    assert image.sum() == pytest.approx(np.sum(counts * blocks.contained), rel=1e-5)
    # The patch's solid angle is that of the blocks in it.
    whole = (12.8**2) / np.degrees(np.degrees(4 * np.pi / (12 * nside**2)))
    assert blocks.contained.sum() == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize("frame", ["G", "R"])
@pytest.mark.parametrize("pixel", [0.05, 0.1, 0.31])
def test_a_cube_keeps_its_counts_and_its_places(tmp_path, frame, pixel):
    centre, rng = (83.0, 5.0), np.random.default_rng(1)
    shape = (4, round(15 / pixel), round(20 / pixel))
    data = rng.poisson(0.02, shape)
    data[2, 60 % shape[1], 70 % shape[2]] = 5000
    wcs = header_of(centre, shape[1:], pixel, "CAR" if frame == "G" else "TAN", frame)
    source = read_file(write_cube(tmp_path / "cube.fits", data, wcs), TWO)
    assert source.events == data.sum()
    totals, best = np.zeros(2), (0.0, None, None)
    for piece in source.pieces():
        assert piece.patch.bands == TWO.bands and [len(one) for one in piece.patch.counts] == [64, 128]
        totals += [owned(piece, band) for band in range(2)]
        peak = np.unravel_index(np.argmax(piece.patch.counts[1]), (128, 128))
        best = max(best, (piece.patch.counts[1].max(), piece, peak), key=lambda one: one[0])
    assert totals == pytest.approx([data[:2].sum(), data[2:].sum()], rel=0.03)
    _, piece, (y, x) = best
    found = sky_blocks.sky_of_pixels(x, y, (piece.patch.lon, piece.patch.lat), 12.8, 128)
    expected = wcs.pixel_to_world(70 % shape[2], 60 % shape[1]).galactic
    at = SkyCoord(*found, unit="deg", frame="galactic")
    assert at.separation(expected).deg < max(pixel, 0.1)


def test_fine_pixels_stay_whole_numbers(tmp_path):
    data = np.random.default_rng(0).poisson(1.0, (4, 200, 200))
    path = write_cube(tmp_path / "cube.fits", data, header_of((0.0, 0.0), (200, 200), 0.05))
    patch = next(read_patches(path, TWO)).patch
    assert all(np.array_equal(one, np.round(one)) for one in patch.counts)


def test_a_field_smaller_than_a_patch_is_one_in_its_middle(tmp_path):
    wcs = header_of((120.0, 30.0), (80, 80), 0.1, "TAN")
    source = read_file(write_cube(tmp_path / "cube.fits", np.ones((4, 80, 80)), wcs), TWO)
    assert len(source.centres) == 1
    assert np.hypot(source.centres[0][0] - 120, source.centres[0][1] - 30) < 0.5
    piece = next(source.pieces())
    assert piece.belongs(np.array([120.0, 127.0]), np.array([30.0, 30.0])).tolist() == [True, False]
    assert piece.edge(np.array([120.0, 120.0]), np.array([30.0, 33.5])).tolist() == [False, True]


def test_gammapy_maps_are_read(tmp_path):
    from gammapy.maps import Map, MapAxis

    axis = MapAxis.from_energy_edges(EDGES, unit="GeV", name="energy")
    made = Map.create(binsz=0.1, width=(12, 11), frame="icrs", skydir=(83.6, 22.0), proj="TAN", axes=[axis])
    made.data = np.random.default_rng(0).poisson(0.1, made.data.shape).astype(float)
    made.write(tmp_path / "map.fits")
    assert read_file(tmp_path / "map.fits", TWO).events == made.data.sum()


@pytest.mark.parametrize(("ordering", "frame"), [("RING", "GAL"), ("NESTED", "GAL"), ("NESTED", "CEL"), ("RING", "C")])
def test_healpix_maps_of_any_ordering_and_frame_show_the_same(tmp_path, ordering, frame):
    rng = np.random.default_rng(0)
    units = rng.normal(size=(200000, 3))
    lon, lat = sky_blocks.directions(units)
    lon[:3000], lat[:3000] = 33.0, -41.0
    at = (lon, lat) if frame == "GAL" else sky_blocks.equatorial(lon, lat)
    healpix = HEALPix(64, order="nested" if ordering == "NESTED" else "ring")
    counts = np.bincount(healpix.lonlat_to_healpix(at[0] * u.deg, at[1] * u.deg), minlength=12 * 64**2)
    wanted = Wanted(bands=((2.0, 20.0),), sides=(64,))
    source = read_file(write_healpix(tmp_path / "map.fits", [counts], (2.0, 20.0), ordering, frame), wanted)
    assert len(source.centres) == 768 and source.events == 200000 and source.area() == "0/0-11"
    number = np.argmax(source.units @ sky_blocks.vectors(33.0, -41.0))
    source.centres = source.centres[number : number + 1]
    patch = next(source.pieces()).patch
    y, x = np.unravel_index(np.argmax(patch.counts[0]), (64, 64))
    found = sky_blocks.sky_of_pixels(x, y, (patch.lon, patch.lat), 12.8, 64)
    assert np.hypot((found[0] - 33) * np.cos(np.radians(41)), found[1] + 41) < 0.92
    assert patch.counts[0].sum() == pytest.approx(3000 + 200000 * 12.8**2 / 41253, rel=0.05)


def test_every_position_of_the_sky_belongs_to_one_patch(tmp_path):
    path = write_healpix(tmp_path / "map.fits", [np.ones(12 * 32**2)], (2.0, 20.0))
    source = read_file(path, Wanted(bands=((2.0, 20.0),), sides=(64,)))
    lon, lat = sky_blocks.directions(np.random.default_rng(0).normal(size=(400, 3)))
    pieces = [lat_files.Piece(Patch((), (), *at, 12.8, ()), number, source) for number, at in enumerate(source.centres)]
    owners = np.array([piece.belongs(lon, lat) for piece in pieces])
    assert np.all(owners.sum(axis=0) == 1)
    first = owners.argmax(axis=0)
    for number in np.unique(first)[::40]:
        centre = source.centres[number]
        away = np.abs(sky_blocks.offsets(lon[first == number], lat[first == number], centre))
        assert away.max() < 6.4


def test_a_part_of_the_sky_in_healpix_is_not_taken_for_all(tmp_path):
    lon, lat = HEALPix(64, order="ring").healpix_to_lonlat(np.arange(12 * 64**2))
    near = np.flatnonzero(
        sky_blocks.vectors(lon.deg, lat.deg) @ sky_blocks.vectors(200.0, 50.0) > np.cos(np.radians(20))
    )
    path = write_healpix(tmp_path / "map.fits", [np.ones(len(near))], (2.0, 20.0), pixels=near)
    source = read_file(path, Wanted(bands=((2.0, 20.0),), sides=(64,)))
    assert 4 <= len(source.centres) < 40
    assert source.covered(np.array([200.0, 200.0]), np.array([50.0, 20.0])).tolist() == [True, False]
    assert source.disc()[2] == pytest.approx(20, rel=0.03)
    area = MOC.from_string(source.area(), "ascii")
    assert area.sky_fraction == pytest.approx((1 - np.cos(np.radians(20))) / 2, rel=0.03)
    assert area.contains_skycoords(SkyCoord([200, 200], [50, 20], unit="deg", frame="galactic").icrs).tolist() == [
        True,
        False,
    ]


def test_events_are_selected_by_class_type_zenith_and_energy(tmp_path):
    count = 800
    energy = np.full(count, 1.5)
    energy[:100] = 0.5  # below the bands
    kinds = np.zeros((count, 32), bool)
    kinds[:, 31 - 5] = True  # PSF3
    kinds[100:200] = False
    source = np.zeros((count, 32), bool)
    source[:, 31 - 7] = True
    source[200:300] = False
    zenith = np.full(count, 50.0)
    zenith[300:400] = 107.0
    hdu = events_hdu(*np.random.default_rng(0).uniform(8, 13, (2, count)), energy)
    made = [
        fits.Column("EVENT_TYPE", "32X", array=kinds),
        fits.Column("EVENT_CLASS", "32X", array=source),
        fits.Column("ZENITH_ANGLE", "E", array=zenith),
    ]
    hdu = fits.BinTableHDU.from_columns(hdu.columns + fits.ColDefs(made), name="EVENTS")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "events.fits")
    both = Wanted(bands=TWO.bands, sides=TWO.sides, event_type="PSF3", years=1.0)
    assert read_file(tmp_path / "events.fits", both).events == 400
    assert read_file(tmp_path / "events.fits", TWO).events == 500


def test_events_are_counted_in_the_circle_that_the_header_tells(tmp_path):
    rng = np.random.default_rng(0)
    sky = SkyCoord(83.6, 22.0, unit="deg")
    offsets = sky.directional_offset_by(rng.uniform(0, 360, 5000) * u.deg, 8 * np.sqrt(rng.uniform(0, 1, 5000)) * u.deg)
    hdu = events_hdu(offsets.galactic.l.deg, offsets.galactic.b.deg, rng.uniform(1, 10, 5000), (83.6, 22.0, 8.0))
    gti = fits.BinTableHDU.from_columns(
        [fits.Column("START", "D", array=[0.0, 4e6]), fits.Column("STOP", "D", array=[1e6, 5e6])], name="GTI"
    )
    fits.HDUList([fits.PrimaryHDU(), hdu, gti]).writeto(tmp_path / "events.fits")
    (tmp_path / "events.fits.gz").write_bytes(gzip.compress((tmp_path / "events.fits").read_bytes()))
    source = read_file(tmp_path / "events.fits.gz", TWO)
    assert source.events == 5000
    assert source.years == pytest.approx(2e6 / (365.25 * 86400))
    totals = sum(np.array([owned(piece, band) for band in range(2)]) for piece in source.pieces())
    assert totals.sum() == pytest.approx(5000, rel=0.03)
    ra, dec, radius = source.disc()
    assert np.hypot(ra - 83.6, dec - 22) < 0.5 and radius == pytest.approx(8, rel=0.1)


def test_a_patch_of_the_simulated_archive_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    counts = tuple(rng.poisson(1.0, (side, side)).astype(np.float32) for side in TWO.sides)
    patch = Patch(counts, np.array([1e11, 2e11]), 101.25, 9.59, 12.8, TWO.bands)
    content = as_fits(patch, "FIELD")
    assert content == as_fits(patch, "FIELD")
    (tmp_path / "patch.fits").write_bytes(content)
    source = read_file(tmp_path / "patch.fits", TWO)
    back = next(source.pieces()).patch
    assert all(np.array_equal(one, other) for one, other in zip(back.counts, counts, strict=True))
    assert (back.lon, back.lat, back.width) == (101.25, 9.59, 12.8) and back.exposure.tolist() == [1e11, 2e11]
    assert source.measured_exposure

    from gammapy.maps import Map

    read = Map.read(tmp_path / "patch.fits", hdu="COUNTS_2")
    assert np.array_equal(read.data[0], counts[1])
    assert read.geom.axes["energy"].edges.to_value("GeV").tolist() == pytest.approx([3, 10])
    assert read.geom.to_image().center_skydir.galactic.l.deg == pytest.approx(101.25)


def test_the_exposure_of_a_band_is_the_mean_over_a_power_law(tmp_path):
    wcs = header_of((0.0, 0.0), (100, 100), 0.2)
    counts = write_cube(tmp_path / "counts.fits", np.ones((4, 100, 100)), wcs)
    nodes = np.array([1.0, 10.0])
    energies = fits.BinTableHDU.from_columns([fits.Column("Energy", "D", array=nodes * 1e3)], name="ENERGIES")
    data = np.repeat((1e11 * nodes**0.5)[:, None, None], 100 * 100, axis=1).reshape(2, 100, 100)
    fits.HDUList([fits.PrimaryHDU(data, wcs.to_header()), energies]).writeto(tmp_path / "exposure.fits")
    wanted = Wanted(bands=TWO.bands, sides=TWO.sides, exposure=str(tmp_path / "exposure.fits"))
    exposure = next(read_patches(counts, wanted)).patch.exposure

    def integral(power, lowest, highest):
        return (highest ** (power + 1) - lowest ** (power + 1)) / (power + 1)

    for value, ends in zip(exposure, TWO.bands, strict=True):
        assert value == pytest.approx(1e11 * integral(0.5 - 2.2, *ends) / integral(-2.2, *ends), rel=0.005)


def test_without_a_file_the_exposure_is_that_of_the_instrument_and_the_years(tmp_path):
    wcs = header_of((0.0, 0.0), (60, 60), 0.2)
    cubes = [
        write_cube(tmp_path / f"{years}.fits", np.ones((4, 60, 60)), wcs, TSTART=0.0, TSTOP=years * 365.25 * 86400)
        for years in (5, 10)
    ]
    few, many = (next(read_patches(path, TWO)).patch.exposure for path in cubes)
    assert many == pytest.approx(2 * few)
    assert 1e11 < many[1] < 6e11


def some_cube(path, **changes):
    data = changes.pop("data", np.ones((4, 60, 60)))
    return write_cube(path, data, header_of((0.0, 0.0), (60, 60), 0.2), **changes)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"SIMPLE  = nonsense"), "broken"),
        (lambda path: path.write_bytes(some_cube(path).read_bytes()[:20000]), "broken"),
        (lambda path: some_cube(path, edges=(1.0, 2.0, 4.0, 5.0, 10.0)), "1 to 3 GeV"),
        (lambda path: some_cube(path, edges=None), "does not tell the energies"),
        (lambda path: some_cube(path, edges=(1.0, 3.0, 10.0)), "the energies of 2"),
        (lambda path: fits.HDUList([fits.PrimaryHDU()]).writeto(path), "no counts"),
        (lambda path: some_cube(path, data=-np.ones((4, 60, 60))), "no counts"),
        (
            lambda path: fits.HDUList([fits.PrimaryHDU(), events_hdu([1.0], [1.0], [0.5])]).writeto(path),
            "no event in the bands",
        ),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_sentence(tmp_path, make, reason):
    path = tmp_path / "bad.fits"
    make(path)
    with pytest.raises(UnusableImage, match=reason) as caught:
        read_file(path, TWO)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_arrays_are_packed_as_a_healpix_file(tmp_path):
    counts = np.random.default_rng(0).poisson(2.0, (2, 12 * 16**2)).astype(np.float32)
    np.savez(tmp_path / "maps.npz", counts=counts, seen=counts * 0 + 1e11)
    script = Path(__file__).parents[2] / "scripts/pack_healpix.py"
    command = [sys.executable, str(script), "--input", str(tmp_path / "maps.npz"), "--counts", "counts"]
    command += ["--exposure", "seen", "--ordering", "nested", "--output", str(tmp_path / "map.fits")]
    subprocess.run([*command, "--energies", "1", "3", "10"], check=True)
    source = read_file(tmp_path / "map.fits", TWO)
    assert source.events == counts.sum() and source.exposure(10.0, 10.0).tolist() == pytest.approx([1e11, 1e11])
    failed = subprocess.run([*command, "--energies", "1", "3"], capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.startswith("error: --energies")


@pytest.mark.skipif(not CUBE.exists(), reason="the cube of the Galactic Centre is not here")
def test_the_cube_of_the_galactic_centre(tmp_path):
    wanted = Wanted(bands=((10.0, 20.366), (20.366, 59.19)), sides=(128, 128), exposure=str(EXPOSURE))
    source = read_file(CUBE, wanted)
    with fits.open(CUBE) as hdus:
        assert source.events == hdus[0].data[:5].sum()
    assert source.years == pytest.approx(6.99, abs=0.15)  # August 2008 to August 2015
    pieces = list(source.pieces())
    assert len(pieces) == 3
    assert sum(owned(piece, 0) + owned(piece, 1) for piece in pieces) == pytest.approx(source.events, rel=0.01)
    middle = next(piece for piece in pieces if abs((piece.patch.lon + 180) % 360 - 180) < 1)
    y, x = np.unravel_index(np.argmax(middle.patch.counts[0]), (128, 128))
    lon, lat = sky_blocks.sky_of_pixels(x, y, (middle.patch.lon, middle.patch.lat), 12.8, 128)
    assert np.hypot((lon - 359.944 + 180) % 360 - 180, lat + 0.046) < 0.1  # Sgr A*
    assert 3e11 < middle.patch.exposure[0] < 3.5e11
    with pytest.raises(UnusableImage, match="from 10 to 30 GeV"):
        read_file(CUBE, Wanted(bands=((10.0, 30.0),), sides=(128,)))


@pytest.mark.skipif(not ALLSKY.exists(), reason="the map of the whole sky is not here")
def test_the_map_of_the_whole_sky_is_galactic_and_ring_by_ring(tmp_path):
    with np.load(ALLSKY) as file:
        counts, exposure = file["fermidata_counts"], file["fermidata_exposure"]
    table = write_healpix(tmp_path / "map.fits", [counts], (2.0, 20.0))
    source = read_file(table, Wanted(bands=((2.0, 20.0),), sides=(64,)))
    number = np.argmax(source.units @ sky_blocks.vectors(263.55, -2.79))  # Vela
    source.centres = source.centres[number : number + 1]
    patch = next(source.pieces()).patch
    y, x = np.unravel_index(np.argmax(patch.counts[0]), (64, 64))
    lon, lat = sky_blocks.sky_of_pixels(x, y, (patch.lon, patch.lat), 12.8, 64)
    assert np.hypot(lon - 263.55, lat + 2.79) < 0.5
    assert exposure.mean() == pytest.approx(8.93e10, rel=0.01)
