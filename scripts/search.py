"""Search the observations of one chunk of the archive with a calibrated chain of networks. No truth is read.

Reads the manifest of downloaded files; writes one row a source with what was measured of it, their probabilities, and a
table that says of every file whether it was searched or dropped, and why (all ECSV).
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings

PASSED_ON = ("product_id", "target_name", "proposal_id", "member_ous_uid", "filename", "sha256", "simulated")


def main(argv=None):
    """Search every file of the manifest and write the tables."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--manifest", required=True, help="table of the downloaded files (download_fits)")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--objects", required=True, help="one row a source (ECSV)")
    parser.add_argument("--predictions", required=True, help="their probabilities (ECSV)")
    parser.add_argument("--fields", required=True, help="one row a file (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.archive.manifest import read_manifest
    from skyloom.catalog.tables import fields_table
    from skyloom.errors import UserError
    from skyloom.files import sha256, write_table
    from skyloom.learn import chains

    calibration = chains.read_calibration(args.calibration)
    manifest = read_manifest(args.manifest)
    networks = {}
    files = chains.chain_files(args.models, calibration["models_sha256"])
    for role, path in files.items():
        if sha256(path) != calibration["models_sha256"].get(role):
            raise UserError(f"{path}: is not the network that {args.calibration} was made with; calibrate again.")
    if len(manifest):
        from skyloom.learn import backend

        backend.start(settings.threads)

        from skyloom.learn import store

        networks = {role: store.load_model(path) for role, path in files.items()}

    search_one = hook(args.case, "search_file")
    fields, objects = [], []
    for row in progress(manifest, len(manifest), "files searched"):
        field, found = searched(row, search_one, networks, calibration, settings, args.manifest)
        fields.append(field)
        objects += found
    unit_of = hook(args.case, "object_units")()
    write_table(args.objects, objects_table(objects, unit_of))
    write_table(args.predictions, predictions_table(objects, calibration))
    counts, units = hook(args.case, "field_columns")()
    write_table(args.fields, fields_table(fields, ("n_objects", *counts), units))
    dropped = sum(field["status"] == "dropped" for field in fields)
    say(f"{len(fields)} files: {len(fields) - dropped} searched, {dropped} dropped; {len(objects)} sources")


def searched(row, search_one, networks, calibration, settings, manifest: str) -> tuple[dict, list[dict]]:
    """Return the row of the fields table and the rows of the sources of one file."""
    from skyloom.archive.manifest import FAILED
    from skyloom.files import existing
    from skyloom.images.fits import UnusableImage

    field = {"product_id": str(row["product_id"]), "filename": str(row["filename"]), "status": "dropped", "reason": ""}
    if row["status"] == FAILED:
        return field | {"reason": f"Not downloaded: {row['reason']}."}, []
    path = existing(str(row["path"]), f"the file {row['filename']} listed in {manifest}; run download_fits.py again")
    try:
        facts, found = search_one(path, networks, calibration, settings)
    except UnusableImage as error:
        return field | {"reason": str(error)}, []
    field |= {"status": "kept", "reason": "" if found else "No source was found.", "n_objects": len(found), **facts}
    common = {name: row[name].item() if hasattr(row[name], "item") else row[name] for name in PASSED_ON}
    stem = file_stem(str(row["filename"]))
    records = [
        {"object_id": f"{stem}.{number:02d}", **common, "data_sha256": facts["data_sha256"], **source}
        for number, source in enumerate(found, 1)
    ]
    return field, records


def file_stem(filename: str) -> str:
    """Return a FITS file's name without its endings, packed or not."""
    for ending in (".gz", ".fz", ".fits", ".fit"):
        filename = filename.removesuffix(ending)
    return filename


def objects_table(records: list[dict], unit_of: dict):
    """Return the table of sources, with its columns and units (`str` for texts) even where there is none."""
    import numpy as np
    from astropy.table import MaskedColumn, Table

    text = {"object_id", *PASSED_ON, "data_sha256", "flags"} - {"simulated"}
    table = Table()
    for name in ("object_id", *PASSED_ON, "data_sha256", *unit_of, "flags"):
        kind = str if name in text or unit_of.get(name) is str else bool if name == "simulated" else float
        values = np.array([kind(record[name]) for record in records], dtype=kind)
        mask = ~np.isfinite(values) if kind is float else np.zeros(len(values), bool)
        table[name] = MaskedColumn(
            np.where(mask, 0, values) if kind is float else values,
            mask=mask,
            unit=unit_of.get(name) if kind is float else None,
        )
    return table


def predictions_table(records: list[dict], calibration: dict):
    """Return the table of probabilities."""
    import numpy as np
    from astropy.table import Column, MaskedColumn, Table

    probability = np.array([record["probability"] for record in records], dtype=float)
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    table = Table(
        [
            Column([record["object_id"] for record in records], "object_id", dtype=str),
            Column(probability.round(6), "probability", description="Calibrated probability that the source is real"),
            MaskedColumn(np.zeros(len(records)), "spread", mask=np.ones(len(records), bool)),
            Column(np.log(clipped / (1 - clipped)).round(6), "logit", description="Its log odds"),
            Column(probability >= calibration["threshold"], "candidate", dtype=bool),
            Column([calibration["identity"]] * len(records), "model", dtype=str, description="Chain and its weights"),
        ]
    )
    table.meta["threshold"] = calibration["threshold"]
    return table


if __name__ == "__main__":
    run(main)
