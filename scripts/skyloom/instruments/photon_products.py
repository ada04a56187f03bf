"""What the embedded archive says of a photon list: the name of its file, and its ObsCore row."""

from dataclasses import dataclass
from datetime import date

from astropy import units as u

from .counts_maps import PIVOT

FACILITY = "Simulated Cherenkov telescopes"


@dataclass(frozen=True)
class Entry:
    """The archive's entry of one photon list.

    Attributes
    ----------
    target, array, keyword : str
        Name of the field, what observes it, and what for.
    number : int
        Of the observation, from 0.
    ra, dec : float
        Of the pointing [deg].
    time : float
        [s].
    energies : tuple of float
        Range of the reconstructed energies [TeV].
    field : float
        Width of the part of the sky that was simulated [deg].
    resolution : float
        Radius of the point spread function [arcsec].
    released : datetime.date
    public : bool
        Whether the data have been released.
    """

    target: str
    array: str
    keyword: str
    number: int
    ra: float
    dec: float
    time: float
    energies: tuple[float, float]
    field: float
    resolution: float
    released: date
    public: bool

    @property
    def member(self) -> str:
        """What stands for ALMA's member observing unit set."""
        return f"skyloom://cherenkov/{self.number:04d}"

    @property
    def filename(self) -> str:
        """Name of the file, with the member as product names have it."""
        return f"member.{self.member.replace('://', '___').replace('/', '_')}.{self.target}.dl3.fits"


def resolution_of(irfs: dict) -> float:
    """Return the radius [arcsec] that holds 68 % of a point source's photons at `PIVOT` in the middle of the field."""
    radius = irfs["psf"].containment_radius(0.68, energy_true=PIVOT * u.TeV, offset=0 * u.deg)
    return round(float(radius.to_value("arcsec").squeeze()), 1)


def obscore_row(entry: Entry, size: int) -> dict:
    """Return the archive's row of a photon list; `size` is that of its file in bytes."""
    shortest, longest = ((energy * u.TeV).to_value("m", u.spectral()) for energy in entry.energies[::-1])
    return {
        "obs_publisher_did": f"ivo://skyloom/cherenkov#{entry.number:04d}",
        "obs_collection": "SKYLOOM",
        "facility_name": FACILITY,
        "instrument_name": entry.array,
        "obs_id": entry.member,
        "dataproduct_type": "event",
        "calib_level": 2,
        "target_name": entry.target,
        "s_ra": entry.ra,
        "s_dec": entry.dec,
        "s_fov": entry.field,
        "s_resolution": entry.resolution,
        "em_min": float(f"{shortest:.6g}"),
        "em_max": float(f"{longest:.6g}"),
        "t_exptime": entry.time,
        "science_keyword": entry.keyword,
        "proposal_id": f"SKYLOOM-{entry.number:04d}",
        "member_ous_uid": entry.member,
        "obs_release_date": f"{entry.released}T00:00:00.000",
        "data_rights": "Public" if entry.public else "Proprietary",
        "access_format": "application/fits",
        "access_estsize": size // 1000,
    }
