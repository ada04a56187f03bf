"""Make the content of the test archive: observations as CSV, DaCHS's descriptor of their table, and FITS products.

    python make_archive.py FOLDER [MEMBERS]

Each member OUS has one or two targets, each seen in four spectral windows, and for each target a continuum image
with and without primary beam correction, a cube and a mask; and one image of a calibrator. The numbers are fixed.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

LIGHT = 299_792_458.0  # m/s
KEYWORDS = (
    "Low-mass star formation",
    "Outflows, jets and ionized winds, Low-mass star formation",
    "Outflows, jets, feedback",
    "Inter-stellar medium (ISM)/Molecular clouds",
    "Spiral galaxies",
)
TEXT, WHOLE, REAL, REGION = "text", "integer", "double precision", "spoly"

# The columns of ALMA's ivoa.obscore: name, type, unit.
COLUMNS = [
    *((name, TEXT, "") for name in ("obs_publisher_did", "obs_collection", "facility_name", "instrument_name")),
    *((name, TEXT, "") for name in ("obs_id", "dataproduct_type", "target_name", "pol_states", "o_ucd")),
    *((name, TEXT, "") for name in ("access_url", "access_format", "proposal_id", "data_rights", "band_list")),
    *((name, TEXT, "") for name in ("antenna_arrays", "is_mosaic", "obs_release_date", "frequency_support")),
    *((name, TEXT, "") for name in ("obs_creator_name", "pub_title", "first_author", "authors", "pub_abstract")),
    *((name, TEXT, "") for name in ("proposal_abstract", "schedblock_name", "proposal_authors", "group_ous_uid")),
    *((name, TEXT, "") for name in ("member_ous_uid", "asdm_uid", "obs_title", "type", "scan_intent")),
    *((name, TEXT, "") for name in ("science_observation", "qa2_passed", "bib_reference", "science_keyword")),
    *((name, TEXT, "") for name in ("scientific_category", "lastModified")),
    *((name, WHOLE, "") for name in ("calib_level", "publication_year")),
    *((name, REAL, "deg") for name in ("s_ra", "s_dec", "s_fov", "gal_longitude", "gal_latitude")),
    *((name, REAL, "arcsec") for name in ("s_resolution", "spatial_resolution", "spatial_scale_max")),
    *((name, REAL, "d") for name in ("t_min", "t_max")),
    *((name, REAL, "s") for name in ("t_exptime", "t_resolution")),
    *((name, REAL, "m") for name in ("em_min", "em_max")),
    *((name, REAL, "Hz") for name in ("em_resolution", "bandwidth", "spectral_resolution")),
    *((name, REAL, "mJy/beam") for name in ("sensitivity_10kms", "cont_sensitivity_bandwidth")),
    ("em_res_power", REAL, ""),
    ("frequency", REAL, "GHz"),
    ("velocity_resolution", REAL, "m/s"),
    ("pwv", REAL, "mm"),
    ("s_region", REGION, "deg"),
]


def observations(members: int) -> list[dict]:
    """Return the rows of the table, one a member OUS, target and spectral window."""
    rng = np.random.default_rng(7)
    rows = []
    for number in range(members):
        member, project = f"uid://A001/X{0x900 + number:x}/X2", f"2019.1.{number:05d}.S"
        year = 2014 + number % 8
        for target in range(1 + number % 2):
            ra, dec = rng.uniform(10, 350), rng.uniform(-60, 20)
            beam = (0.1, 0.3, 0.8)[number % 3]
            for window, centre in enumerate((218.0, 220.0, 232.0, 234.0)):
                row = dict.fromkeys((name for name, _, _ in COLUMNS), "")
                row |= dict.fromkeys((name for name, kind, _ in COLUMNS if kind == REAL), 1.0)
                rows.append(
                    row
                    | {
                        "obs_publisher_did": f"ADS/JAO.ALMA#{project}",
                        "obs_id": f"{member}.source.Star_{number}_{target}.spw.{25 + 2 * window}",
                        "target_name": f"Star_{number}_{target}",
                        "proposal_id": project,
                        "member_ous_uid": member,
                        "group_ous_uid": f"{member[:-1]}1",
                        "asdm_uid": f"uid://A002/X{number:x}/X3",
                        "data_rights": "Proprietary" if number % 7 == 6 else "Public",
                        "obs_release_date": f"{year}-06-01T00:00:00.000",
                        "lastModified": "2024-01-01T00:00:00.000",
                        "science_keyword": KEYWORDS[number % len(KEYWORDS)],
                        "scan_intent": "TARGET" if number % 11 != 10 else "CALIBRATE_FLUX",
                        "science_observation": "T",
                        "dataproduct_type": "cube",
                        "calib_level": 2,
                        "publication_year": 2020,
                        "band_list": "6",
                        "pol_states": "/XX/YY/",
                        "s_ra": ra,
                        "s_dec": dec,
                        "s_fov": 0.008,
                        "s_resolution": beam,
                        "spatial_resolution": beam,
                        "frequency": centre,
                        "bandwidth": 1.875e9,
                        "em_min": LIGHT / ((centre + 0.9375) * 1e9),
                        "em_max": LIGHT / ((centre - 0.9375) * 1e9),
                        "em_res_power": centre * 1e6 / 31250,
                        "frequency_support": f"[{centre - 0.94:.2f}..{centre + 0.94:.2f}GHz,31250.00kHz,"
                        "1mJy/beam@10km/s,50uJy/beam@native, XX YY]",
                        "s_region": _octagon(ra, dec, 0.004),
                    }
                )
    return rows


def _octagon(ra: float, dec: float, radius: float) -> str:
    angles = np.arange(8) * np.pi / 4
    corners = zip(ra + radius * np.cos(angles) / np.cos(np.radians(dec)), dec + radius * np.sin(angles), strict=True)
    return " ".join(f"{x:.7f} {y:.7f}" for x, y in corners)


def write_products(rows: list[dict], folder: Path) -> None:
    """Write the FITS files of all member OUS, named as ALMA names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        stem = f"member.{row['member_ous_uid'].replace('://', '___').replace('/', '_')}"
        if row["obs_id"].endswith("spw.25"):
            for product in ("cont.I.pbcor", "cont.I", "cube.I.pbcor", "mask"):
                _image(folder / f"{stem}.{row['target_name']}_sci.spw25_27_29_31.{product}.fits", row, number)
            _image(folder / f"{stem}.J1924-2914_bp.spw25_27_29_31.cont.I.pbcor.fits", row, number)


def _image(path: Path, row: dict, number: int) -> None:
    pixels = np.random.default_rng(number).normal(size=(1, 1, 48, 48)).astype(np.float32)
    header = fits.Header({"OBJECT": row["target_name"], "BUNIT": "Jy/beam", "BMAJ": row["s_resolution"] / 3600})
    header["BMIN"], header["BPA"] = header["BMAJ"], 0.0
    axes = (("RA---SIN", row["s_ra"], -1e-5), ("DEC--SIN", row["s_dec"], 1e-5))
    for axis, (kind, value, step) in enumerate((*axes, ("FREQ", row["frequency"] * 1e9, 1e9), ("STOKES", 1, 1)), 1):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"] = kind, value
        header[f"CDELT{axis}"], header[f"CRPIX{axis}"] = step, 24.5 if axis < 3 else 1.0
    fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)


def descriptor() -> str:
    """Return DaCHS's resource descriptor of the table."""
    columns = []
    for name, kind, unit in COLUMNS:
        quoted = name if name.islower() else f"quoted/{name}"
        null = '<values nullLiteral="-1"/>' if kind == WHOLE else ""
        region = ' xtype="adql:REGION"' if kind == REGION else ""
        columns.append(
            f'<column name="{quoted}" type="{kind}" unit="{unit}" ucd="" description="{name}" verbLevel="1"{region}>'
            f"{null}</column>"
        )
    plain = ",".join(name for name, kind, _ in COLUMNS if kind != REGION and name.islower())
    return f"""<resource schema="ivoa" resdir="skyloom_alma">
  <meta name="title">ALMA-like observations</meta>
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="description">Made up for tests.</meta>
  <meta name="subject">interferometry</meta>
  <meta name="creator">Skyloom</meta>
  <table id="obscore" onDisk="True" adql="True">
    <stc>Polygon ICRS [s_region]</stc>
    <index columns="s_region" method="GIST"/>
    {chr(10).join(columns)}
  </table>
  <data id="import">
    <sources>obscore.csv</sources>
    <csvGrammar/>
    <make table="obscore">
      <rowmaker idmaps="{plain}">
        <map key="lastModified">@lastModified</map>
        <map key="s_region">pgsphere.SPoly.fromDALI([float(x) for x in @s_region.split()])</map>
      </rowmaker>
    </make>
  </data>
</resource>
"""


def main() -> None:
    """Write everything into the folder."""
    folder, members = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 24
    folder.mkdir(parents=True, exist_ok=True)
    rows = observations(members)
    with open(folder / "obscore.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, [name for name, _, _ in COLUMNS])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "table.rd").write_text(descriptor())
    write_products(rows, folder / "products")


if __name__ == "__main__":
    main()
