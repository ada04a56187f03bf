"""Fetch instrument response functions from Zenodo (CTAO prod5 by default), check them, and unpack the FITS files.

The record itself tells size and MD5 of the file. A download that was cut off goes on where it stopped; the folder of
the FITS files is whole or absent.
"""

from skyloom.cli import run, say, step_parser

LARGEST = 2_000_000_000
"""Most bytes that are unpacked."""


def main(argv=None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument(
        "--record",
        default="https://zenodo.org/api/records/5499840",
        metavar="URL",
        help="the record in Zenodo's API (default: %(default)s, CTAO's response prod5 v0.1)",
    )
    parser.add_argument(
        "--file", default="cta-prod5-zenodo-fitsonly-v0.1.zip", help="its zip of FITS files (default: %(default)s)"
    )
    parser.add_argument("--part", required=True, help="folder of what was begun")
    parser.add_argument("--output", required=True, help="the folder to make")
    parser.add_argument("--retries", type=int, default=4, help="tries after the first (default: %(default)s)")
    parser.add_argument("--timeout", default="60 s", help="longest silence of the network (default: %(default)s)")
    args = parser.parse_args(argv)

    import os
    import shutil
    from pathlib import Path

    from pydantic import ValidationError

    from skyloom.archive.unpack import unpack_fits
    from skyloom.archive.zenodo import fetch_listed
    from skyloom.config.schema import Download
    from skyloom.errors import UserError

    try:
        download = Download(retries=args.retries, timeout=args.timeout)
    except ValidationError as error:
        raise UserError("--retries should be 0 to 20, and --timeout a time such as `60 s`.") from error
    output, begun = Path(args.output), Path(args.part)
    packed = fetch_listed(args.record, args.file, begun, download)
    aside = begun / "unpacked"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    names = unpack_fits(packed, aside, LARGEST)
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    os.replace(aside, output)
    shutil.rmtree(begun)
    say(f"{len(names)} FITS files in {output}")


if __name__ == "__main__":
    run(main)
