"""Observe one field after the other, as an observatory does, into product files, archive rows and truth."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from ..sky.fields import Field, Target, paint
from . import alma, products

# Which fields have what the archive's filters must remove: by number, so that the counts are known. Those with one of
# these remainders by PERIOD lack one condition; the others fulfil all.
PERIOD = 25
OTHER_KEYWORD, EARLY, COARSE, PROPRIETARY = 4, 9, 14, 19
TWICE_EVERY, TWICE = 9, 5  # these targets were observed in two MOUS
COPY_EVERY, COPY = 40, 3  # these images are in the archive under two names
LARGE_EVERY, LARGE = 300, 290  # these have a full-polarisation image of more than 30 MB

STREAMS = ("target", "setup", "sky", "entry", "noise")


@dataclass
class Shard:
    """The tables of a part of the archive: ObsCore rows and truth rows."""

    obscore: list[dict] = field(default_factory=list)
    truth: list[dict] = field(default_factory=list)


def wanted(index: int) -> bool:
    """Return whether the field's proposal has a keyword that the case searches for."""
    return index % PERIOD != OTHER_KEYWORD


def add_field(
    shard: Shard,
    index: int,
    target: Target,
    draw_sky: Callable[[str, np.random.Generator, float], Field],
    settings,
    antennas: Callable[[int], NDArray],
    seeded: dict[str, np.random.Generator],
    add_file: Callable[[str, bytes], None],
) -> None:
    """Observe one field, once or twice, and add all there is of it to a shard.

    Parameters
    ----------
    shard : Shard
        Grows by the field.
    index : int
        Number of the field.
    target : Target
        What is observed.
    draw_sky : callable
        The case's: takes kind, generator and the image's width in beams, gives the field.
    settings : skyloom.config.schema.Embedded
        Limits of the image size, and the share of labelled targets.
    antennas : callable
        Takes the number of a configuration, gives positions (n, 3) in metres.
    seeded : dict of str to numpy.random.Generator
        One generator for each of `STREAMS`.
    add_file : callable
        Takes name and content of every product file.
    """
    labelled = bool(seeded["entry"].random() < settings.labelled)
    setup = alma.draw_setup(
        seeded["setup"],
        np.radians(target.dec),
        settings.smallest_image,
        settings.largest_image,
        coarse=index % PERIOD == COARSE,
    )
    view = alma.view(setup, antennas(setup.configuration), settings.largest_image)
    unit = float(np.sqrt(view.beam.major * view.beam.minor))
    sky = draw_sky(target.kind, seeded["sky"], view.n * view.pixel / unit)

    fluxes, entry = None, None
    for visit in range(2 if index % TWICE_EVERY == TWICE else 1):
        if visit:
            setup = alma.again(seeded["setup"], view.setup)
            view = alma.view(setup, antennas(setup.configuration), settings.largest_image)
        painted = paint(
            sky,
            view.n,
            view.pixel / unit,
            view.smooth,
            view.rms * float(np.hypot(1, sky.residual)),
            view.beam.area(view.pixel),
            fluxes,
        )
        fluxes = painted.fluxes
        entry = _entry(index, visit, target, view, seeded["entry"], entry)
        _add_observation(shard, index, entry, target, sky, painted, view, unit, labelled, seeded["noise"], add_file)


def _entry(index, visit, target, view, rng, first) -> products.Observation:
    """Return the archive's entry; a second visit belongs to the project of the first."""
    observed, released = products.draw_dates(rng, index % PERIOD == EARLY, index % PERIOD != PROPRIETARY)
    keywords = products.as_archive_writes(target.keywords, rng)
    entry = products.Observation(
        mous=f"uid://A001/X{0xF000 + index:x}/X{2 * index + visit + 1:x}",
        group=f"uid://A001/X{0xF000 + index:x}/X{0xA000 + index:x}",
        proposal=f"{max(observed.year, 2012)}.1.{90000 + index:05d}.S",  # no real project has such a number
        target=target.name,
        ra=target.ra,
        dec=target.dec,
        frequency=view.setup.frequency,
        band=view.setup.band,
        time=round(view.setup.time, 1),
        resolution=round(float(np.sqrt(view.beam.major * view.beam.minor)) / alma.ARCSEC, 4),
        field=round(2 * alma.primary_beam_radius(0.5, view.setup.frequency) / alma.ARCSEC, 2),
        keywords=keywords,
        observed=observed,
        released=released,
        public=index % PERIOD != PROPRIETARY,
    )
    if first is None:
        return entry
    return replace(entry, proposal=first.proposal, keywords=first.keywords, released=first.released)


def _add_observation(shard, index, entry, target, sky, painted, view, unit, labelled, rng, add_file) -> None:
    """Add image, other products, rows and truth of one observation."""
    degrees = np.degrees(view.pixel)
    beam = (np.degrees(view.beam.major), np.degrees(view.beam.minor), view.beam.angle)
    header = products.image_header(entry, view.n, degrees, beam)
    image = alma.observe(painted.sky, view, rng, sky.residual)
    content = products.fits_bytes(image[None, None], header)

    files = {entry.filename("cont.I.pbcor"): content, **products.other_products(entry, index, degrees)}
    if index % LARGE_EVERY == LARGE:
        files[entry.filename("cont.IQUV.pbcor")] = products.polarisation_image(entry, degrees, beam, view.rms, rng)
    entries = [entry]
    if index % COPY_EVERY == COPY:
        copy = replace(entry, mous=entry.mous.replace("/Xf", "/Xe"))
        entries.append(copy)
        files[copy.filename("cont.I.pbcor")] = content
    for name in sorted(files):
        add_file(name, files[name])

    wcs = WCS(header).celestial
    for one in entries:
        size = sum(len(data) for name, data in files.items() if name.startswith(one.stem))
        shard.obscore += products.obscore_rows(one, size)
        shard.truth += _truth(one, index, target, sky, painted, view, unit, labelled, wcs)


def _truth(entry, index, target, sky, painted, view, unit, labelled, wcs) -> list[dict]:
    """Return one row an object; an empty field has one row too, without flux."""
    common = {
        "filename": entry.filename("cont.I.pbcor"),
        "member_ous_uid": entry.mous,
        "field": index,
        "target_name": entry.target,
        "field_kind": target.kind,
        "labelled": labelled,
        "residual": round(sky.residual, 3),
        "configuration": view.setup.configuration,
        "rms": view.rms,
    }
    rows = []
    for number, (thing, fluxes, snrs) in enumerate(zip(sky.objects, painted.fluxes, painted.snrs, strict=False)):
        x = view.n // 2 - thing.east * unit / view.pixel
        y = view.n // 2 + thing.north * unit / view.pixel
        ra, dec = wcs.pixel_to_world_values(x, y)
        matched = [snr for snr, part in zip(snrs, thing.parts, strict=True) if part.measure == "matched"]
        rows.append(
            {
                **common,
                "object": number,
                "kind": thing.kind,
                "is_wind": thing.positive,
                "wind_snr": matched[0] if thing.positive and matched else 0.0,
                "extended_snr": matched[0] if matched else 0.0,
                "peak_snr": snrs[0],
                "ra": float(ra),
                "dec": float(dec),
                "flux": float(sum(fluxes)),
                "fwhm": thing.fwhm * unit / alma.ARCSEC,
            }
        )
    if not rows:
        empty = {"object": 0, "kind": target.kind, "is_wind": False, "wind_snr": 0.0, "extended_snr": 0.0}
        rows.append({**common, **empty, "peak_snr": 0.0, "ra": entry.ra, "dec": entry.dec, "flux": 0.0, "fwhm": 0.0})
    return rows


TRUTH_UNITS = {"ra": "deg", "dec": "deg", "flux": "Jy", "fwhm": "arcsec", "rms": "Jy / beam"}
