"""The manifest: what became of each file of a chunk."""

from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import UserError
from ..files import read_table

FETCHED, FAILED = "fetched", "failed"
COLUMNS = (
    "product_id",
    "target_name",
    "proposal_id",
    "member_ous_uid",
    "filename",
    "simulated",
    "path",
    "size",
    "sha256",
    "status",
    "reason",
)
"""Columns that later steps read; it has all those of the chunk besides."""


def read_manifest(path: str | Path) -> Table:
    """Read a manifest.

    Raises
    ------
    UserError
        If a column of `COLUMNS` is missing.
    """
    manifest = read_table(path, "a manifest of downloaded files")
    missing = [name for name in COLUMNS if name not in manifest.colnames]
    if missing:
        raise UserError(f"{path}: the column `{missing[0]}` is missing; make it with download_fits.py.")
    manifest["simulated"] = np.asarray(manifest["simulated"]).astype(bool)
    return manifest
