"""The chain of filters from an archive's rows to the files that are wanted, with the counts after each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.table import MaskedColumn, Table

from ..cli import say
from ..config.schema import Search, in_unit
from ..errors import UserError
from . import filters
from .names import folder_of, is_plain
from .services import Service, conformed
from .targets import centre_of

ANY = "any"
ALL = "all"

# step of the table of counts: the setting behind it, and what to do where nothing is left after it
LOOSEN = {
    "archive": ("science_keywords", "check their spelling or add others"),
    "position": ("radius", "enlarge it or check the position"),
    "release date": ("released_after", "set an earlier day"),
    "angular resolution": ("angular_resolution", "allow a larger beam"),
    "public": ("public_only", "set it to false if you may read proprietary data"),
    "products": ("science_keywords", "add others, for these observations have no files"),
    "FITS": ("science_keywords", "add others, for these observations have no FITS files"),
    "file name": ("filename_parts", "leave some of them out"),
    "largest size": ("largest_size", "allow larger files"),
}


@dataclass
class Counts:
    """The numbers of rows left after each step, per keyword."""

    keywords: Sequence[str]
    rows: list[dict] = field(default_factory=list)

    def add(self, step: str, observations: np.ndarray, files: np.ndarray | None = None) -> None:
        """Count.

        Parameters
        ----------
        step : str
        observations : ndarray of int, shape (n,)
            The keyword's number of each observation that is left.
        files : ndarray of int, shape (m,), optional
            That of each file that is left.
        """
        n = len(self.keywords)
        left = np.bincount(observations, minlength=n).tolist()
        with_files = np.bincount(files, minlength=n).tolist() if files is not None else [None] * n
        for keyword, *numbers in zip(self.keywords, left, with_files, strict=True):
            self._append(step, keyword, *numbers)
        if n > 1:
            self._append(step, ALL, sum(left), sum(with_files) if files is not None else None)

    def _append(self, step: str, keyword: str, observations: int, files: int | None) -> None:
        self.rows.append({"step": step, "keyword": keyword, "observations": observations, "files": files})

    def table(self) -> Table:
        """Return the columns step, keyword, observations, files; files are masked as long as none were looked at."""
        files = np.ma.array([row["files"] or 0 for row in self.rows], mask=[row["files"] is None for row in self.rows])
        texts = {name: [row[name] for row in self.rows] for name in ("step", "keyword", "observations")}
        return Table({**texts, "files": MaskedColumn(files)})


def select(service: Service, search: Search, draw: str) -> tuple[Table, Table]:
    """Ask an archive for observations and files, and keep those that are wanted.

    The steps are those of the thesis's tables 4.1 and 4.2: the rows of each keyword; those that pass release date,
    resolution and rights; duplicates removed; then files, their names and sizes, and the sample. Until duplicates
    are removed an observation counts for each of its keywords and once a spectral window, as archives list them;
    afterwards once, for the first of its keywords. Rows called ``all`` are the sums.

    Parameters
    ----------
    service : Service
    search : Search
    draw : str
        What the sample is drawn for: seed and case.

    Returns
    -------
    wanted : Table
        One row a file, sorted by ``product_id``: the columns of a chunk.
    counts : Table
        Columns step, keyword, observations, files.

    Raises
    ------
    UserError
        If nothing is left; it names the filter that removed the last row.
    """
    search = _applicable(service, search)
    centre = centre_of(search, service)
    observations = service.observations(search, centre)
    order = ("member_ous_uid", "target_name", "obs_id", "frequency")
    observations = observations[np.lexsort([np.asarray(observations[name]) for name in reversed(order)])]
    keywords = search.science_keywords or [ANY]
    counts = Counts(keywords)

    row, keyword = _by_keyword(observations, search.science_keywords)
    counts.add("archive", keyword)
    _some_left(row, "archive", len(observations), search)
    for step, mask in _observation_filters(observations, search, centre):
        row, keyword = _kept(mask[row], step, search, row, keyword)
        counts.add(step, keyword)

    observations, keyword = _merged(observations, row, keyword, service)
    counts.add("duplicates", keyword)

    products = service.products(observations)
    products = _identified(products, observations, service)
    owner = np.asarray(products["observation"])
    file_keyword = keyword[owner]
    counts.add("products", *_both(owner, keyword))
    _some_left(owner, "products", len(observations), search)
    for step, find in _file_filters(search, draw):
        mask = find(products, file_keyword)
        products, file_keyword, owner = _kept(mask, step, search, products, file_keyword, owner)
        counts.add(step, *_both(owner, keyword))
    return _chunk_columns(products, observations, service), counts.table()


def _applicable(service: Service, search: Search) -> Search:
    """Return the search without what means nothing in this archive, and say what that is."""
    default = Search()
    given = [name for name in Search.model_fields if getattr(search, name) != getattr(default, name)]
    idle = [name for name in given if name not in service.applies and name != "radius"]
    if idle:
        say(f"these settings do not apply to the {service.name} archive: {', '.join(idle)}")
    update = {name: getattr(default, name) for name in idle}
    return search.model_copy(update={**update, "public_only": search.public_only and "public_only" in service.applies})


def _by_keyword(observations: Table, keywords: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows and of their keywords, a row once a keyword."""
    if not keywords:
        return np.arange(len(observations)), np.zeros(len(observations), dtype=int)
    rows = [np.flatnonzero(filters.has_keyword(observations["science_keyword"], keyword)) for keyword in keywords]
    return np.concatenate(rows), np.repeat(np.arange(len(keywords)), [len(found) for found in rows])


def _observation_filters(observations: Table, search: Search, centre):
    if centre is not None:
        fields = (observations[name] for name in ("s_ra", "s_dec", "s_fov"))
        yield "position", filters.near(*fields, centre, in_unit(search.radius, "deg"))
    if search.released_after:
        yield "release date", filters.released(observations["obs_release_date"], search.released_after)
    if search.angular_resolution:
        limit = in_unit(search.angular_resolution, "arcsec")
        yield "angular resolution", filters.resolved(observations["s_resolution"], limit)
    if search.public_only:
        yield "public", filters.public(observations["data_rights"])


def _file_filters(search: Search, draw: str):
    """Yield pairs of a step's name and a function of products and keyword numbers that gives the mask."""
    yield "FITS", lambda table, _: filters.is_fits(table["filename"])
    if search.filename_parts:
        yield "file name", lambda table, _: filters.has_parts(table["filename"], search.filename_parts)
    if search.largest_size:
        limit = in_unit(search.largest_size, "B")
        yield "largest size", lambda table, _: filters.not_larger(table["content_length"], limit)
    if search.sample:
        yield "sample", lambda table, group: filters.sampled(table["product_id"], group, search.sample, draw)


def _kept(mask: np.ndarray, step: str, search: Search, *columns):
    _some_left(np.flatnonzero(mask), step, len(mask), search)
    return tuple(column[mask] for column in columns)


def _some_left(left, step: str, before: int, search: Search) -> None:
    if len(left):
        return
    key, advice = LOOSEN[step]
    value = getattr(search, key)
    raise UserError(
        f"no files are left: the filter '{step}' (`archive.search.{key}`: {_shown(value)}) removed "
        f"{'the last ' + str(before) if before else 'everything, for the archive gave no rows'}; {advice}."
    )


def _shown(value) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


def _merged(observations: Table, row: np.ndarray, keyword: np.ndarray, service: Service) -> tuple[Table, np.ndarray]:
    """Return each observation once: spectral windows and keywords merged, the first row standing for all.

    The frequency becomes the mean of the spectral windows', for a continuum image is made of all of them.
    """
    if service.in_place:
        return observations[row], keyword
    rows = observations[row]
    n, group = filters.group_of_each(rows["member_ous_uid"], rows["target_name"])
    frequency = np.asarray(rows["frequency"], dtype=float)
    # An observation stands once a keyword here, which leaves the mean over its windows as it is.
    mean = np.bincount(group, frequency, n) / np.bincount(group, minlength=n)
    first = np.flatnonzero(filters.first_of_each(group))
    rows = rows[first]
    rows["frequency"] = np.round(mean[group[first]], 6)
    return rows, keyword[first]


def _identified(products: Table, observations: Table, service: Service) -> Table:
    """Give products their ids, ``folder/file``; leave out names that are none, and what is listed twice."""
    if not service.in_place:
        safe = np.array([is_plain(name) for name in products["filename"]], dtype=bool)
        if not safe.all():
            example = products["filename"][~safe][0]
            say(f"{np.sum(~safe)} files are left out, for their names are not plain file names, e.g. {example!r}")
        products = products[safe]
        members = observations["member_ous_uid"][np.asarray(products["observation"])]
        folders = {member: folder_of(member) for member in np.unique(members)}
        ids = [f"{folders[member]}/{name}" for member, name in zip(members, products["filename"], strict=True)]
        products["product_id"] = np.array(ids, dtype=str) if ids else np.zeros(0, dtype="U1")
    return products[filters.first_of_each(products["product_id"])]


def _both(owner: np.ndarray, keyword: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the keyword numbers of the observations that still have files, and of the files."""
    return keyword[np.unique(owner)], keyword[owner]


# Columns of a chunk: one row a wanted file.
CHUNK = {
    "product_id": (str, None),
    "obs_id": (str, None),
    "member_ous_uid": (str, None),
    "proposal_id": (str, None),
    "target_name": (str, None),
    "s_ra": (float, "deg"),
    "s_dec": (float, "deg"),
    "science_keyword": (str, None),
    "obs_release_date": (str, None),
    "spatial_resolution": (float, "arcsec"),
    "frequency": (float, "GHz"),
    "data_rights": (str, None),
    "filename": (str, None),
    "access_url": (str, None),
    "content_length": (int, "byte"),
    "version": (str, None),
    "simulated": (bool, None),
}


def _chunk_columns(products: Table, observations: Table, service: Service) -> Table:
    whole = observations[np.asarray(products["observation"])]
    whole.rename_column("s_resolution", "spatial_resolution")
    for name in ("product_id", "filename", "access_url", "content_length", "version"):
        whole[name] = products[name]
    whole["simulated"] = np.full(len(whole), service.simulated)
    wanted = conformed(whole, {name: kind for name, kind in CHUNK.items() if name != "simulated"})
    wanted["simulated"] = whole["simulated"]
    wanted.sort("product_id")
    return wanted
