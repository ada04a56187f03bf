"""What the archive keeps of an observation: FITS files with ALMA's names and headers, and ObsCore rows."""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

SPWS = (25, 27, 29, 31)


@dataclass(frozen=True)
class Observation:
    """The archive's entry of one observation.

    Attributes
    ----------
    mous, group : str
        Member and group ObsUnitSet.
    proposal : str
        Project code.
    target : str
        Name of the source.
    ra, dec : float
        Degrees.
    frequency : float
        Hz.
    band : int
        Receiver band.
    time : float
        Seconds on source.
    resolution, field : float
        Beam and field of view in arcsec.
    keywords : str
        As the archive writes them.
    observed, released : date
        Days of the observation and of its release.
    public : bool
        Whether the data have been released.
    """

    mous: str
    group: str
    proposal: str
    target: str
    ra: float
    dec: float
    frequency: float
    band: int
    time: float
    resolution: float
    field: float
    keywords: str
    observed: date
    released: date
    public: bool

    @property
    def stem(self) -> str:
        """The MOUS as the archive writes it into file names."""
        return "member." + self.mous.replace("://", "___").replace("/", "_")

    def filename(self, product: str, intent: str = "sci") -> str:
        """Return the name of a product file, e.g. of ``cont.I.pbcor``."""
        spws = "_".join(str(spw) for spw in SPWS)
        return f"{self.stem}.{self.target}_{intent}.spw{spws}.{product}.fits"


def draw_dates(rng: np.random.Generator, early: bool, public: bool) -> tuple[date, date]:
    """Return the days of an observation and of its release: before 2016 if `early`, far off if not `public`."""
    if early:
        released = date(2013, 6, 1) + timedelta(days=int(rng.integers(900)))
    elif public:
        released = date(2016, 2, 1) + timedelta(days=int(rng.integers(2900)))
    else:
        released = date(2999, 1, 1)
    observed = released - timedelta(days=int(rng.integers(370, 700)))
    return (observed if public else date(2023, 5, 1) + timedelta(days=int(rng.integers(200)))), released


def as_archive_writes(keywords: tuple[str, ...], rng: np.random.Generator) -> str:
    """Return science keywords joined in one text, in the archive's changing upper and lower case."""
    style = rng.integers(3)
    text = ", ".join(keywords)
    return text.lower() if style == 1 else text.title() if style == 2 else text


def image_header(observation: Observation, n: int, pixel: float, beam: tuple[float, float, float]) -> fits.Header:
    """Return the header of a continuum image.

    Parameters
    ----------
    observation : Observation
        The phase centre is its position.
    n : int
        Side in pixels.
    pixel : float
        Degrees.
    beam : (float, float, float)
        Major and minor full width, position angle east of north; degrees.
    """
    header = fits.Header()
    header["BMAJ"], header["BMIN"], header["BPA"] = beam
    header["BTYPE"], header["BUNIT"] = "Intensity", "Jy/beam"
    header["OBJECT"], header["TELESCOP"], header["INSTRUME"] = observation.target, "ALMA", "ALMA"
    header["RADESYS"], header["LONPOLE"], header["LATPOLE"] = "ICRS", 180.0, observation.dec
    axes = (
        ("RA---SIN", observation.ra, -pixel, n // 2 + 1.0, "deg"),
        ("DEC--SIN", observation.dec, pixel, n // 2 + 1.0, "deg"),
        ("FREQ", observation.frequency, 1.5e10, 1.0, "Hz"),
        ("STOKES", 1.0, 1.0, 1.0, ""),
    )
    for number, (kind, value, step, reference, unit) in enumerate(axes, 1):
        header[f"CTYPE{number}"], header[f"CRVAL{number}"] = kind, value
        header[f"CDELT{number}"], header[f"CRPIX{number}"] = step, reference
        header[f"CUNIT{number}"] = unit
    header["RESTFRQ"], header["SPECSYS"], header["VELREF"] = observation.frequency, "LSRK", 257
    header["DATE-OBS"], header["TIMESYS"] = f"{observation.observed}T03:00:00.000000", "UTC"
    header["OBSRA"], header["OBSDEC"] = observation.ra, observation.dec
    header["ORIGIN"] = "Skyloom simulation"
    header["SIMULATE"] = (True, "not an observation of the sky")
    return header


def sky_position(header: fits.Header, x: float, y: float) -> tuple[float, float]:
    """Return right ascension and declination [deg] of a pixel, counted from 0, of an image with this header."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = header["CTYPE1"], header["CTYPE2"]
    wcs.wcs.crval = header["CRVAL1"], header["CRVAL2"]
    wcs.wcs.crpix = header["CRPIX1"], header["CRPIX2"]
    wcs.wcs.cdelt = header["CDELT1"], header["CDELT2"]
    ra, dec = wcs.pixel_to_world_values(x, y)
    return float(ra), float(dec)


def fits_bytes(data: NDArray, header: fits.Header) -> bytes:
    """Return an image of the axes (stokes, frequency, y, x) as a FITS file of 32-bit floats."""
    stream = io.BytesIO()
    fits.PrimaryHDU(np.asarray(data, dtype=">f4"), header).writeto(stream)
    return stream.getvalue()


def other_products(observation: Observation, index: int, pixel: float) -> dict[str, bytes]:
    """Return two of the files that lie beside an image in the archive, valid but tiny.

    In turn by `index`: cube, primary beam, mask, bandpass calibrator, image without primary-beam correction.
    """
    choices = (
        ("cube.I.pbcor", "sci", (1, 4, 16, 16)),
        ("cont.I.pb", "sci", (1, 1, 16, 16)),
        ("cont.I.mask", "sci", (1, 1, 16, 16)),
        ("cont.I.pbcor", "bp", (1, 1, 16, 16)),
        ("cont.I", "sci", (1, 1, 16, 16)),
    )
    files = {}
    for product, intent, shape in (choices[index % 5], choices[(index + 2) % 5]):
        header = image_header(observation, shape[-1], pixel, (4 * pixel, 3 * pixel, 0.0))
        files[observation.filename(product, intent)] = fits_bytes(np.ones(shape), header)
    return files


def polarisation_image(observation: Observation, pixel: float, beam, rms: float, rng: np.random.Generator) -> bytes:
    """Return a full-polarisation image of 32 MB without a source: the kind of file that a size limit leaves out."""
    n = 1420
    header = image_header(observation, n, pixel, beam)
    return fits_bytes(rng.standard_normal((4, 1, n, n), dtype=np.float32) * np.float32(rms), header)


def obscore_rows(observation: Observation, size: int) -> list[dict]:
    """Return the archive's rows of an observation, one a spectral window; `size` is that of its files in bytes."""
    rows = []
    for number, spw in enumerate(SPWS):
        frequency = (observation.frequency + (number - 1.5) * 4e9) / 1e9
        rows.append(
            {
                "obs_publisher_did": f"ADS/JAO.ALMA#{observation.proposal}",
                "obs_collection": "ALMA",
                "facility_name": "JAO",
                "instrument_name": "ALMA",
                "obs_id": observation.mous,
                "dataproduct_type": "image",
                "calib_level": 2,
                "target_name": observation.target,
                "s_ra": observation.ra,
                "s_dec": observation.dec,
                "s_fov": observation.field / 3600,
                "s_resolution": observation.resolution,
                "spatial_resolution": observation.resolution,
                "em_min": 0.299792458 / (frequency + 1),
                "em_max": 0.299792458 / (frequency - 1),
                "pol_states": "/XX/YY/",
                "t_exptime": observation.time,
                "frequency": frequency,
                "bandwidth": 1.875e9,
                "band_list": str(observation.band),
                "spw": spw,
                "science_keyword": observation.keywords,
                "scientific_category": "ISM, star formation and astrochemistry",
                "proposal_id": observation.proposal,
                "member_ous_uid": observation.mous,
                "group_ous_uid": observation.group,
                "asdm_uid": observation.mous.replace("A001", "A002"),
                "obs_release_date": f"{observation.released}T00:00:00.000",
                "data_rights": "Public" if observation.public else "Proprietary",
                "is_mosaic": "F",
                "antenna_arrays": "12m",
                "access_format": "application/x-votable+xml;content=datalink",
                "access_estsize": size // 1000,
            }
        )
    return rows


OBSCORE_UNITS = {
    "s_ra": "deg",
    "s_dec": "deg",
    "s_fov": "deg",
    "s_resolution": "arcsec",
    "spatial_resolution": "arcsec",
    "em_min": "m",
    "em_max": "m",
    "t_exptime": "s",
    "frequency": "GHz",
    "bandwidth": "Hz",
    "access_estsize": "kbyte",
}


class Tar:
    """A tar file that is the same for the same files: no times, no owners."""

    def __init__(self, path):
        """Open `path` for writing; use it as a context."""
        self.count = 0
        self._tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self):
        """Return itself."""
        return self

    def __exit__(self, *_):
        """Close the file."""
        self._tar.close()

    def add(self, name: str, content: bytes) -> None:
        """Append one file."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        self.count += 1


def as_table(rows: Iterable[dict], units: dict[str, str]) -> Table:
    """Return rows with equal keys as a table, with the units of the columns that have one."""
    table = Table(rows=list(rows))
    for name, unit in units.items():
        if name in table.colnames:
            table[name].unit = unit
    return table
