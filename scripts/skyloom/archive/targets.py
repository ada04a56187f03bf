"""Targets: their positions, and which file shows which of them."""

import re
from collections.abc import Sequence

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.coordinates.name_resolve import NameResolveError
from astropy.table import Table

from ..config.schema import Search, in_unit
from ..errors import UserError
from .services import Service


def centre_of(search: Search, service: Service) -> SkyCoord | None:
    """Return the position that is searched, or None where the whole sky is.

    A target is looked up in the archive by its name first, then by SIMBAD (through CDS's Sesame).

    Raises
    ------
    UserError
        If the position cannot be read, or the target is unknown or at several places.
    """
    if search.position and search.target:
        raise UserError("`archive.search` has both `target` and `position`; leave one of them out.")
    if search.position:
        return _position(search.position)
    if not search.target:
        return None
    rows = service.named(search.target)
    same = np.array([plain_name(name) == plain_name(search.target) for name in rows["target_name"]], dtype=bool)
    rows = rows[same] if len(rows) else rows
    known = rows[np.isfinite(rows["s_ra"]) & np.isfinite(rows["s_dec"])]
    if len(known):
        return _common_position(known, search)
    try:
        return SkyCoord.from_name(search.target)
    except (NameResolveError, OSError) as error:
        raise UserError(
            f"`archive.search.target`: no observation has the target name '{search.target}' and SIMBAD did not "
            f"resolve it ({_brief(error)}); correct the name, go online, or give `archive.search.position`."
        ) from error


def plain_name(name: str) -> str:
    """Return a target's name without case, blanks and underscores, in which catalogs differ."""
    return re.sub(r"[\s_]+", "", name).lower()


def target_in_name(filename: str, targets: Sequence[str]) -> int | None:
    """Return the number of the target that a product's name speaks of, or None.

    ALMA writes a target into file names with every character that is not a letter, digit, ``+``, ``-`` or ``.`` as
    an underscore. The longest match counts, so that ``HOPS_358`` is not taken for ``HOPS_35``.
    """
    written = [re.sub(r"[^A-Za-z0-9+\-.]", "_", target) for target in targets]
    found = [number for number, text in enumerate(written) if text and _as_word(text, filename)]
    return max(found, key=lambda number: len(written[number]), default=None)


def _as_word(text: str, filename: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", filename) is not None


def _position(text: str) -> SkyCoord:
    for units in ({}, {"unit": (u.deg, u.deg)}):
        try:
            return SkyCoord(text, **units)
        except (ValueError, u.UnitsError):
            continue
    raise UserError(
        f"`archive.search.position` is '{text}', which is not a position; write it like '19h37m00.9s +7d34m09.6s'."
    )


def _common_position(rows: Table, search: Search) -> SkyCoord:
    places = SkyCoord(rows["s_ra"], rows["s_dec"], unit="deg")
    apart = places[0].separation(places).max().to_value(u.arcsec)
    if apart > 2 * in_unit(search.radius, "arcsec"):
        raise UserError(
            f"`archive.search.target`: the archive has '{search.target}' at places up to {apart:.0f} arcsec apart; "
            "give `archive.search.position` or a larger `archive.search.radius`."
        )
    return places[0]


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")[:120] if str(error).strip() else type(error).__name__
