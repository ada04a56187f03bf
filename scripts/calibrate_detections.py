"""Calibrate a chain of networks on the detections in the validation observations.

Fits the probability that a detection is real, the factors that make its errors hold, and the threshold of the wanted
purity (JSON).
"""

from skyloom.cases import hook
from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read detections and truth, calibrate, and write the calibration."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--detections", nargs="+", required=True, help="of the validation observations (ECSV)")
    parser.add_argument("--truths", nargs="+", required=True, help="their truth (ECSV)")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--output", required=True, help="the calibration (JSON)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.catalog.tables import read_chunks
    from skyloom.files import sha256, write_json
    from skyloom.learn import chains

    files = chains.chain_files(args.models)
    needed = hook(args.case, "table_needs")()
    detections = read_chunks(args.detections, "detections", needed["detections"])
    truth = read_chunks(args.truths, "truth", needed["truth"])
    calibration = hook(args.case, "calibrate")(truth, detections, settings)
    hashes = {role: sha256(path) for role, path in files.items()}
    joined = sha256_of("".join(f"{role}{value}" for role, value in sorted(hashes.items())))
    calibration |= {"models_sha256": hashes, "identity": f"{args.case}-chain:{joined[:12]}"}
    write_json(args.output, calibration)
    reached = calibration["reached"]
    purity, completeness = (reached[name]["value"] or 0 for name in ("purity", "completeness"))
    say(
        f"{args.output}: probability above {calibration['threshold']:.3f}, {reached['detections']} detections, "
        f"purity {purity:.3f}, completeness {completeness:.3f} on the validation observations"
        + ("" if reached["reached"] else f"; a purity of {settings.purity:g} is not certain with so few")
    )


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    run(main)
