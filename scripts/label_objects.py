"""Tell what is known about objects: their labels, their targets, and which split each target belongs to.

Labels come from the truth of simulated fields and from a person's file, which wins. Content that the archive holds
under two names is taken once. Targets are divided into train, validation and test before anything is augmented.
"""

from skyloom.cli import run, say, step_parser, step_settings
from skyloom.errors import UserError

OBJECTS = ("object_id", "filename", "target_name", "member_ous_uid", "data_sha256", "ra", "dec", "beam_major")
FIELDS = ("product_id", "filename", "status", "data_sha256")
TRUTH = ("filename", "kind", "is_wind", "labelled", "ra", "dec")


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__, section="labels", seed=True)
    parser.add_argument("--objects", required=True, nargs="+", help="tables of the objects (crop)")
    parser.add_argument("--fields", required=True, nargs="+", help="tables of the files (crop)")
    parser.add_argument("--truth", nargs="*", default=[], help="truth of simulated fields (simulate_archive)")
    parser.add_argument("--label-file", help="labels by people: CSV with the columns id, label, who, note")
    parser.add_argument("--output", required=True, help="table of the labelled objects to write (.ecsv)")
    parser.add_argument("--duplicates", required=True, help="table of the duplicated files to write (.ecsv)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import numpy as np

    from skyloom import __version__
    from skyloom.config.identity import settings_hash
    from skyloom.config.schema import in_unit
    from skyloom.files import write_table
    from skyloom.learn.labels import check_both_classes, duplicated_files, read_label_file, truth_labels
    from skyloom.learn.splits import assign_splits, target_groups

    objects = read_tables(args.objects, "a table of objects", OBJECTS)
    fields = read_tables(args.fields, "a table of files", FIELDS)
    truth = read_tables(args.truth, "a table of truth", TRUTH)

    known = [str(name) for name in objects["object_id"]]
    labels = {}
    if truth is not None:
        told = truth_labels(objects, truth, settings.match_radius)
        labels = {name: (label, "truth", kind) for name, (label, kind) in told.items()}
    if args.label_file:
        for name, (label, who) in read_label_file(args.label_file, known).items():
            labels[name] = (label, who, labels[name][2] if name in labels else "")

    duplicates = duplicated_files(fields)
    labels = once_each(labels, objects, duplicates)
    rows = objects[[name in labels for name in known]]
    rows.sort("object_id")
    names = [str(name) for name in rows["object_id"]]
    label = np.array([labels[name][0] for name in names], dtype=np.int64)
    check_both_classes(label)

    observation = [
        f"{ous} {target}" if ous and target else ""
        for ous, target in zip(rows["member_ous_uid"], rows["target_name"], strict=True)
    ]
    number = target_groups(
        np.asarray(rows["ra"]),
        np.asarray(rows["dec"]),
        [np.array(observation, dtype=str), np.asarray(rows["data_sha256"], dtype=str)],
        in_unit(settings.same_target, "arcsec"),
    )
    # A target is called by the first of its objects, whatever order its tables came in.
    group = np.array([names[np.flatnonzero(number == one)[0]] for one in number])
    split = assign_splits(group, label, settings.validation, settings.test, args.seed)

    table = rows["object_id",]
    table["label"] = label
    table["who"] = np.array([labels[name][1] for name in names], dtype=str)
    table["kind"] = np.array([labels[name][2] for name in names], dtype=str)
    table["group"], table["split"] = group, split
    table.meta = {
        "case": args.case,
        "seed": args.seed,
        "config_hash": settings_hash(settings),
        "version": __version__,
    }
    write_table(args.output, table)
    write_table(args.duplicates, duplicates)
    for name in ("train", "validation", "test"):
        here = split == name
        say(f"{name}: {label[here].sum()} positive and {(1 - label[here]).sum()} negative objects")
    say(f"{len(table)} of {len(objects)} objects labelled, {len(set(group))} targets; {len(duplicates)} files twice")


def read_tables(paths: list[str], what: str, columns: tuple[str, ...]):
    """Return several tables of one kind as one, without their metadata; None if there are no paths."""
    from astropy.table import vstack

    from skyloom.files import read_table

    tables = []
    for path in paths:
        table = read_table(path, what)
        missing = [name for name in columns if name not in table.colnames]
        if missing:
            raise UserError(f"{path}: the column `{missing[0]}` of {what} is missing; make it again.")
        tables.append(table[columns])
    return vstack(tables, metadata_conflicts="silent") if tables else None


def once_each(labels: dict, objects, duplicates) -> dict:
    """Return the labels without those of duplicated files, which go to the same objects of the file that is kept."""
    twin_of = {}
    kept_file = dict(zip(duplicates["filename"], duplicates["kept"], strict=True))
    object_of = {}
    for row in objects:
        name = str(row["object_id"])
        object_of[str(row["filename"]), name.rpartition(".")[2]] = name
    for (filename, number), name in object_of.items():
        if filename in kept_file:
            twin_of[name] = object_of[kept_file[filename], number]
    result = {name: value for name, value in labels.items() if name not in twin_of}
    for name, twin in twin_of.items():
        if name not in labels:
            continue
        if result.setdefault(twin, labels[name])[0] != labels[name][0]:
            raise UserError(f"labels: `{name}` and `{twin}` have the same pixels, but different labels; keep one.")
    return result


if __name__ == "__main__":
    run(main)
