"""Make the tables of the Fermi-LAT's response (resources/fermi) from its response files, P8R3_SOURCE_V3.

The response files are those of github.com/fermi-lat/irfs: aeff_ and psf_ of P8R3_SOURCE_V3, ending in _FB and _PSF.
"""

from skyloom.cli import run, say, step_parser


def main(argv=None) -> None:
    """Write `psf.ecsv` and `exposure.ecsv`."""
    parser = step_parser(__doc__)
    parser.add_argument("--irfs", required=True, help="folder of the response files")
    parser.add_argument("--output", default="resources/fermi", help="folder of the tables (default: %(default)s)")
    parser.add_argument(
        "--zenith", type=float, default=100.0, help="largest zenith angle of the photons [deg] (default: %(default)s)"
    )
    args = parser.parse_args(argv)

    from pathlib import Path

    import numpy as np

    from skyloom.errors import UserError
    from skyloom.files import write_table
    from skyloom.instruments.lat_irfs import tabulate

    if not 60 <= args.zenith <= 113:
        raise UserError(f"--zenith should be 60 to 113 deg, where the Earth begins; it is {args.zenith:g}.")
    energies = np.append(0.1 * 10 ** (np.arange(35) / 8), 2000.0)
    psf, exposure = tabulate(args.irfs, energies, np.arange(-90, 91, 5), args.zenith)
    for name, table in (("psf", psf), ("exposure", exposure)):
        path = Path(args.output) / f"{name}.ecsv"
        write_table(path, table)
        say(f"{path}: {len(table)} rows")


if __name__ == "__main__":
    run(main)
