"""Pack arrays of an .npz file into a HEALPix file in FITS, as gtbin writes it: a tool for users, outside the workflow.

The file has a table of the counts with one column a band, their energies (EBOUNDS), and a table of the exposure if
there is one. The arrays have the shape (pixels,) or (bands, pixels), of a whole sky. Whether their pixels are numbered
ring by ring or nested, and in which frame, is what their maker knows; --look shows it: the Galactic plane should be
bright.
"""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError

FRAMES = {"galactic": "GAL", "icrs": "CEL"}


def main(argv=None):
    """Read the arrays, and look at them or write the file."""
    parser = step_parser(__doc__)
    parser.add_argument("--input", required=True, help="an .npz file")
    parser.add_argument("--counts", required=True, help="name of the array of counts")
    parser.add_argument("--exposure", help="name of the array of the exposure [cm2 s], if there is one")
    parser.add_argument("--energies", nargs="+", type=float, required=True, help="edges of the bands, rising [GeV]")
    parser.add_argument("--ordering", choices=("ring", "nested"), default="ring", help="(default: %(default)s)")
    parser.add_argument("--frame", choices=tuple(FRAMES), default="galactic", help="(default: %(default)s)")
    parser.add_argument("--years", type=float, help="length of the survey [years]")
    parser.add_argument("--look", action="store_true", help="only tell how bright the Galactic plane is in each way")
    parser.add_argument("--output", help="the FITS file; needed unless --look")
    args = parser.parse_args(argv)

    import zipfile

    import numpy as np

    from skyloom.files import existing

    path = existing(args.input, "arrays of HEALPix maps")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in (args.counts, args.exposure) if name and name not in file.files]
            if missing:
                raise UserError(f"{path}: has no array `{missing[0]}`; it has {', '.join(file.files)}.")
            counts = layers(file[args.counts], args.counts)
            exposure = layers(file[args.exposure], args.exposure) if args.exposure else None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as an .npz file of numbers ({error}).") from error
    if len(args.energies) != len(counts) + 1 or sorted(set(args.energies)) != args.energies or args.energies[0] <= 0:
        raise UserError(f"--energies: should be {len(counts) + 1} rising edges for {len(counts)} bands of counts.")
    if exposure is not None and exposure.shape != counts.shape:
        raise UserError("--exposure: should have as many bands and pixels as --counts.")
    if args.look:
        look(counts)
        return
    if not args.output:
        raise UserError("--output: should name the FITS file, unless --look is given.")
    write(args.output, counts, exposure, args)
    say(f"{args.output}: {counts.sum():.0f} counts in {counts.shape[1]} pixels, {len(counts)} bands")


def layers(array, name: str):
    """Return an array as (bands, pixels), or say that it is no HEALPix map."""
    import numpy as np

    array = np.atleast_2d(np.asarray(array, float))
    nside = round((array.shape[-1] / 12) ** 0.5)
    if array.ndim != 2 or nside < 1 or 12 * nside**2 != array.shape[1] or nside & (nside - 1):
        raise UserError(f"`{name}` has the shape {array.shape}, which is no HEALPix map of the whole sky.")
    if not np.all(np.isfinite(array)) or np.any(array < 0):
        raise UserError(f"`{name}` has values that are negative or not finite.")
    return array


def look(counts) -> None:
    """Tell the mean counts of a pixel near the Galactic plane and far from it, for each ordering and frame."""
    import numpy as np
    from astropy.coordinates import SkyCoord
    from astropy_healpix import HEALPix

    nside = round((counts.shape[1] / 12) ** 0.5)
    total = counts.sum(axis=0)
    for ordering in ("ring", "nested"):
        lon, lat = HEALPix(nside, order=ordering).healpix_to_lonlat(np.arange(counts.shape[1]))
        for frame in FRAMES:
            b = np.abs(SkyCoord(lon, lat, frame=frame).galactic.b.deg)
            plane, pole = total[b < 2].mean(), total[b > 60].mean()
            say(f"{ordering}, {frame}: {plane:.3g} within 2 deg of the Galactic plane, {pole:.3g} beyond 60 deg")


def write(output: str, counts, exposure, args) -> None:
    """Write counts, energies and exposure."""
    import numpy as np
    from astropy.io import fits

    from skyloom.files import written_whole

    nside = round((counts.shape[1] / 12) ** 0.5)
    healpix = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": args.ordering.upper(),
        "COORDSYS": FRAMES[args.frame],
        "NSIDE": nside,
        "FIRSTPIX": 0,
        "LASTPIX": counts.shape[1] - 1,
        "INDXSCHM": "IMPLICIT",
        "OBJECT": "FULLSKY",
    }
    edges = np.array(args.energies) * 1e6
    hdus = [fits.PrimaryHDU()]
    # gtbin's own name of the table with the counts.
    for name, prefix, maps in (("SKYMAP", "CHANNEL", counts), ("EXPOSURE", "ENERGY", exposure)):
        if maps is None:
            continue
        whole = name == "SKYMAP" and np.array_equal(maps, np.round(maps)) and maps.max() < 2**31
        columns = [
            fits.Column(f"{prefix}{number}", "J" if whole else "E", array=one.astype(np.int32 if whole else np.float32))
            for number, one in enumerate(maps, 1)
        ]
        table = fits.BinTableHDU.from_columns(columns, name=name)
        table.header.update(healpix)
        if name == "EXPOSURE":
            table.header["BUNIT"] = "cm2 s"
        elif args.years:
            table.header["TSTART"], table.header["TSTOP"] = 0.0, args.years * 365.25 * 86400
        hdus.append(table)
    channels = fits.Column("CHANNEL", "I", array=np.arange(1, len(counts) + 1))
    ends = [
        fits.Column(name, "D", unit="keV", array=values)
        for name, values in (("E_MIN", edges[:-1]), ("E_MAX", edges[1:]))
    ]
    hdus.append(fits.BinTableHDU.from_columns([channels, *ends], name="EBOUNDS"))
    with written_whole(output) as part:
        fits.HDUList(hdus).writeto(part, overwrite=True)


if __name__ == "__main__":
    run(main)
