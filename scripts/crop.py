"""Find all objects in a chunk of images, measure them and cut them out.

Reads the manifest of downloaded files; writes the cutouts (HDF5), a table of the objects, and a table that says of
every file whether it was kept or dropped, and why. A file that cannot be used does not stop the others.
"""

from skyloom.cli import progress, run, say, step_parser, step_settings

OBJECT_UNITS = {
    "ra": "deg",
    "dec": "deg",
    "pos_error": "arcsec",
    "x": "pix",
    "y": "pix",
    "peak_flux": "Jy/beam",
    "peak_flux_error": "Jy/beam",
    "flux": "Jy",
    "flux_error": "Jy",
    "fwhm_major": "arcsec",
    "fwhm_minor": "arcsec",
    "pa": "deg",
    "size": "arcsec",
    "beam_major": "arcsec",
    "beam_minor": "arcsec",
    "beam_pa": "deg",
    "rms": "Jy/beam",
    "snr": None,
    "frequency": "GHz",
    "pixel_scale": "arcsec",
    "observed_fraction": None,
}
COUNTS = ("n_objects", "n_segments", "width", "height")
FIELD_UNITS = {
    "ra": "deg",
    "dec": "deg",
    "radius": "arcsec",
    "rms": "Jy/beam",
    "beam_major": "arcsec",
    "beam_minor": "arcsec",
}
PASSED_ON = ("product_id", "target_name", "proposal_id", "member_ous_uid", "filename", "sha256", "simulated")


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__, section="crop")
    parser.add_argument("--manifest", required=True, help="table of the downloaded files (download_fits)")
    parser.add_argument("--cutouts", required=True, help="cutouts to write (.h5)")
    parser.add_argument("--objects", required=True, help="table of the objects to write (.ecsv)")
    parser.add_argument("--fields", required=True, help="table of the files to write (.ecsv)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom import __version__
    from skyloom.archive.manifest import read_manifest
    from skyloom.catalog.tables import fields_table
    from skyloom.config.identity import settings_hash
    from skyloom.files import write_table
    from skyloom.images.store import write_cutouts

    manifest = read_manifest(args.manifest)
    fields, objects, found = [], [], []
    for row in progress(manifest, len(manifest), "images searched"):
        field, records, parts = searched(row, settings, args.manifest)
        fields.append(field)
        objects += records
        found += parts

    attrs = {"case": args.case, "config_hash": settings_hash(settings), "version": __version__}
    write_cutouts(args.cutouts, cutouts_of(objects, found, settings.size), attrs)
    write_table(args.objects, objects_table(objects))
    write_table(args.fields, fields_table(fields, COUNTS, FIELD_UNITS))
    dropped = sum(field["status"] == "dropped" for field in fields)
    say(f"{len(fields)} files: {len(fields) - dropped} kept, {dropped} dropped; {len(objects)} objects")


def searched(row, settings, manifest: str) -> tuple[dict, list[dict], list]:
    """Return the row of the fields table, the rows of the objects table and the `FieldObject`s of one file."""
    from skyloom.archive.manifest import FAILED
    from skyloom.detect.fields import field_objects
    from skyloom.files import existing
    from skyloom.images.fits import UnusableImage, read_image
    from skyloom.images.footprint import observed_disc

    field = {"product_id": str(row["product_id"]), "filename": str(row["filename"]), "status": "dropped", "reason": ""}
    if row["status"] == FAILED:
        return field | {"reason": f"Not downloaded: {row['reason']}."}, [], []
    path = existing(str(row["path"]), f"the file {row['filename']} listed in {manifest}; run download_fits.py again")
    try:
        image = read_image(path)
        result = field_objects(
            image,
            side=settings.size,
            detect_snr=settings.detect_snr,
            grow_snr=settings.grow_snr,
            largest_count=settings.largest_count,
            view=settings.view,
            smallest_view=settings.smallest_view,
            wide=settings.wide,
        )
    except UnusableImage as error:
        return field | {"reason": str(error)}, [], []
    height, width = image.data.shape
    ra, dec, radius = observed_disc(image.data, image.wcs, image.pixel_scale)
    beam = {"beam_major": image.beam.major, "beam_minor": image.beam.minor}
    count = len(result.objects)
    left_out = f"{result.segment_count - count} faintest objects left out." if result.segment_count > count else ""
    field |= {
        "status": "kept",
        "reason": left_out or ("" if count else f"Nothing reaches {settings.detect_snr:g} times the noise."),
        "n_objects": count,
        "n_segments": result.segment_count,
        "width": width,
        "height": height,
        "ra": ra,
        "dec": dec,
        "radius": radius,
        "rms": result.rms,
        **beam,
        "data_sha256": image.data_sha256,
    }
    records = []
    for number, found in enumerate(result.objects, 1):
        measured = {name: value for name, value in vars(found.measurement).items() if name != "edge"}
        records.append(
            {"object_id": f"{file_stem(str(row['filename']))}.{number:02d}"}
            | {name: row[name].item() if hasattr(row[name], "item") else row[name] for name in PASSED_ON}
            | {"data_sha256": image.data_sha256}
            | measured
            | beam
            | {
                "beam_pa": image.beam.pa,
                "frequency": image.frequency,
                "pixel_scale": image.pixel_scale,
                "observed_fraction": found.observed_fraction,
                "flags": ";".join(found.flags),
            }
        )
    return field, records, result.objects


def file_stem(filename: str) -> str:
    """Return a FITS file's name without its endings, packed or not."""
    for ending in (".gz", ".fz", ".fits", ".fit"):
        filename = filename.removesuffix(ending)
    return filename


def cutouts_of(records: list[dict], objects: list, side: int):
    """Return the cutouts of all objects of a chunk."""
    import numpy as np

    from skyloom.images import VIEWS
    from skyloom.images.store import Cutouts, no_cutouts

    if not objects:
        return no_cutouts(side)
    columns = {
        "id": np.array([record["object_id"] for record in records]),
        "rms": np.array([found.measurement.rms for found in objects], np.float32),
    }
    for view in VIEWS:
        cuts = [getattr(found, view) for found in objects]
        columns[view] = np.stack([cut.data for cut in cuts])
        columns[f"{view}_header"] = np.array([cut.header for cut in cuts])
        columns[f"{view}_beam"] = np.array([cut.beam for cut in cuts], np.float32)
    return Cutouts(**columns)


def objects_table(records: list[dict]):
    """Return the table of objects, with its columns and units even where there is none."""
    import numpy as np
    from astropy.table import Column, Table

    text = {"object_id", *PASSED_ON, "data_sha256", "flags"} - {"simulated"}
    names = ["object_id", *PASSED_ON, "data_sha256", *OBJECT_UNITS, "flags"]
    table = Table()
    for name in names:
        kind = str if name in text else bool if name == "simulated" else float
        values = np.array([kind(record[name]) for record in records], dtype=kind)
        table[name] = Column(values, unit=OBJECT_UNITS.get(name))
    return table


if __name__ == "__main__":
    run(main)
