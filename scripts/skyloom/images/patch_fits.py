"""Patches of the sky as FITS files, whose maps gammapy reads one by one."""

import io

import numpy as np
from astropy.io import fits

from .patches import Patch, patch_wcs

KIND = "LAT patch"
"""What the keyword SKYLOOM says of such a file."""


def as_fits(patch: Patch, target: str) -> bytes:
    """Return a patch as a FITS file without a date of its making.

    Parameters
    ----------
    patch : Patch
    target : str
        Name of the field.

    Returns
    -------
    bytes
        One image a band (COUNTS_1, low energies first) with its coordinates, E_MIN and E_MAX [GeV] and EXPOSURE
        [cm2 s], and its energies as gammapy has them (COUNTS_1_BANDS). The header tells the middle and the width of the
        patch [deg, Galactic]: PLON, PLAT, PWIDTH.
    """
    primary = fits.PrimaryHDU()
    primary.header["SKYLOOM"] = KIND
    primary.header["OBJECT"] = target
    primary.header["TELESCOP"] = "simulated"
    primary.header["ORIGIN"] = "Skyloom simulation"
    for key, value in (("PLON", patch.lon), ("PLAT", patch.lat), ("PWIDTH", patch.width)):
        primary.header[key] = float(value)
    hdus = [primary]
    for number, (counts, ends, exposure) in enumerate(zip(patch.counts, patch.bands, patch.exposure, strict=True), 1):
        whole = np.array_equal(counts, np.round(counts))
        header = patch_wcs(patch, len(counts)).to_header()
        # gammapy looks for an axis of energies.
        image = fits.ImageHDU(counts[None].astype(np.int32 if whole else np.float32), name=f"COUNTS_{number}")
        image.header.update({key: header[key] for key in header if key not in ("WCSAXES", "DATE-REF", "MJDREF")})
        image.header["WCSAXES"] = 2
        image.header["BANDSHDU"] = f"COUNTS_{number}_BANDS"
        image.header["E_MIN"], image.header["E_MAX"] = (float(end) for end in ends)
        image.header["EXPOSURE"] = float(exposure)
        image.header["BUNIT"] = ""
        bands = fits.BinTableHDU.from_columns(
            [
                fits.Column("CHANNEL", "J", array=[0]),
                *(
                    fits.Column(name, "D", unit="GeV", array=[value])
                    for name, value in (
                        ("ENERGY", float(np.sqrt(ends[0] * ends[1]))),
                        ("E_MIN", float(ends[0])),
                        ("E_MAX", float(ends[1])),
                    )
                ),
            ],
            name=f"COUNTS_{number}_BANDS",
        )
        bands.header["AXCOLS1"], bands.header["INTERP1"] = "E_MIN,E_MAX", "log"
        hdus += [image, bands]
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream)
    return stream.getvalue()
