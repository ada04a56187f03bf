"""The ALMA Science Archive: observations by TAP, products by DataLink, bytes by HTTP.

Each is asked of the first mirror that answers. Two backends ask for observations: ALminer's ``keysearch`` and
``conesearch``, and ADQL through pyvo. Both give the same rows. Products come from DataLink through astroquery,
tar files being expanded to the files in them.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import requests
from astropy.table import Table, vstack

from ..cli import progress, say
from ..config.schema import AlmaArchive, Download, Search, in_unit
from ..errors import UserError
from . import transfer
from .embedded import by_member, owner
from .filters import first_of_each
from .fits_check import check_fits
from .names import name_in_url
from .services import OBSERVATION, PRODUCT, conformed

HOSTS = ("almascience.org", "almascience.eso.org", "almascience.nao.ac.jp", "almascience.nrao.edu")
MEMBERS_ASKED = 100  # in one query
MOST_ROWS = 10_000_000  # asked for explicitly, because servers cut answers at a lower default
SELECT = "SELECT * FROM ivoa.obscore WHERE"  # what astroquery and ALminer ask; servers differ about mixed-case columns
SCIENCE = "LOWER(scan_intent) LIKE '%target%'"


class AlmaService:
    """ALMA's archive, through whichever mirror answers first."""

    name = "alma"
    applies = frozenset(Search.model_fields)
    simulated = False
    in_place = False

    def __init__(self, settings: AlmaArchive, download: Download):
        """Take mirrors and backend, and the time after which a silent connection has failed."""
        for mirror in settings.mirrors:
            if urlsplit(mirror).scheme not in ("http", "https") or not urlsplit(mirror).netloc:
                raise UserError(f"`archive.alma.mirrors` has '{mirror}'; a mirror is an address like https://host.")
        self.mirrors = transfer.Mirrors([mirror.rstrip("/") for mirror in settings.mirrors])
        self.backend = settings.backend
        self.parallel = download.parallel
        self.session = transfer.session(in_unit(download.timeout, "s"))
        self.asked: list[str] = []

    def named(self, target: str) -> Table:
        """Return the observations whose target name contains `target`, blanks and underscores being wildcards."""
        pattern = "%".join(_quoted(part) for part in target.lower().replace("_", " ").split())
        condition = f"LOWER(target_name) LIKE '%{pattern}%'"
        return self._adql(f"{SELECT} {condition} AND {SCIENCE}")

    def observations(self, search: Search, centre) -> Table:
        """Return what the archive has for the keywords, or around a position.

        Raises
        ------
        UserError
            If neither is given, no mirror answers, or an answer is cut off.
        """
        if centre is None and not search.science_keywords:
            raise UserError(
                "`archive.search` would ask for all of ALMA; give `science_keywords`, `target` or `position`."
            )
        radius = in_unit(search.radius, "deg")
        if self.backend == "pyvo":
            return self._adql(f"{SELECT} {_conditions(search, centre, radius)} AND {SCIENCE}")
        if centre is not None:
            return self._alminer(
                "conesearch", ra=centre.icrs.ra.deg, dec=centre.icrs.dec.deg, search_radius=radius * 60
            )
        # In quotes ALminer looks for the whole keyword; without them for its words, wherever they stand.
        tables = [
            self._alminer("keysearch", search_dict={"science_keyword": [f'"{keyword.replace(chr(34), "")}"']})
            for keyword in search.science_keywords
        ]
        rows = vstack(tables, metadata_conflicts="silent")  # an observation may have several of the keywords
        return rows[first_of_each(*rows.columns.values())]

    def products(self, observations: Table) -> Table:
        """Return all files of the observations' member OUS that DataLink tells, tar files expanded."""
        selected = by_member(observations["member_ous_uid"], observations["target_name"])
        with ThreadPoolExecutor(self.parallel) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = pool.map(self._links, selected)
            links = list(progress(answers, len(selected), "products of member OUS"))
        targets = self._targets(list(selected))
        rows = []
        for (member, numbers), table in zip(selected.items(), links, strict=True):
            for link in table:
                filename = name_in_url(str(link["access_url"]))
                number = owner(filename, numbers, targets.get(member, list(numbers)))
                if number is None:
                    continue
                rows.append(
                    {
                        "observation": number,
                        "product_id": "",
                        "filename": filename,
                        "access_url": self._canonical(str(link["access_url"])),
                        "content_length": _length(link["content_length"]),
                        "version": str(observations["lastModified"][number]),
                    }
                )
        return _product_table(rows)

    def retrieve(self, product, part: Path, download: Download, limit: int | None) -> None:
        """Fetch a product by HTTP, from the mirrors in their order; a broken file is a failed try."""
        length = product["content_length"]
        transfer.fetch(
            self.mirrors.addresses(str(product["access_url"]), HOSTS),
            part,
            transfer.Wanted(None if length is np.ma.masked else int(length), limit),
            download,
            self.session,
            self.mirrors,
            check_fits,
        )

    def _adql(self, query: str) -> Table:
        self.asked.append(query)
        return self._first_answer(lambda mirror: _tap(mirror, self.session).search(query).to_table())

    def _alminer(self, function: str, **arguments) -> Table:
        self.asked.append(f"alminer.{function}({', '.join(f'{k}={v!r}' for k, v in arguments.items())}, public=None)")
        return self._first_answer(lambda mirror: _ask_alminer(function, arguments, _tap(mirror, self.session)))

    def _links(self, member: str) -> Table:
        return self._first_answer(lambda mirror: _datalink(mirror, member, self.session))

    def _targets(self, members: list[str]) -> dict[str, list[str]]:
        """Return all targets of each member OUS, those that were not selected too."""
        found: dict[str, list[str]] = {}
        for start in range(0, len(members), MEMBERS_ASKED):
            listed = ", ".join(f"'{_quoted(member)}'" for member in members[start : start + MEMBERS_ASKED])
            query = f"SELECT DISTINCT member_ous_uid, target_name FROM ivoa.obscore WHERE member_ous_uid IN ({listed})"
            rows = self._first_answer(lambda mirror, query=query: _tap(mirror, self.session).search(query).to_table())
            for row in rows:
                found.setdefault(str(row["member_ous_uid"]), []).append(str(row["target_name"]))
        return found

    def _first_answer(self, ask: Callable[[str], Table]) -> Table:
        reasons = []
        for mirror in self.mirrors.in_order():
            try:
                answer = ask(mirror)
            except UserError:
                raise
            except Exception as error:  # requests, pyvo, astroquery and the VOTable parser each raise their own
                reasons.append(f"{mirror}: {_brief(error)}")
                if self.mirrors.failed(mirror) == 1:
                    say(f"{mirror} does not answer ({_brief(error)})")
            else:
                self.mirrors.worked(mirror)
                return conformed(answer, OBSERVATION) if "obs_id" in answer.colnames else answer
        raise UserError(
            f"no ALMA mirror answered ({'; '.join(reasons)}); check the network and `archive.alma.mirrors`."
        )

    def _canonical(self, url: str) -> str:
        """Return the address at the first mirror, so that it does not depend on which one answered."""
        return self.mirrors.first_address(url, HOSTS)


def _conditions(search: Search, centre, radius: float) -> str:
    conditions = []
    if search.science_keywords:
        likes = [f"LOWER(science_keyword) LIKE '%{_quoted(word.lower())}%'" for word in search.science_keywords]
        conditions.append(f"({' OR '.join(likes)})")
    if centre is not None:
        circle = f"CIRCLE('ICRS', {centre.icrs.ra.deg:.8f}, {centre.icrs.dec.deg:.8f}, {radius:.8f})"
        conditions.append(f"1 = INTERSECTS({circle}, s_region)")
    return " AND ".join(conditions)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _tap(mirror: str, session):
    from pyvo.dal import TAPService

    class WholeAnswers(TAPService):
        """A TAP service that never gives a part of an answer for the whole."""

        def search(self, query, **options):
            from pyvo.dal.exceptions import DALOverflowWarning

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", DALOverflowWarning)
                try:
                    return super().search(query, maxrec=MOST_ROWS, **options)
                except DALOverflowWarning as cut:
                    raise UserError(f"{mirror} cut its answer off; narrow `archive.search`.") from cut

    return WholeAnswers(f"{mirror}/tap", session=session)


def _ask_alminer(function: str, arguments: dict, service) -> Table:
    """Call ALminer with our TAP service and return its table without the columns it adds."""
    import alminer
    from alminer import alminer as module

    original = module._set_service
    module._set_service = lambda tap_service=None: service  # it knows three fixed addresses only
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = getattr(alminer, function)(**arguments, public=None, print_targets=False)
    finally:
        module._set_service = original
    if frame is None:
        return Table(names=list(OBSERVATION), dtype=[kind for kind, _ in OBSERVATION.values()])
    frame = frame[frame["scan_intent"].str.contains("TARGET", case=False, na=False)]
    columns = [name for name in OBSERVATION if name in frame.columns]
    texts = [name for name in columns if OBSERVATION[name][0] is str]
    # ALminer writes missing texts as 'nan' or 'None'.
    frame = frame[columns].replace({name: {"nan": "", "None": "", "<NA>": ""} for name in texts})
    return Table.from_pandas(frame)


def _datalink(mirror: str, member: str, session) -> Table:
    from astroquery.alma import AlmaClass
    from astroquery.alma.core import DATALINK_SERVICE_PATH
    from pyvo.dal.adhoc import DatalinkService

    alma = AlmaClass()
    alma._datalink = DatalinkService(f"{mirror}/{DATALINK_SERVICE_PATH}", session=session)  # else without a timeout
    links = alma.get_data_info(member, expand_tarfiles=True)  # its own choice of semantics fails with numpy 2.4
    return links[[_is_product(link) for link in links]] if len(links) else links


def _is_product(link) -> bool:
    """Whether a link leads to a file that is neither raw nor auxiliary data (ALMA's DataLink semantics)."""
    url, semantics = (str(link[name] or "") for name in ("access_url", "semantics"))
    return url.startswith("http") and not semantics.startswith(("#progenitor", "#aux"))


def _product_table(rows: list[dict]) -> Table:
    if not rows:
        return conformed(Table(), PRODUCT)
    lengths = [row["content_length"] for row in rows]
    table = Table([{**row, "content_length": max(row["content_length"], 0)} for row in rows])
    table = conformed(table, PRODUCT)
    table["content_length"].mask = np.array(lengths) < 0
    return table


def _length(value) -> int:
    return -1 if value is np.ma.masked or value is None or not np.isfinite(float(value)) else int(value)


def _brief(error: Exception) -> str:
    if isinstance(getattr(error, "cause", error), requests.ConnectionError):
        return "cannot be reached"
    text = " ".join(str(error).split()).rstrip(".")
    return text[:160] if text else type(error).__name__
