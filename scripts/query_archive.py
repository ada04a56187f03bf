"""Ask an archive which files are wanted, write the answer as a snapshot, and divide it into chunks.

Written are the snapshot (with the question, the time and the counts after every filter), the table of counts, what was
added, removed and changed since the last query, and one list of files a chunk. Chunks hold nothing volatile:
where the archive did not change, neither do they. The history folder keeps every earlier snapshot that differed.
"""

from skyloom.cli import run, say, step_parser, step_settings
from skyloom.errors import UserError


def main(argv=None) -> None:
    """Run the step."""
    parser = step_parser(__doc__, section="archive", seed=True)
    services = ["embedded", "local", "alma", "fermi", "lotss"]
    parser.add_argument("--service", choices=services, help="the archive (default: settings)")
    parser.add_argument(
        "--simulated", nargs="*", default=[], metavar="ECSV", help="ObsCore tables of the embedded archive"
    )
    parser.add_argument("--chunks", type=int, required=True, help="number of chunks")
    parser.add_argument("--history", required=True, help="folder of the earlier snapshots")
    parser.add_argument("--snapshot", required=True, help="the answer (ECSV)")
    parser.add_argument("--counts", required=True, help="rows after every filter (CSV)")
    parser.add_argument("--changes", required=True, help="what changed since the last query (ECSV)")
    parser.add_argument("--chunk-files", nargs="+", required=True, metavar="ECSV", help="one list of files a chunk")
    args = parser.parse_args(argv)
    if args.chunks != len(args.chunk_files):
        raise UserError(f"--chunks is {args.chunks}, but {len(args.chunk_files)} --chunk-files are named.")
    settings = step_settings(args)

    from datetime import UTC, datetime
    from pathlib import Path

    from skyloom.archive.select import select
    from skyloom.archive.services import open_service
    from skyloom.archive.snapshot import changes, counts_text, in_chunks, last_of, read_products, remember, rows_of
    from skyloom.files import write_table

    service = open_service(args.service or settings.service, settings, args.simulated)
    wanted, counts = select(service, settings.search, f"{args.seed}:{args.case}:query_archive")
    say(counts_text(counts))

    wanted.meta = {
        "service": service.name,
        "asked": service.asked,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "search": settings.search.model_dump(mode="json"),
        "counts": rows_of(counts),
    }
    history = Path(args.history)
    last = last_of(history)
    difference = changes(read_products(last) if last else None, wanted)
    write_table(args.snapshot, wanted)
    write_table(args.counts, counts)
    write_table(args.changes, difference)
    for path, table in zip(args.chunk_files, in_chunks(wanted, args.chunks), strict=True):
        write_table(path, table)
    if last is None or len(difference):
        remember(history, wanted)

    kinds = list(difference["change"])
    since = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("added", "removed", "changed"))
    told = "first query" if last is None else f"since {difference.meta['since']}: {since}"
    say(f"{len(wanted)} files in {args.chunks} chunks ({told})")


if __name__ == "__main__":
    run(main)
