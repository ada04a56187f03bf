"""Where on the sky an image was observed."""

import numpy as np
from astropy.wcs import WCS


def observed_disc(data: np.ndarray, wcs: WCS, pixel_scale: float) -> tuple[float, float, float]:
    """Return the disc on the sky that has the area and the centre of the observed pixels.

    Interferometer images are observed within the primary beam, a disc; for the few that fill a square the disc keeps
    the area right.

    Parameters
    ----------
    data : numpy.ndarray, shape (height, width)
        NaN where not observed; at least one pixel is.
    wcs : astropy.wcs.WCS
        Celestial, two axes.
    pixel_scale : float
        Side of a pixel [arcsec].

    Returns
    -------
    ra, dec : float
        Centre [deg, ICRS].
    radius : float
        [arcsec].
    """
    rows, columns = np.nonzero(np.isfinite(data))
    centre = wcs.pixel_to_world(columns.mean(), rows.mean()).icrs
    return float(centre.ra.deg), float(centre.dec.deg), float(np.sqrt(len(rows) / np.pi) * pixel_scale)
