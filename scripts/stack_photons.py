"""Stack the photon lists of an archive whose pointings are near each other, so that they are searched together too.

Reads the manifests of downloaded files; writes one DL3 file a group of lists, which names its parts with their
SHA-256, and a manifest of these files. Lists of one telescope make a group if no two pointings are farther apart than
the settings say; files that are no photon lists are left to the search, which says why it drops them.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None) -> None:
    """Run the step."""
    parser = step_parser(__doc__, section="stack")
    parser.add_argument("--manifests", nargs="+", required=True, metavar="ECSV", help="lists of downloaded files")
    parser.add_argument("--folder", required=True, help="where the stacked lists go")
    parser.add_argument("--manifest", required=True, help="the stacked lists (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from dataclasses import replace
    from pathlib import Path

    import numpy as np
    from astropy.table import vstack

    from skyloom.archive.manifest import FETCHED, read_manifest
    from skyloom.files import sha256, write_table
    from skyloom.images.fits import UnusableImage
    from skyloom.images.photon_lists import read_photons
    from skyloom.images.photon_stacks import groups, stack, write_stack

    manifest = vstack([read_manifest(path) for path in args.manifests], metadata_conflicts="silent")
    manifest.sort("product_id")
    rows, pointings, nothing = [], [], np.zeros(0)
    for row in manifest[manifest["status"] == FETCHED]:
        try:
            photons = read_photons(str(row["path"]))
        except UnusableImage:
            continue
        rows.append(row)
        # The events of a whole archive need not be in memory at once.
        pointings.append(replace(photons, ra=nothing, dec=nothing, energy=nothing, time=nothing))

    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for group in groups(pointings, settings.within) if settings.within else []:
        parts = parts_table([rows[number] for number in group], [pointings[number] for number in group])
        names = [f"{row['FILENAME']}:{row['SHA256'][:16]}" for row in parts]
        stacked = stack([read_photons(str(rows[number]["path"])) for number in group], names)
        path = folder / f"stack_{stacked.data_sha256[:16]}.fits"
        write_stack(path, stacked, parts)
        made.append(stack_row([rows[number] for number in group], path, sha256(path), stacked))
        say(f"{path.name}: {', '.join(parts['FILENAME'])}")
    write_table(args.manifest, stacks_table(manifest, made))
    say(f"{len(rows)} photon lists, {len(made)} stacks of some of them")


def parts_table(rows: list, lists: list):
    """Return what a stack tells of its parts, of the rows of the manifest and the lists."""
    from astropy.table import Column, Table

    return Table(
        {
            "FILENAME": [str(row["filename"]) for row in rows],
            "SHA256": [str(row["sha256"]) for row in rows],
            "OBS_ID": [photons.obs_id for photons in lists],
            "RA_PNT": Column([photons.pointing[0] for photons in lists], unit="deg"),
            "DEC_PNT": Column([photons.pointing[1] for photons in lists], unit="deg"),
            "LIVETIME": Column([photons.livetime for photons in lists], unit="s"),
        }
    )


def stack_row(rows: list, path, digest: str, stacked) -> dict:
    """Return the row of a stack in the manifest, of those of its parts."""
    joined = {
        name: ";".join(dict.fromkeys(filter(None, (str(row[name]) for row in rows))))
        for name in ("target_name", "proposal_id", "member_ous_uid")
    }
    return {
        "product_id": path.stem,
        **joined,
        "filename": path.name,
        "simulated": any(bool(row["simulated"]) for row in rows),
        "path": path.as_posix(),
        "size": path.stat().st_size,
        "sha256": digest,
        "status": str(rows[0]["status"]),
        "reason": "",
    }


def stacks_table(manifest, made: list[dict]):
    """Return the manifest of the stacks, with the columns of the other one even where there is none."""
    from astropy.table import Table

    from skyloom.archive.manifest import COLUMNS

    return Table(made)[list(COLUMNS)] if made else manifest[:0][list(COLUMNS)]


if __name__ == "__main__":
    run(main)
