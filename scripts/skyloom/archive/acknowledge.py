"""The text with which ALMA asks to be acknowledged, with the project codes of the files that were used.

Wording: ALMA Science Portal, "How to acknowledge ALMA in publications" (https://almascience.org).
"""

import re
import textwrap
from collections.abc import Iterable

from astropy.table import Table, vstack

PROJECT = re.compile(r"\d{4}\.[\dA-Z]\.\d{5}\.[A-Z]+")
PARTNERS = (
    "ALMA is a partnership of ESO (representing its member states), NSF (USA) and NINS (Japan), together with NRC "
    "(Canada), NSTC and ASIAA (Taiwan), and KASI (Republic of Korea), in cooperation with the Republic of Chile. "
    "The Joint ALMA Observatory is operated by ESO, AUI/NRAO and NAOJ."
)


def project_codes(manifest: Table) -> list[str]:
    """Return the ALMA project codes of the real files in a manifest, sorted, each once."""
    real = manifest[~manifest["simulated"].astype(bool)] if len(manifest) else manifest
    return sorted({code for code in map(str, real["proposal_id"]) if PROJECT.fullmatch(code)})


def acknowledgement(manifests: Iterable[Table]) -> str:
    """Return the acknowledgement for all files of some manifests.

    Parameters
    ----------
    manifests : iterable of Table
        With the columns ``proposal_id`` and ``simulated``.

    Returns
    -------
    str
        Paragraphs, wrapped, ending with a line break.
    """
    tables = [table["proposal_id", "simulated"] for table in manifests if len(table)]
    whole = vstack(tables, metadata_conflicts="silent") if tables else None
    if whole is None:
        return "No files were used.\n"
    simulated = int(whole["simulated"].astype(bool).sum())
    real, codes = len(whole) - simulated, project_codes(whole)
    unknown = sum(not row["simulated"] and not PROJECT.fullmatch(str(row["proposal_id"])) for row in whole)
    paragraphs = []
    if codes:
        listed = ", ".join(f"ADS/JAO.ALMA#{code}" for code in codes)
        paragraphs.append(f"This paper makes use of the following ALMA data: {listed}. {PARTNERS}")
    if unknown:
        paragraphs.append(
            f"{unknown} of {real} observed files do not name an ALMA project; find out where they are from and "
            "acknowledge that as well."
        )
    if simulated:
        paragraphs.append(
            f"{simulated} files are simulated by Skyloom; they hold no observed data and need no acknowledgement of "
            "an observatory."
        )
    return (
        "\n\n".join(textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False) for text in paragraphs)
        + "\n"
    )
