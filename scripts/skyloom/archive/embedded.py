"""The embedded archive: simulated observations, an ObsCore table and a tar of products from each simulating job."""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from astropy.table import Table

from ..config.schema import Download, Search
from ..errors import UserError
from ..files import read_table
from .failures import FetchError
from .fits_check import check_fits
from .services import OBSERVATION, PRODUCT, conformed, stacked
from .targets import target_in_name

PREFIX = "embedded:"
TABLE_ENDING = ".obscore.ecsv"


class EmbeddedService:
    """What the simulation observed, asked like a real archive."""

    name = "embedded"
    applies = frozenset(Search.model_fields)
    simulated = True
    in_place = False

    def __init__(self, tables: Sequence[str | Path] = ()):
        """Take the ObsCore tables; none are needed to fetch products only."""
        self.tables = [Path(table) for table in tables]
        self.asked = [f"tables {', '.join(path.name for path in self.tables)}"]
        self._rows: Table | None = None
        self._tars: dict[str, Path] = {}

    def named(self, target: str) -> Table:
        """Return all observations; the caller compares the names."""
        return self._table()

    def observations(self, search: Search, centre) -> Table:
        """Return all rows of all tables."""
        return self._table()

    def products(self, observations: Table) -> Table:
        """Return the members of the tars that belong to the observations' member OUS.

        A product belongs to a member OUS by its name, ``member.<uid>.…``, and there to the target in its name.
        `version` is a part of the content's SHA-256, so that a changed simulation is noticed.
        """
        whole = self._table()
        targets = by_member(whole["member_ous_uid"], whole["target_name"])
        selected = by_member(observations["member_ous_uid"], observations["target_name"])
        members = {member_tag(member): (numbers, list(targets[member])) for member, numbers in selected.items()}
        rows = []
        for path in self._tar_files():
            rows += _tar_rows(path, members)
        return conformed(Table(rows) if rows else Table(), PRODUCT)

    def retrieve(self, product, part: Path, download: Download, limit: int | None) -> None:
        """Copy a product out of its tar."""
        archive, _, member = str(product["access_url"]).removeprefix(PREFIX).rpartition("#")
        try:
            with tarfile.open(archive, "r:") as tar:
                source = tar.extractfile(member)
                if source is None:
                    raise FetchError(f"{archive}: `{member}` is not a file")
                with source, open(part, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            check_fits(part)
        except FileNotFoundError as error:
            raise FetchError(f"{archive} is missing; simulate the archive again") from error
        except (tarfile.TarError, KeyError) as error:
            raise FetchError(f"{archive} has no readable `{member}`; simulate the archive again") from error

    def _table(self) -> Table:
        if self._rows is None:
            if not self.tables:
                raise UserError("the embedded archive has no tables; give them with --simulated.")
            tables = [read_table(path, "an ObsCore table") for path in self.tables]
            for table in tables:
                if "s_resolution" not in table.colnames and "spatial_resolution" in table.colnames:
                    table.rename_column("spatial_resolution", "s_resolution")
            self._rows = stacked(tables, OBSERVATION)
        return self._rows

    def _tar_files(self) -> list[Path]:
        paths = []
        for table in self.tables:
            if not table.name.endswith(TABLE_ENDING):
                raise UserError(f"{table}: the name of a simulated table should end in {TABLE_ENDING}.")
            path = table.with_name(table.name.removesuffix(TABLE_ENDING) + ".tar")
            if not path.is_file():
                raise UserError(f"{path}: no such file; the products should lie beside {table.name}.")
            paths.append(Path(os.path.relpath(path)))
        return paths


def member_tag(member_ous_uid: str) -> str:
    """Return a member OUS as product names have it: ``uid://A001/X1/X2`` is ``uid___A001_X1_X2``."""
    return member_ous_uid.replace("://", "___").replace("/", "_")


def tag_in_name(filename: str) -> str:
    """Return the member OUS in a product's name (``member.<tag>.…``), or ''."""
    parts = filename.split(".")
    return parts[1] if len(parts) > 2 and parts[0] == "member" else ""


def owner(filename: str, selected: dict[str, int], targets: Sequence[str]) -> int | None:
    """Return which of the selected observations of a member OUS a product belongs to.

    Parameters
    ----------
    filename : str
    selected : dict of str to int
        The numbers of the selected observations, by target; not empty.
    targets : sequence of str
        All targets of the member OUS, selected or not.

    Returns
    -------
    int or None
        None for a product of a target that is not selected. A product that names no target belongs to the first.
    """
    named = target_in_name(filename, targets)
    return next(iter(selected.values())) if named is None else selected.get(targets[named])


def by_member(member_ous_uid, target_name) -> dict[str, dict[str, int]]:
    """Return the numbers of observations by member OUS and target."""
    members: dict[str, dict[str, int]] = {}
    for number, (member, target) in enumerate(zip(member_ous_uid, target_name, strict=True)):
        members.setdefault(str(member), {}).setdefault(str(target), number)
    return members


def _tar_rows(path: Path, members: dict[str, tuple[dict[str, int], list[str]]]) -> list[dict]:
    rows = []
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                if not entry.isfile() or tag_in_name(entry.name) not in members:
                    continue
                number = owner(entry.name, *members[tag_in_name(entry.name)])
                if number is None:
                    continue
                digest = hashlib.file_digest(tar.extractfile(entry), "sha256").hexdigest()
                rows.append(
                    {
                        "observation": number,
                        "product_id": "",
                        "filename": entry.name,
                        "access_url": f"{PREFIX}{path.as_posix()}#{entry.name}",
                        "content_length": entry.size,
                        "version": f"sha256:{digest[:16]}",
                    }
                )
    except tarfile.TarError as error:
        raise UserError(f"{path}: not a readable tar ({error}); simulate the archive again.") from error
    return rows
