"""What the embedded archive says of a patch of the gamma-ray sky: the name of its file, and its ObsCore row."""

from dataclasses import dataclass
from datetime import date

from astropy import units as u

FACILITY = "Simulated Fermi"


@dataclass(frozen=True)
class Entry:
    """The archive's entry of one patch.

    Attributes
    ----------
    target, keyword : str
        Name of the field, and what it was observed for.
    number : int
        Of the observation, from 0.
    ra, dec : float
        Of the middle [deg].
    width : float
        Of the patch [deg].
    years : float
        Of the survey.
    energies : tuple of float
        Least and greatest of all bands [GeV].
    resolution : float
        Radius of the point spread function in the band with the finest pixels [deg].
    released : datetime.date
    public : bool
        Whether the data have been released.
    """

    target: str
    keyword: str
    number: int
    ra: float
    dec: float
    width: float
    years: float
    energies: tuple[float, float]
    resolution: float
    released: date
    public: bool

    @property
    def member(self) -> str:
        """What stands for ALMA's member observing unit set."""
        return f"skyloom://fermi/{self.number:04d}"

    @property
    def filename(self) -> str:
        """Name of the file, with the member as product names have it."""
        return f"member.{self.member.replace('://', '___').replace('/', '_')}.{self.target}.counts.fits"


def obscore_row(entry: Entry, size: int) -> dict:
    """Return the archive's row of a patch; `size` is that of its file in bytes."""
    shortest, longest = ((energy * u.GeV).to_value("m", u.spectral()) for energy in entry.energies[::-1])
    return {
        "obs_publisher_did": f"ivo://skyloom/fermi#{entry.number:04d}",
        "obs_collection": "SKYLOOM",
        "facility_name": FACILITY,
        "instrument_name": "LAT",
        "obs_id": entry.member,
        "dataproduct_type": "cube",
        "calib_level": 3,
        "target_name": entry.target,
        "s_ra": entry.ra,
        "s_dec": entry.dec,
        "s_fov": entry.width,
        "s_resolution": round(entry.resolution * 3600, 1),
        "em_min": float(f"{shortest:.6g}"),
        "em_max": float(f"{longest:.6g}"),
        "t_exptime": round(entry.years * 365.25 * 86400),
        "science_keyword": entry.keyword,
        "proposal_id": f"SKYLOOM-{entry.number:04d}",
        "member_ous_uid": entry.member,
        "obs_release_date": f"{entry.released}T00:00:00.000",
        "data_rights": "Public" if entry.public else "Proprietary",
        "access_format": "application/fits",
        "access_estsize": size // 1000,
    }
