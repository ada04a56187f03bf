"""Observe one field after the other, as an observatory does, into product files, archive rows and truth."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..sky.fields import Field, Object, Painted, Target, paint
from . import alma, products

# Which fields have what the archive's filters must remove: by number, so that the counts are known. Those with one of
# these remainders by PERIOD lack one condition; the others fulfil all.
PERIOD = 25
OTHER_KEYWORD, EARLY, COARSE, PROPRIETARY = 4, 9, 14, 19
TWICE_EVERY, TWICE = 9, 5  # these targets were observed in two MOUS
COPY_EVERY, COPY = 40, 3  # these images are in the archive under two names
LARGE_EVERY, LARGE = 300, 290  # these have a full-polarisation image of more than 30 MB

STREAMS = ("target", "setup", "sky", "entry", "noise")

TRUTH_UNITS = {"ra": "deg", "dec": "deg", "flux": "Jy", "fwhm": "arcsec", "rms": "Jy / beam"}


@dataclass
class Shard:
    """The tables of a part of the archive: ObsCore rows and truth rows."""

    obscore: list[dict] = field(default_factory=list)
    truth: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Visit:
    """One observation of a field: what the archive says, how and what was seen, and the truth.

    `unit` [rad] is the length that the sky is described in: the beam of the field's first visit.
    """

    index: int
    target: Target
    labelled: bool
    entry: products.Observation
    view: alma.View
    sky: Field
    painted: Painted
    unit: float


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
    view = alma.view(setup, antennas(setup.configuration))
    unit = view.beam.size
    sky = draw_sky(target.kind, seeded["sky"], view.n * view.pixel / unit)

    entry = fluxes = None
    for number in range(2 if index % TWICE_EVERY == TWICE else 1):
        if number:
            view = alma.view(alma.again(seeded["setup"], view.setup), antennas(setup.configuration))
        rms = _rms(view, sky)
        painted = paint(sky, view.n, view.pixel / unit, view.smooth, rms, view.beam.area(view.pixel), fluxes)
        fluxes = painted.fluxes
        entry = _entry(index, number, target, view, seeded["entry"], entry)
        visit = Visit(index, target, labelled, entry, view, sky, painted, unit)
        _add_visit(shard, visit, seeded["noise"], add_file)


def _rms(view: alma.View, sky: Field) -> float:
    """Return the noise of the image [Jy/beam] where the primary beam is one: thermal, and artefacts."""
    return view.rms * float(np.hypot(1, sky.residual))


def _entry(index, number, target, view, rng, first) -> products.Observation:
    """Return the archive's entry of a visit; a second visit belongs to the project of the first."""
    public = index % PERIOD != PROPRIETARY
    observed, released = products.draw_dates(rng, index % PERIOD == EARLY, public)
    entry = products.Observation(
        mous=f"uid://A001/X{0xF000 + index:x}/X{2 * index + number + 1:x}",
        group=f"uid://A001/X{0xF000 + index:x}/X{0xA000 + index:x}",
        proposal=f"{observed.year}.1.{90000 + index:05d}.S",  # no real project has such a number
        target=target.name,
        ra=target.ra,
        dec=target.dec,
        frequency=view.setup.frequency,
        band=view.setup.band,
        time=round(view.setup.time, 1),
        resolution=round(view.beam.size / alma.ARCSEC, 4),
        field=round(2 * alma.primary_beam_radius(0.5, view.setup.frequency) / alma.ARCSEC, 2),
        keywords=products.as_archive_writes(target.keywords, rng),
        observed=observed,
        released=released,
        public=public,
    )
    if first is None:
        return entry
    return replace(entry, proposal=first.proposal, keywords=first.keywords, released=first.released)


def _add_visit(shard: Shard, visit: Visit, rng: np.random.Generator, add_file) -> None:
    """Make the image of a visit; add it, other products, archive rows and truth."""
    entry, view = visit.entry, visit.view
    pixel = np.degrees(view.pixel)
    beam = (np.degrees(view.beam.major), np.degrees(view.beam.minor), view.beam.angle)
    header = products.image_header(entry, view.n, pixel, beam)
    image = alma.observe(visit.painted.sky, view, rng, visit.sky.residual)
    content = products.fits_bytes(image[None, None], header)

    files = {entry.filename("cont.I.pbcor"): content, **products.other_products(entry, visit.index, pixel)}
    if visit.index % LARGE_EVERY == LARGE:
        files[entry.filename("cont.IQUV.pbcor")] = products.polarisation_image(entry, pixel, beam, view.rms, rng)
    entries = [entry]
    if visit.index % COPY_EVERY == COPY:
        entries.append(replace(entry, mous=entry.mous.replace("/Xf", "/Xe")))
        files[entries[1].filename("cont.I.pbcor")] = content
    for name in sorted(files):
        add_file(name, files[name])
    for one in entries:
        size = sum(len(data) for name, data in files.items() if name.startswith(one.stem))
        shard.obscore += products.obscore_rows(one, size)
        shard.truth += _truth(replace(visit, entry=one), header)


def _truth(visit: Visit, header) -> list[dict]:
    """Return one row an object; an empty field has one row too, without flux."""
    entry, view = visit.entry, visit.view
    common = {
        "filename": entry.filename("cont.I.pbcor"),
        "member_ous_uid": entry.mous,
        "field": visit.index,
        "target_name": entry.target,
        "field_kind": visit.target.kind,
        "labelled": visit.labelled,
        "residual": visit.sky.residual,
        "configuration": view.setup.configuration,
        "rms": _rms(view, visit.sky),
    }
    nothing = Object(kind=visit.target.kind, parts=(), positive=False)
    rows = []
    for number, thing in enumerate(visit.sky.objects or (nothing,)):
        x = view.n // 2 - thing.east * visit.unit / view.pixel
        y = view.n // 2 + thing.north * visit.unit / view.pixel
        ra, dec = products.sky_position(header, x, y)
        snrs = visit.painted.snrs[number] if thing.parts else [0.0]
        matched = [snr for snr, part in zip(snrs, thing.parts, strict=False) if part.measure == "matched"]
        rows.append(
            {
                **common,
                "object": number,
                "kind": thing.kind,
                "is_wind": thing.positive,
                "wind_snr": matched[0] if thing.positive and matched else 0.0,
                "extended_snr": matched[0] if matched else 0.0,
                "peak_snr": snrs[0],
                "ra": ra,
                "dec": dec,
                "flux": float(sum(visit.painted.fluxes[number])) if thing.parts else 0.0,
                "fwhm": thing.fwhm * visit.unit / alma.ARCSEC,
            }
        )
    return rows
