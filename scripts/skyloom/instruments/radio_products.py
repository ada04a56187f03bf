"""What the embedded archive keeps of a radio image of a cluster: a FITS file, and an ObsCore row."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from astropy.io import fits

from ..images.radio_fields import RadioField
from .products import fits_bytes, sky_position

LIGHT = 299_792_458.0
CLUSTER = ("CL_RA", "CL_DEC", "CL_R500", "CL_Z")
"""Header keywords of the cluster that was observed: its place [deg], R500 [arcmin] and redshift."""


@dataclass(frozen=True)
class Entry:
    """The archive's entry of a radio image.

    Attributes
    ----------
    target, array, keyword : str
        Name of the cluster, the array that observed it, and the archive's keyword.
    number : int
        Of the observation.
    ra, dec : float
        Middle of the image [deg].
    hours : float
        Length of the observation.
    observed, released : datetime.date
    public : bool
        Whether the data have been released.
    """

    target: str
    array: str
    keyword: str
    number: int
    ra: float
    dec: float
    hours: float
    observed: date
    released: date
    public: bool

    @property
    def member(self) -> str:
        """What stands for ALMA's member observing unit set."""
        return f"skyloom://diffuse_radio/{self.number:04d}"

    @property
    def filename(self) -> str:
        """Name of the file, with the member as product names have it."""
        return f"member.{self.member.replace('://', '___').replace('/', '_')}.{self.target}.image.fits"


def header_of(field: RadioField, entry: Entry) -> fits.Header:
    """Return the header of an image with the axes (x, y, frequency, Stokes)."""
    height, width = field.image.shape
    header = fits.Header()
    header["BMAJ"], header["BMIN"], header["BPA"] = field.beam[0] / 3600, field.beam[1] / 3600, field.beam[2]
    header["BTYPE"], header["BUNIT"] = "Intensity", "JY/BEAM"
    header["OBJECT"], header["TELESCOP"] = entry.target, entry.array.split("_")[0].upper()
    header["RADESYS"], header["EQUINOX"] = "ICRS", 2000.0
    axes = (
        ("RA---SIN", entry.ra, -field.pixel / 3600, (width + 1) / 2, "deg"),
        ("DEC--SIN", entry.dec, field.pixel / 3600, (height + 1) / 2, "deg"),
        ("FREQ", field.frequency * 1e6, 0.33 * field.frequency * 1e6, 1.0, "Hz"),
        ("STOKES", 1.0, 1.0, 1.0, ""),
    )
    for number, (kind, value, step, reference, unit) in enumerate(axes, 1):
        header[f"CTYPE{number}"], header[f"CRVAL{number}"] = kind, value
        header[f"CDELT{number}"], header[f"CRPIX{number}"] = step, reference
        header[f"CUNIT{number}"] = unit
    header["DATE-OBS"] = f"{entry.observed}T03:00:00.000000"
    if field.cluster:
        place = sky_position(header, field.cluster.x, field.cluster.y)
        r500 = field.cluster.r500 * field.pixel / 60
        comments = ("[deg] of the cluster", "[deg] of the cluster", "[arcmin] radius of the cluster", "its redshift")
        for name, value, comment in zip(CLUSTER, (*place, r500, field.cluster.redshift), comments, strict=True):
            header[name] = (round(float(value), 6), comment)
    header["ORIGIN"] = "Skyloom simulation"
    header["SIMULATE"] = (True, "not an observation of the sky")
    return header


def as_fits(field: RadioField, entry: Entry) -> bytes:
    """Return a field as a FITS file."""
    return fits_bytes(field.image[None, None], header_of(field, entry))


def obscore_row(field: RadioField, entry: Entry, size: int) -> dict:
    """Return the archive's row of an image; `size` is that of its file in bytes."""
    frequency = field.frequency * 1e6
    return {
        "obs_publisher_did": f"ivo://skyloom/diffuse_radio#{entry.number:04d}",
        "obs_collection": "SKYLOOM",
        "facility_name": entry.array.split("_")[0].upper(),
        "instrument_name": entry.array,
        "obs_id": entry.member,
        "dataproduct_type": "image",
        "calib_level": 2,
        "target_name": entry.target,
        "s_ra": entry.ra,
        "s_dec": entry.dec,
        "s_fov": float(field.image.shape[1] * field.pixel / 3600),
        "s_resolution": field.beam[0],
        "em_min": float(f"{LIGHT / (1.165 * frequency):.6g}"),
        "em_max": float(f"{LIGHT / (0.835 * frequency):.6g}"),
        "t_exptime": entry.hours * 3600,
        "science_keyword": entry.keyword,
        "proposal_id": f"SKYLOOM-{entry.number:04d}",
        "member_ous_uid": entry.member,
        "obs_release_date": f"{entry.released}T00:00:00.000",
        "data_rights": "Public" if entry.public else "Proprietary",
        "access_format": "application/fits",
        "access_estsize": size // 1000,
    }


def on_the_sky(truth: list[dict], field: RadioField, entry: Entry) -> list[dict]:
    """Return rows of truth with right ascension and declination [deg]; NaN where there is no emission."""
    header = header_of(field, entry)
    rows = []
    for row in truth:
        known = np.isfinite(row["x"])
        ra, dec = sky_position(header, row["x"], row["y"]) if known else (np.nan, np.nan)
        rows.append({**row, "ra": ra, "dec": dec})
    return rows
