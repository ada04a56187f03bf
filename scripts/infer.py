"""Classify the objects of one chunk of the archive, or search files as they come.

With --cutouts: writes one row an object (ECSV: object_id, probability, spread, logit, candidate, model). The
probability is calibrated; the spread is the standard deviation of the members' probabilities, masked for a single
network.

With --incoming, for cases that search observations: keeps the networks in memory, and writes one JSON object a file on
a line of its own, with the candidates that reach the threshold and the seconds of each stage. It ends with the input,
after --until-idle, or when interrupted (SIGINT), and then says latency and throughput.
"""

import sys

from skyloom.cases import hook
from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read networks and calibration, and classify cutouts or search files."""
    parser = step_parser(__doc__, section="models")
    parser.add_argument(
        "--models", nargs="+", required=True, help="trained networks (.keras), one a member; of a chain, ROLE=FILE"
    )
    parser.add_argument("--calibration", required=True, help="their calibration (JSON)")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--cutouts", help="cutouts of one chunk (HDF5) of crop.py")
    given.add_argument(
        "--incoming", help="folder whose files are searched as they come, or - for paths on standard input"
    )
    parser.add_argument(
        "--output", help="one row an object (ECSV); with --incoming, JSON lines are appended (default: standard output)"
    )
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that the job was given (default: %(default)s)")
    live = parser.add_argument_group("with --incoming")
    live.add_argument("--runtime", choices=("keras", "litert"), default="keras", help="default: %(default)s")
    live.add_argument("--threads", type=int, help="of the networks (default: `search.threads` of the case)")
    live.add_argument(
        "--settle", type=float, default=0.2, help="a file is whole after so long [s] (default: %(default)s)"
    )
    live.add_argument("--until-idle", type=float, help="end after so long without a file [s] (default: never)")
    args = parser.parse_args(argv)
    if args.incoming:
        search_incoming(args)
    elif args.output:
        classify(args)
    else:
        parser.error("--cutouts needs --output")


def classify(args) -> None:
    """Classify the cutouts and write the predictions."""
    from skyloom.learn import calibration

    calibrated = calibration.read(args.calibration)
    args.section = f"models.{calibrated['model']}"
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads, settings.device, args.gpus)

    from astropy.table import Column, MaskedColumn, Table

    from skyloom.files import write_table
    from skyloom.images.normalise import network_input
    from skyloom.images.store import read_cutouts
    from skyloom.learn import predict, store

    cutouts, _ = read_cutouts(args.cutouts)
    models = store.load_members(args.models, calibrated, args.calibration)
    images = network_input(cutouts.snr())
    result = calibration.apply(calibrated, predict.member_logits(models, images, calibrated["all_orientations"]))
    rows = Table(
        [
            Column(cutouts.id.astype(str), "object_id", description="Object, as in the table of objects"),
            Column(
                result.probability.round(6), "probability", description="Calibrated probability of the positive class"
            ),
            MaskedColumn(
                result.spread.round(6), "spread", description="Standard deviation of the members' probability"
            ),
            Column(result.logit.round(6), "logit", description="Mean log odds of the members, not calibrated"),
            Column(result.candidate, "candidate", description="Whether the probability reaches the threshold"),
            Column([calibrated["identity"]] * len(cutouts), "model", dtype=str, description="Model and its weights"),
        ]
    )
    rows.meta["threshold"] = calibrated["threshold"]
    write_table(args.output, rows)
    say(f"{args.output}: {int(result.candidate.sum())} candidates among {len(rows)} objects")


def search_incoming(args) -> None:
    """Search files as they come, until they end, and say how long it took."""
    import contextlib
    import time

    from skyloom.incoming import Interruption, arrivals, named

    args.section = "search"
    settings = step_settings(args)
    search, start = hook(args.case, "search_incoming"), time.perf_counter()
    networks, calibration = ready_networks(args, settings)
    hook(args.case, "warm_up")(networks, calibration, settings)
    print(f"ready after {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    files = named(sys.stdin) if args.incoming == "-" else arrivals(args.incoming, args.settle, args.until_idle)
    latencies, dropped = [], 0
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(opened(args.output)) if args.output else sys.stdout
        interruption = stack.enter_context(Interruption())
        while (path := interruption.next_of(files)) is not None:
            row = searched(path, search, networks, calibration, settings)
            print(as_line(row), file=out, flush=True)
            if row["status"] == "searched":
                latencies.append(row["seconds"]["all"])
            else:
                dropped += 1
    print(summary(latencies, dropped), file=sys.stderr, flush=True)


def ready_networks(args, settings) -> tuple[dict, dict]:
    """Return the networks of the chain by role, in memory and ready to run, and their calibration."""
    from skyloom.errors import UserError
    from skyloom.files import sha256
    from skyloom.learn import backend, chains

    calibration = chains.read_calibration(args.calibration)
    files = chains.chain_files(args.models, calibration["models_sha256"])
    threads = args.threads or settings.threads
    backend.start(threads)

    from skyloom.learn import runtimes, store

    networks = {}
    for role, path in files.items():
        if args.runtime == "litert":
            networks[role] = runtimes.read_litert(path, threads)
            source = networks[role].source
        else:
            networks[role], source = runtimes.keras_runner(store.load_model(path)), sha256(path)
        if source != calibration["models_sha256"].get(role):
            raise UserError(f"{path}: is not the network that {args.calibration} was made with; calibrate again.")
    return networks, calibration


def searched(path, search, networks, calibration, settings) -> dict:
    """Return what is told of one file."""
    import time

    from skyloom.errors import UserError
    from skyloom.images.fits import UnusableImage

    row, seconds, start = {"file": str(path), "status": "dropped", "reason": ""}, {}, time.perf_counter()
    try:
        facts, found = search(path, networks, calibration, settings, seconds)
    except (UnusableImage, UserError) as error:
        return row | {"reason": str(error)}
    except OSError as error:
        return row | {"reason": f"The file cannot be read: {error.strerror or error}."}
    seconds["all"] = time.perf_counter() - start
    row["status"], row["reason"] = "searched", "" if found else "No source was found."
    return row | facts | {"seconds": seconds, "candidates": found}


def as_line(row: dict) -> str:
    """Return a row as JSON in one line; what is not known is null."""
    import json
    import math

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, float):
            return float(f"{value:.9g}") if math.isfinite(value) else None
        return value

    return json.dumps(plain(row), allow_nan=False)


def opened(path: str):
    """Return a file that lines are appended to."""
    from skyloom.errors import UserError

    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}).") from error


def summary(latencies: list[float], dropped: int) -> str:
    """Return the sentence at the end; latencies [s] are from the start of the reading to the candidates."""
    import numpy as np

    if not latencies:
        return f"0 files searched, {dropped} dropped"
    median, last = np.percentile(latencies, (50, 99)) * 1e3
    rate = len(latencies) / sum(latencies)
    return (
        f"{len(latencies)} files searched, {dropped} dropped; from file to candidates {median:.1f} ms in the median, "
        f"{last:.1f} ms at 99 %; {rate:.1f} files/s while searching"
    )


if __name__ == "__main__":
    run(main)
