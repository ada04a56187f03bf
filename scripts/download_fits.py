"""Fetch the files of one chunk into the store, check them, and list them in a manifest with size and SHA-256.

Files that the store has already are not fetched again. Where some cannot be fetched, the step fails and names
them; the others stay, and the next run goes on from there. With `download.on_failure: leave_out` the manifest lists
them as failed instead. Local files are used where they are.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None) -> None:
    """Run the step."""
    parser = step_parser(__doc__, section="archive")
    services = ["embedded", "local", "alma", "fermi", "lotss"]
    parser.add_argument("--service", choices=services, help="the archive (default: settings)")
    parser.add_argument("--chunk", required=True, help="list of files (ECSV)")
    parser.add_argument("--store", required=True, help="folder of all fetched files")
    parser.add_argument("--manifest", required=True, help="the files with path, size and SHA-256 (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from pathlib import Path

    from skyloom.archive.download import manifest_of
    from skyloom.archive.manifest import FAILED
    from skyloom.archive.services import open_service
    from skyloom.archive.snapshot import read_products
    from skyloom.config.schema import in_unit
    from skyloom.files import write_table

    service = open_service(args.service or settings.service, settings)
    largest = settings.search.largest_size
    limit = int(in_unit(largest, "B")) if largest else None
    manifest, new = manifest_of(read_products(args.chunk), service, Path(args.store), settings.download, limit)
    write_table(args.manifest, manifest)
    size = sum(manifest["size"]) / 1e6
    failed = manifest[manifest["status"] == FAILED]
    for row in failed:
        say(f"left out: {row['product_id']} ({row['reason']})")
    there = len(manifest) - new - len(failed)
    left_out = f", {len(failed)} left out" if len(failed) else ""
    say(f"{len(manifest)} files, {size:.1f} MB: {new} fetched, {there} there already{left_out}")


if __name__ == "__main__":
    run(main)
