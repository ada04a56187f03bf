"""Rows of a catalog: objects joined with their probabilities, one case or several."""

from collections import Counter

import numpy as np
from astropy.table import Table, vstack

from ..errors import UserError
from .columns import Column, chosen
from .names import iau_name

DUPLICATE = "duplicate"
"""Flag of a row whose image is another row's, under another file name."""

USED = ("train", "validation")
"""Splits whose objects the networks or their calibration have seen."""


def used_objects(objects: Table, labels: Table) -> np.ndarray:
    """Return which objects the networks have seen, and so cannot be classified fairly.

    An object counts as seen if its label trained or calibrated a network, or if it lies in an image with the very
    content (``data_sha256``) of one that did, under whatever name.

    Parameters
    ----------
    objects : astropy.table.Table
        With the columns ``object_id`` and, if known, ``data_sha256``.
    labels : astropy.table.Table
        With the columns ``object_id`` and ``split``.

    Returns
    -------
    numpy.ndarray of bool, shape (len(objects),)
    """
    seen = {str(row["object_id"]) for row in labels if str(row["split"]) in USED}
    used = np.array([str(name) in seen for name in objects["object_id"]], dtype=bool)
    if "data_sha256" in objects.colnames:
        used |= np.isin(np.asarray(objects["data_sha256"], dtype=str), np.asarray(objects["data_sha256"][used], str))
    return used


def duplicate_flags(objects: Table) -> list[str]:
    """Return the flags of the objects, with `DUPLICATE` where the image is in the archive under an earlier name.

    Parameters
    ----------
    objects : astropy.table.Table
        With the columns ``flags``, ``filename`` and, if known, ``data_sha256``.
    """
    flags = ["" if value is np.ma.masked else str(value) for value in objects["flags"]]
    if "data_sha256" not in objects.colnames:
        return flags
    content, files = ([str(value) for value in objects[name]] for name in ("data_sha256", "filename"))
    first: dict[str, str] = {}
    for key, file in zip(content, files, strict=True):
        first[key] = min(file, first.get(key, file))
    return [
        text if file == first[key] else ";".join(filter(None, [text, DUPLICATE]))
        for text, key, file in zip(flags, content, files, strict=True)
    ]


def join_predictions(objects: Table, predictions: Table) -> Table:
    """Return the predictions in the order of the objects, one each.

    Raises
    ------
    UserError
        If an object is there twice, or has no prediction, or two, or if a prediction has no object.
    """
    for what, table in (("object", objects), ("prediction", predictions)):
        twice = [name for name, count in Counter(map(str, table["object_id"])).items() if count > 1]
        if twice:
            raise UserError(f"the {what} `{twice[0]}` is there twice ({len(twice)} such); give each file once.")
    place = {str(name): row for row, name in enumerate(predictions["object_id"])}
    missing = [str(name) for name in objects["object_id"] if str(name) not in place]
    if missing:
        raise UserError(f"the object `{missing[0]}` has no prediction ({len(missing)} such); run infer on all chunks.")
    if len(place) > len(objects):
        unknown = min(set(place) - {str(name) for name in objects["object_id"]})
        raise UserError(f"the prediction `{unknown}` has no object; give the chunks of objects that infer was run on.")
    return predictions[np.array([place[str(name)] for name in objects["object_id"]], dtype=int)]


def make_catalog(
    columns: list[Column], case: str, objects: Table, predictions: Table, labels: Table, config: str, version: str
) -> Table:
    """Return the catalog of one case, ordered by position.

    Parameters
    ----------
    columns : list of `Column`
        The whole definition.
    case : str
        Name of the case.
    objects : astropy.table.Table
        What crop measured, without the objects that trained.
    predictions : astropy.table.Table
        One row an object, in the same order (`join_predictions`).
    labels : astropy.table.Table
        With the columns ``object_id`` and ``label``.
    config, version : str
        Hash of the settings, and version of the program.

    Raises
    ------
    UserError
        If the tables lack a column.
    """
    wanted = chosen(columns, set(objects.colnames))
    tables = {"objects": objects, "predictions": predictions}
    catalog = Table()
    for column in wanted:
        table, _, key = column.source.partition(".")
        if table in tables:
            if key not in tables[table].colnames:
                raise UserError(f"the {table} have no column `{key}` for the catalog's `{column.name}`.")
            catalog[column.name] = column.filled(tables[table][key])
    catalog["ra"][catalog["ra"] >= 360] = 0.0  # rounded up to the full circle
    known = {str(row["object_id"]): int(row["label"]) for row in labels}
    unknown = [str(name) not in known for name in catalog["id"]]
    made = {
        # From the rounded position, so that a reader gets the same name from the row.
        "name": [iau_name(row["ra"], row["dec"]) for row in catalog],
        "case": np.full(len(catalog), case),
        "known": np.ma.MaskedArray([known.get(str(name), 0) for name in catalog["id"]], unknown),
        "flags": duplicate_flags(objects),
        "config": np.full(len(catalog), config),
        "version": np.full(len(catalog), version),
    }
    for column in wanted:
        if column.source == "made":
            catalog[column.name] = column.filled(made[column.name])
    return ordered(catalog[[column.name for column in wanted]])


def merge_catalogs(columns: list[Column], catalogs: list[Table]) -> Table:
    """Return the catalogs of several cases as one, each column masked in the cases that do not have it.

    Raises
    ------
    UserError
        If a row is there twice.
    """
    present = [column for column in columns if any(column.name in catalog.colnames for catalog in catalogs)]
    parts = []
    for catalog in catalogs:
        part = Table()
        for column in present:
            has = column.name in catalog.colnames
            part[column.name] = column.filled(catalog[column.name]) if has else column.empty(len(catalog))
        parts.append(part)
    merged = ordered(vstack(parts, metadata_conflicts="silent"))
    rows = Counter(zip(map(str, merged["case"]), map(str, merged["id"]), strict=True))
    twice = [row for row, count in rows.items() if count > 1]
    if twice:
        raise UserError(f"the row `{twice[0][1]}` of the case {twice[0][0]} is there twice; give each catalog once.")
    return merged


def ordered(catalog: Table) -> Table:
    """Return the rows by case, right ascension, declination and id: an order that hangs on nothing else."""
    keys = [np.asarray(catalog[name]) for name in ("id", "dec", "ra", "case")]
    return catalog[np.lexsort(keys)]
