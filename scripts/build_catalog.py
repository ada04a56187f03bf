"""Join objects and their probabilities to the catalog of one case, and write it in every format.

Objects whose label trained or calibrated the networks are left out, since the networks know them. Where the settings
name a catalog of known sources, each row names the nearest one. The area that was searched is written as a MOC.
"""

from skyloom.cli import run, say, step_parser, step_settings
from skyloom.errors import UserError


def main(argv=None) -> None:
    """Read the tables of all chunks and write one catalog."""
    parser = step_parser(__doc__, section="reference")
    parser.add_argument("--objects", nargs="+", required=True, help="objects of each chunk (ECSV, by crop)")
    parser.add_argument("--predictions", nargs="+", required=True, help="probabilities of each chunk (ECSV, by infer)")
    parser.add_argument("--fields", nargs="+", required=True, help="searched files of each chunk (ECSV, by crop)")
    parser.add_argument("--labels", help="labelled objects and their split (ECSV, by label_objects); none if not given")
    parser.add_argument("--columns", default="resources/columns.yaml", help="column definition (default: %(default)s)")
    parser.add_argument("--config-hash", help="hash of the case's settings (default: of those in the config files)")
    for kind in ("csv", "ecsv", "votable", "fits", "regions", "moc"):
        parser.add_argument(f"--{kind}", required=True, help=f"the catalog to write as {kind}")
    args = parser.parse_args(argv)
    reference = step_settings(args)

    from skyloom import __version__
    from skyloom.catalog.check import check_catalog
    from skyloom.catalog.columns import read_columns
    from skyloom.catalog.counterparts import counterparts, read_reference
    from skyloom.catalog.footprint import searched_area, write_area
    from skyloom.catalog.rows import join_predictions, make_catalog, used_objects
    from skyloom.catalog.tables import read_chunks
    from skyloom.catalog.writers import write_catalog
    from skyloom.config.schema import in_unit
    from skyloom.files import read_table

    columns = read_columns(args.columns)
    objects = read_chunks(args.objects, "objects", ["object_id", "ra", "dec", "filename", "flags"])
    predictions = read_chunks(args.predictions, "predictions", ["object_id", "probability", "candidate"])
    fields = read_chunks(args.fields, "fields", ["status"])
    labels = read_table(args.labels, "labels") if args.labels else no_labels()
    for name in ("object_id", "label", "split"):
        if name not in labels.colnames:
            raise UserError(f"{args.labels}: has no column `{name}`; make it again with label_objects.")

    if reference.file:
        known = read_reference(reference.file, reference.name, reference.ra, reference.dec)
        near = counterparts(objects["ra"], objects["dec"], known, in_unit(reference.radius, "deg"))
        objects["reference_name"], objects["reference_distance"] = near
    predictions = join_predictions(objects, predictions)
    used = used_objects(objects, labels)
    config = args.config_hash or configured(args.case)
    catalog = make_catalog(columns, args.case, objects[~used], predictions[~used], labels, config, __version__)
    check_catalog(catalog, columns)
    write_catalog(vars(args), catalog, columns)
    area = searched_area(fields)
    write_area(args.moc, area)
    say(
        f"{args.case}: {len(objects)} objects found, {used.sum()} left out because they trained or calibrated the "
        f"networks, {len(catalog)} in the catalog, {sum(catalog['candidate'])} candidates; "
        f"{area.sky_fraction * 41252.96 * 3600:.3g} square arcmin searched"
    )


def no_labels():
    """Return the table of labels of a case without any."""
    from astropy.table import Table

    return Table(names=("object_id", "label", "split"), dtype=(str, int, str))


def configured(case: str) -> str:
    """Return the hash of a case's settings in the project's config files."""
    from skyloom.config.identity import settings_hash
    from skyloom.config.load import load

    return settings_hash(load(overrides={"run": {"cases": [case]}})[1][case])


if __name__ == "__main__":
    run(main)
