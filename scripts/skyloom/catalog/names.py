"""Names of sources by the rules of the IAU."""

from decimal import ROUND_FLOOR, Decimal

PREFIX = "SKYL"


def iau_name(ra: float, dec: float) -> str:
    """Return the name of a source from its position, such as ``SKYL J193700.89+073409.6``.

    The coordinates are truncated, never rounded, as the IAU's "Specifications concerning designations" ask; so a name
    says in which cell of the sky the source lies. Decimal arithmetic on the numbers as they are printed keeps a
    position on the border of a cell from falling into its neighbour.

    Parameters
    ----------
    ra, dec : float
        Right ascension and declination [deg, ICRS].

    Raises
    ------
    ValueError
        If the declination is not within +-90 deg.
    """
    if not -90 <= dec <= 90:
        raise ValueError(f"declination {dec} deg is not on the sky")
    # 24 h = 360 deg, so one degree is 240 s of time.
    centiseconds = _floor(Decimal(repr(float(ra))) % 360 * 240 * 100)
    deciarcsec = _floor(abs(Decimal(repr(float(dec)))) * 3600 * 10)
    hours, rest = divmod(centiseconds % (24 * 360000), 360000)
    minutes, seconds = divmod(rest, 6000)
    degrees, rest = divmod(deciarcsec, 36000)
    arcmin, arcsec = divmod(rest, 600)
    sign = "-" if dec < 0 else "+"
    return (
        f"{PREFIX} J{hours:02d}{minutes:02d}{seconds // 100:02d}.{seconds % 100:02d}"
        f"{sign}{degrees:02d}{arcmin:02d}{arcsec // 10:02d}.{arcsec % 10}"
    )


def _floor(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_FLOOR))
