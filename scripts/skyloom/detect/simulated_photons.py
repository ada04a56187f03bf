"""Simulated photon lists, drawn with gammapy from the same fields as the simulated maps, as DL3 files."""

import io
import math
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from ..instruments import cherenkov
from ..instruments.counts_maps import CRAB_FLUX, PIVOT, Frame, Response, aligned
from ..sky.transients import Background, Field
from .simulated_maps import truth_rows

SITE = "ctao_north"
"""Where the simulated array stands, as gammapy calls it."""

_PIXEL = 0.02
"""Side of a pixel [deg]; events of a source are spread over it, so that 1 % fewer of them are within 0.1 deg."""
_BINS = 12
"""Bins of energy for each factor of ten."""
_START = "T23:00:00"
_DOCUMENT = "https://gamma-astro-data-formats.readthedocs.io"
_UNITS = {"RA": "deg", "DEC": "deg", "ENERGY": "TeV"}
_PARTS = {"aeff": "AEFF", "edisp": "EDISP", "psf": "PSF", "bkg": "BKG"}


@dataclass(frozen=True)
class Pointing:
    """How a photon list is observed.

    Attributes
    ----------
    target, array : str
        Name of the field, and what observes it.
    number : int
        Of the observation.
    ra, dec : float
        Of the pointing [deg, ICRS].
    zenith : float
        [deg]; NaN if the response is of no zenith angle.
    night : datetime.date
    energies : tuple of float
        Range of the reconstructed energies [TeV].
    """

    target: str
    array: str
    number: int
    ra: float
    dec: float
    zenith: float
    night: date
    energies: tuple[float, float]

    @property
    def start(self):
        """When the observation begins (`astropy.time.Time`)."""
        from astropy.time import Time

        return Time(f"{self.night}{_START}", scale="tt")


def observation_of(field: Field, pointing: Pointing, irfs: dict):
    """Return a field's observation without its events (`gammapy.data.Observation`)."""
    from astropy.coordinates import SkyCoord
    from gammapy.data import FixedPointingInfo, Observation, observatory_locations

    return Observation.create(
        pointing=FixedPointingInfo(fixed_icrs=SkyCoord(pointing.ra, pointing.dec, unit="deg")),
        location=observatory_locations[SITE],
        obs_id=pointing.number,
        tstart=0 * u.s,
        tstop=field.time * u.s,
        irfs=irfs,
        reference_time=pointing.start,
    )


def models_of(field: Field, pointing: Pointing, name: str):
    """Return the sources of a field, power laws at points, and its background (`gammapy.modeling.models.Models`).

    Parameters
    ----------
    field : Field
    pointing : Pointing
    name : str
        Of the dataset that the background belongs to.
    """
    from gammapy.modeling.models import (
        FoVBackgroundModel,
        Models,
        PointSpatialModel,
        PowerLawNormSpectralModel,
        PowerLawSpectralModel,
        SkyModel,
    )

    models = []
    for number, source in enumerate(field.sources):
        ra, dec = on_the_sky(source.lon, source.lat, pointing.ra, pointing.dec)
        spectrum = PowerLawSpectralModel(
            index=source.index, amplitude=source.flux * CRAB_FLUX / u.Unit("cm2 s MeV"), reference=PIVOT * u.TeV
        )
        place = PointSpatialModel(lon_0=ra * u.deg, lat_0=dec * u.deg, frame="icrs")
        models.append(SkyModel(spectral_model=spectrum, spatial_model=place, name=f"source-{number}"))
    norm = PowerLawNormSpectralModel(norm=field.background.scale)
    models.append(FoVBackgroundModel(spectral_model=norm, dataset_name=name))
    return Models(models)


def dataset_of(field: Field, pointing: Pointing, irfs: dict, width: float, pixel: float = _PIXEL):
    """Return what is expected of a field (`gammapy.datasets.MapDataset`).

    Parameters
    ----------
    field : Field
    pointing : Pointing
    irfs : dict
        By the names of `skyloom.instruments.cherenkov.IRFS`.
    width, pixel : float
        Width of the part of the sky around the pointing, and of its pixels [deg].
    """
    from gammapy.datasets import MapDataset
    from gammapy.makers import MapDatasetMaker
    from gammapy.maps import MapAxis, WcsGeom

    frame = Frame(round(width / pixel), pixel)
    lowest, highest = pointing.energies
    energy = MapAxis.from_energy_bounds(lowest, highest, nbin=_BINS, per_decade=True, unit="TeV")
    true = MapAxis.from_energy_bounds(
        0.3 * lowest, 4 * highest, nbin=_BINS, per_decade=True, unit="TeV", name="energy_true"
    )
    geom = WcsGeom.create(
        skydir=(pointing.ra, pointing.dec),
        npix=(frame.side, frame.side),
        binsz=frame.pixel,
        proj="TAN",
        frame="icrs",
        axes=[energy],
    )
    empty = MapDataset.create(
        geom,
        energy_axis_true=true,
        # The sampler takes the bins of both for equally wide.
        migra_axis=MapAxis.from_bounds(0.2, 5, nbin=240, node_type="edges", name="migra"),
        rad_axis=MapAxis.from_bounds(0, 1.5, nbin=150, unit="deg", node_type="edges", name="rad"),
        binsz_irf=0.5,
        name=pointing.target,
    )
    maker = MapDatasetMaker(selection=["exposure", "background", "psf", "edisp"], background_oversampling=4)
    dataset = maker.run(empty, observation_of(field, pointing, {**irfs, "bkg": aligned(irfs["bkg"])}))
    dataset.background.data *= _shape(field.background).factor(*frame.grid())
    dataset.models = models_of(field, pointing, pointing.target)
    return dataset


def draw_events(dataset, rng: np.random.Generator) -> Table:
    """Return events of a dataset (`dataset_of`) in the order of their times.

    Returns
    -------
    astropy.table.Table
        TIME since the start [s], RA and DEC [deg], ENERGY [TeV] as reconstructed, and MC_ID: 0 for the background, the
        number of the source counted from 1 for others.
    """
    from gammapy.datasets import MapDatasetEventSampler

    sampler = MapDatasetEventSampler(random_state=int(rng.integers(2**32)))
    table = sampler.run(dataset).table
    return Table(
        {
            "TIME": (table["TIME"] - dataset.gti.time_ref).to("s"),
            **{
                name: table[name].quantity.to(unit) for name, unit in (("RA", "deg"), ("DEC", "deg"), ("ENERGY", "TeV"))
            },
            "MC_ID": np.asarray(table["MC_ID"], int),
        }
    )


def truth_of(field: Field, pointing: Pointing, response: Response, events: Table) -> list[dict]:
    """Return one row of truth a source: those of `skyloom.detect.simulated_maps.observe`, and ra and dec [deg]."""
    background = response.expected_background(field.background, field.time)
    seen = [response.expected_source(source, field.time) for source in field.sources]
    counts = np.bincount(events["MC_ID"], minlength=len(seen) + 1)[1:]
    rows = truth_rows(field, response, background, seen, counts.tolist())
    for row in rows:
        row["ra"], row["dec"] = on_the_sky(row["lon"], row["lat"], pointing.ra, pointing.dec)
    return rows


def as_dl3(events: Table, field: Field, pointing: Pointing, irfs: dict) -> bytes:
    """Return events and the response as a DL3 file (GADF 0.3) without a date of its making."""
    lists = {
        "EVENTS": _event_columns(events),
        "GTI": Table({"START": [0.0] * u.s, "STOP": [field.time] * u.s}),
        "POINTING": Table(
            {
                "TIME": [0.0, field.time] * u.s,
                "RA_PNT": [pointing.ra] * 2 * u.deg,
                "DEC_PNT": [pointing.dec] * 2 * u.deg,
            }
        ),
    }
    hdus = [fits.PrimaryHDU()]
    for name, table in lists.items():
        hdu = fits.BinTableHDU(table, name=name)
        hdu.header.update(_common(name, pointing))
        hdus.append(hdu)
    hdus[1].header.update(_observed(field, pointing))
    hdus += [cherenkov.as_hdu(_small(irfs[name]), extension) for name, extension in _PARTS.items()]
    area = next(hdu.header for hdu in hdus if hdu.name == _PARTS["aeff"])
    area["LO_THRES"], area["HI_THRES"] = pointing.energies
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream)
    return stream.getvalue()


def on_the_sky(lon, lat, ra: float, dec: float) -> tuple[float, float]:
    """Return right ascension and declination [deg] of offsets [deg] on the tangent plane of a pointing [deg]."""
    from ..images.photon_lists import sky_wcs

    wcs = sky_wcs(Frame(1, 1.0), ra, dec)
    east, north = wcs.wcs_pix2world(-lon, lat, 0)
    return float(east), float(north)


def _shape(background: Background) -> Background:
    """Return a background without its factor, which the model has."""
    return replace(background, scale=1.0)


def _event_columns(events: Table) -> Table:
    return Table(
        {
            "EVENT_ID": np.arange(1, len(events) + 1),
            "TIME": events["TIME"].quantity,
            **{name: events[name].quantity.astype(np.float32) for name in _UNITS},
        }
    )


def _common(name: str, pointing: Pointing) -> dict:
    """Return what every table of events, times or pointings says: its kind, the origin of times, and the place."""
    from gammapy.data import observatory_locations

    start, place = pointing.start.mjd, observatory_locations[SITE].geodetic
    return {
        "HDUCLASS": "GADF",
        "HDUDOC": _DOCUMENT,
        "HDUVERS": "0.3",
        "HDUCLAS1": name,
        "MJDREFI": int(start),
        "MJDREFF": start - int(start),
        "TIMEUNIT": "s",
        "TIMESYS": "TT",
        "TIMEREF": "LOCAL",
        "GEOLON": round(float(place.lon.deg), 6),
        "GEOLAT": round(float(place.lat.deg), 6),
        "ALTITUDE": round(float(place.height.to_value("m")), 3),
    }


def _observed(field: Field, pointing: Pointing) -> dict:
    """Return what the header of the events says of the observation."""
    told = {
        "OBS_ID": pointing.number,
        "OBJECT": pointing.target,
        "OBS_MODE": "POINTING",
        "RA_PNT": pointing.ra,
        "DEC_PNT": pointing.dec,
        "RADECSYS": "ICRS",
        "EQUINOX": 2000.0,
        "TSTART": 0.0,
        "TSTOP": field.time,
        "ONTIME": field.time,
        "LIVETIME": field.time,
        "DEADC": 1.0,
        "TELAPSE": field.time,
        "DATE-OBS": pointing.start.isot,
        "ORIGIN": "Skyloom simulation",
        "SIMULATE": True,
        "CREATOR": "Skyloom",
        "TELESCOP": "simulated",
        "INSTRUME": pointing.array,
    }
    return told if math.isnan(pointing.zenith) else told | {"ALT_PNT": 90 - pointing.zenith}


def _small(irf):
    """Return a part of the response in single precision, and for two offsets only where it is the same for all."""
    result = deepcopy(irf)
    if "offset" in irf.axes.names:
        axis = irf.axes.names.index("offset")
        if irf.axes["offset"].nbin > 2 and np.ptp(irf.data, axis=axis).max() == 0:
            result = irf.slice_by_idx({"offset": slice(None, None, irf.axes["offset"].nbin - 1)})
    result.data = np.asarray(result.data, np.float32)
    return result
