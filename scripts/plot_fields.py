"""Draw how well diffuse emission is found in the test fields, and some of these with what was found (PNG)."""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read scores, residuals and fields, and draw them."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--scores", required=True, help="scores of score_detections.py (JSON)")
    parser.add_argument("--residuals", required=True, help="matched pairs of score_detections.py (ECSV)")
    parser.add_argument("--observations", required=True, help="simulated fields (HDF5)")
    parser.add_argument("--truth", required=True, help="their truth (ECSV)")
    parser.add_argument("--detections", required=True, help="what was found in them (ECSV)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--verdicts", required=True, help="figure: how fields are told (PNG)")
    parser.add_argument("--brightness", required=True, help="figure: what is found against its brightness (PNG)")
    parser.add_argument("--fields", required=True, help="figure: fields with what was found (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    from skyloom.files import read_json, read_table
    from skyloom.images import field_store
    from skyloom.learn import chains, field_calibration, store
    from skyloom.plots import radio, style

    calibration = chains.read_calibration(args.calibration)
    parts = ("fields", "pixels", "kinds")
    scores = chains.with_entries(read_json(args.scores), parts, args.scores, "the scores of a search of fields")
    found = field_calibration.apply(calibration, read_table(args.detections, "detections"))
    truth = read_table(args.truth, "truth")
    network = store.load_model(chains.chain_files(args.models, ("map",))["map"])
    wanted = chosen(truth, radio.SHOWN)
    shown = {
        number: drawn(field, network, found[found["cube"] == number], settings, wanted[number])
        for number, field in field_store.read(args.observations)
        if number in wanted
    }
    style.save(args.verdicts, radio.verdicts(scores))
    style.save(args.brightness, radio.brightness(scores, read_table(args.residuals, "residuals")))
    style.save(args.fields, radio.fields([shown[number] for number in wanted]))
    say(f"{args.verdicts}, {args.brightness}, {args.fields}")


def chosen(truth, count):
    """Return titles of the fields that are shown, by number: with a halo, with a relic, with both, with nothing."""
    kinds = {}
    for row in truth:
        kinds.setdefault(int(row["cube"]), set()).update(
            {int(row["kind"])} if row["visible"] or row["kind"] < 0 else ()
        )
    tests = (
        ("halo", lambda kind: kind == {0}),
        ("relic", lambda kind: kind == {1}),
        ("halo and relic", lambda kind: {0, 1} <= kind),
        ("no diffuse emission", lambda kind: kind == {-1}),
    )
    result = {}
    for title, test in tests:
        number = next((number for number, kind in kinds.items() if test(kind) and number not in result), None)
        if number is not None:
            result[number] = title
    for number in kinds:
        if len(result) < min(count, len(kinds)):
            result.setdefault(number, f"field {number}")
    return result


def drawn(field, network, rows, settings, title):
    """Return a field as it is drawn."""
    import numpy as np

    from skyloom.images.radio_fields import binned
    from skyloom.learn import field_search, field_tables
    from skyloom.plots.radio import Shown

    one = field_search.scaled(field, settings)
    height, width = one.image.shape
    probability = field_search.probability_map(one, network, settings)
    islands, _ = field_search.find_islands(one, probability, settings)
    kept = rows[(rows["island"] > 0) & rows["candidate"]]
    whole = rows[rows["island"] == 0][0]
    return Shown(
        snr=one.image / one.noise.of(slice(0, height), slice(0, width)),
        truth=binned((field.mask > 0).astype(np.float32), one.binning),
        probability=probability,
        islands=np.isin(islands, np.asarray(kept["island"])),
        rows=[
            (one.from_field(row["x"]), one.from_field(row["y"]), field_tables.KINDS[int(row["kind"])]) for row in kept
        ],
        cluster=field_search.place_of(field, one, []),
        title=f"{title}\n{field.beam[0]:g} arcsec, {whole['probability']:.0%} sure of emission",
    )


if __name__ == "__main__":
    run(main)
