"""Which detected object is which true one."""

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord


def match(true: SkyCoord, found: SkyCoord, radius: np.ndarray) -> np.ndarray:
    """Return for each found object the index of its true one, or -1.

    Nearest pairs go first, and each true and each found object belongs to one pair at most.

    Parameters
    ----------
    true, found : astropy.coordinates.SkyCoord
        Positions in one field, arrays of any length.
    radius : numpy.ndarray, shape (len(found),)
        Largest separation of each found object [arcsec].

    Returns
    -------
    numpy.ndarray of int, shape (len(found),)
    """
    partner = np.full(len(found), -1)
    if not len(true) or not len(found):
        return partner
    apart = found[:, None].separation(true[None, :]).to_value(units.arcsec)
    apart[apart > np.asarray(radius)[:, None]] = np.inf
    for _ in range(min(apart.shape)):
        at = np.unravel_index(np.argmin(apart), apart.shape)
        if not np.isfinite(apart[at]):
            break
        partner[at[0]] = at[1]
        apart[at[0], :] = apart[:, at[1]] = np.inf
    return partner
