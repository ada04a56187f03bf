"""Labels of objects: from the truth of simulated fields, and from people."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..config.identity import settings_hash
from ..detect.matching import match
from ..errors import UserError
from ..files import read_table
from ..images.store import Cutouts, arranged, read_cutouts

WORDS = {"1": 1, "yes": 1, "wind": 1, "0": 0, "no": 0, "other": 0}
"""What a person may write in the column `label`."""

UNMATCHED = "unmatched"
"""Kind of a detection that is no true object: a piece of a sidelobe, of a cloud or of the noise."""


def truth_labels(objects: Table, truth: Table, match_radius: float) -> dict[str, tuple[int, str]]:
    """Return label and kind of the objects of those fields whose truth is told.

    In such a field every true object is known, so a detection that matches none is a negative. In a field with a wind
    only the wind itself gets a label: anything else there may be a piece of its walls, or a companion whose cutout
    shows the wind too, of which nobody can say what it should be called.

    Parameters
    ----------
    objects : astropy.table.Table
        Detected objects: object_id, filename, ra, dec, beam_major.
    truth : astropy.table.Table
        True objects: filename, kind, is_wind, ra, dec, labelled.
    match_radius : float
        Largest separation in beams.

    Returns
    -------
    dict of str to (int, str)
    """
    told = truth[np.asarray(truth["labelled"], dtype=bool)]
    objects_of, truth_of = _rows_by_file(objects), _rows_by_file(told)
    labels = {}
    for filename in sorted(truth_of.keys() & objects_of.keys()):
        found, true = objects[objects_of[filename]], told[truth_of[filename]]
        winds = np.asarray(true["is_wind"], dtype=bool)
        partners = match(_position(true), _position(found), match_radius * np.asarray(found["beam_major"]))
        for object_id, partner in zip(found["object_id"], partners, strict=True):
            if winds.any() and not (partner >= 0 and winds[partner]):
                continue
            kind = str(true["kind"][partner]) if partner >= 0 else UNMATCHED
            labels[str(object_id)] = (int(winds.any()), kind)
    return labels


def read_label_file(path: str | Path, known: list[str]) -> dict[str, tuple[int, str]]:
    """Return label and labeller of the objects in a person's file.

    Parameters
    ----------
    path : path
        CSV with the columns id, label, who, note; lines that begin with ``#`` are remarks.
    known : list of str
        The objects there are.

    Raises
    ------
    UserError
        If a column is missing, a label is none of `WORDS`, an id is not known, or one has two different labels.
    """
    table = _read(path)
    for name in ("id", "label", "who", "note"):
        if name not in table.colnames:
            raise UserError(f"{path}: the column `{name}` is missing; there should be id, label, who, note.")
    exists = set(known)
    labels: dict[str, tuple[int, str]] = {}
    for row in table:
        object_id, word = str(row["id"]).strip(), str(row["label"]).strip().lower()
        if word not in WORDS:
            raise UserError(f"{path}: the label of `{object_id}` is `{row['label']}`; write wind or other.")
        if object_id not in exists:
            near = difflib.get_close_matches(object_id, known, n=1, cutoff=0.0)
            hint = f"; the nearest id is `{near[0]}`" if near else ""
            raise UserError(f"{path}: there is no object `{object_id}` in the archives that train{hint}.")
        if labels.get(object_id, (WORDS[word],))[0] != WORDS[word]:
            raise UserError(f"{path}: the object `{object_id}` has both labels; keep one.")
        labels[object_id] = (WORDS[word], str(row["who"]).strip())
    return labels


def check_both_classes(labels: np.ndarray) -> None:
    """Let pass only labels of both kinds.

    Raises
    ------
    UserError
        If there are no positives or no negatives.
    """
    for value, what in ((1, "positives"), (0, "negatives")):
        if not np.any(np.asarray(labels) == value):
            raise UserError(f"labels: there are no {what} among the {len(labels)} labelled objects; label some.")


def duplicated_files(fields: Table) -> Table:
    """Return the files that hold the pixels of another one: product_id, filename, data_sha256, kept.

    The first product of each content is kept; `kept` names its file.
    """
    used = fields[[str(status) == "kept" for status in fields["status"]]]
    first: dict[str, str] = {}
    rows = []
    for row in sorted(used, key=lambda row: str(row["product_id"])):
        kept = first.setdefault(str(row["data_sha256"]), str(row["filename"]))
        if kept != str(row["filename"]):
            rows.append((str(row["product_id"]), str(row["filename"]), str(row["data_sha256"]), kept))
    return Table(rows=rows or None, names=("product_id", "filename", "data_sha256", "kept"), dtype=(str,) * 4)


def labelled_cutouts(
    label_path: str | Path, cutout_paths: Sequence[str | Path], splits: Sequence[str]
) -> tuple[Table, Cutouts, str]:
    """Return the labels of some splits, the cutouts of the same objects in their order, and their settings' hash.

    Raises
    ------
    UserError
        If a labelled object has no cutout.
    """
    labels = read_table(label_path, "a table of labels")
    hashes = [str(labels.meta.get("config_hash", ""))]
    labels = labels[np.isin(labels["split"], list(splits))]
    row_of = {str(name): row for row, name in enumerate(labels["object_id"])}
    found, parts = np.zeros(len(labels), dtype=bool), []
    for path in cutout_paths:
        part, attrs = read_cutouts(path)
        hashes.append(str(attrs.get("config_hash", "")))
        part = part.take(np.flatnonzero([name in row_of for name in part.id.tolist()]))
        rows = np.array([row_of[name] for name in part.id.tolist()], dtype=int)
        found[rows] = True
        parts.append((rows, part))
    if not found.all():
        missing = labels["object_id"][np.argmin(found)]
        raise UserError(
            f"{label_path}: the object `{missing}` has no cutout in the files given; give those of all chunks."
        )
    return labels, arranged(parts, len(labels)), settings_hash(*dict.fromkeys(hashes))


def _read(path: str | Path) -> Table:
    if Path(path).suffix == ".ecsv":
        return read_table(path, "a label file")
    try:
        return Table.read(path, format="ascii.csv", comment="#", converters={"*": str}, fill_values=None)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; it should hold labels with the columns id, label, who, note."
        ) from error
    except Exception as error:
        raise UserError(f"{path}: cannot be read as a CSV of labels ({error}); mend or remove the line.") from error


def _rows_by_file(table: Table) -> dict[str, np.ndarray]:
    names = np.asarray(table["filename"], dtype=str)
    return {name: np.flatnonzero(names == name) for name in np.unique(names).tolist()}


def _position(table: Table) -> SkyCoord:
    return SkyCoord(np.asarray(table["ra"]), np.asarray(table["dec"]), unit="deg")
