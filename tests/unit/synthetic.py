"""Images with known sources for the tests of crop."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from skyloom.images.fits import Beam, Image

SCALE = 0.05
BEAM = Beam(0.3, 0.22, 30.0)
SIGMA = 2 * np.sqrt(2 * np.log(2))


def celestial(height, width, scale=SCALE, ra=83.0, dec=-5.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    wcs.wcs.crpix = [width // 2 + 1, height // 2 + 1]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def gaussian(shape, x, y, major, minor, pa, peak=1.0):
    """A Gaussian with FWHM [pixel] and position angle [deg] from up to left, as in an image with East on the left."""
    rows, columns = np.indices(shape)
    dx, dy = columns - x, rows - y
    sine, cosine = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    along, across = -dx * sine + dy * cosine, dx * cosine + dy * sine
    return peak * np.exp(-4 * np.log(2) * ((along / major) ** 2 + (across / minor) ** 2))


def noise(shape, rms, seed=0, beam=BEAM, scale=SCALE):
    from skyloom.images.augment import beam_noise

    side = max(shape)
    field = beam_noise(side, beam.in_pixels(scale), np.random.default_rng(seed))
    return rms * field[: shape[0], : shape[1]]


def image(data, beam=BEAM, scale=SCALE):
    data = np.asarray(data, dtype=np.float32)
    return Image(data, celestial(*data.shape, scale=scale), beam, scale, 230.0, "0" * 64)


def header(shape, beam=BEAM, scale=SCALE, **cards):
    made = celestial(*shape, scale=scale).to_header()
    made.update(BMAJ=beam.major / 3600, BMIN=beam.minor / 3600, BPA=beam.pa, BUNIT="Jy/beam")
    for key, value in cards.items():
        if value is None:
            made.remove(key, ignore_missing=True)
        else:
            made[key] = value
    return made


def write(path, data, **cards):
    fits.PrimaryHDU(np.asarray(data, dtype=np.float32), header(np.shape(data)[-2:], **cards)).writeto(path)
    return path
