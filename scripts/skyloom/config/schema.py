"""The schema of the configuration: every key, its type, unit, range, default and meaning.

The reference page in ``docs/configuration.md`` is made from this file by ``make docs``.
"""

import re
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

VERSION = 1
NAME = r"^[a-z][a-z0-9_]*$"

# Plain tables in place of astropy.units, whose import takes half a second each time the rules are parsed.
UNITS = {
    "angle": {"deg": 3600.0, "arcmin": 60.0, "arcsec": 1.0, "mas": 0.001},
    "data size": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    "time": {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
}


def _split(text: str) -> tuple[float, str]:
    number, unit = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]+)\s*", text).groups()
    return float(number), unit


def in_unit(text: str, unit: str) -> float:
    """Return a quantity given as text (already validated), such as ``"0.4 arcsec"``, as a number in `unit`."""
    number, given = _split(text)
    factors = next(table for table in UNITS.values() if unit in table)
    return number * factors[given] / factors[unit]


def _quantity(kind: str, example: str):
    """Return the type of a text that holds a number and a unit of `kind`; not negative."""

    def check(text: str) -> str:
        try:
            number, unit = _split(text)
        except (AttributeError, ValueError) as error:
            raise ValueError(f"should be a number with a unit, such as {example}") from error
        if unit not in UNITS[kind]:
            raise ValueError(f"should have a unit of {kind} ({', '.join(UNITS[kind])}), such as {example}")
        if number < 0:
            raise ValueError("should not be negative")
        return text

    extra = {"quantity": kind, "example": example, "unit": ", ".join(UNITS[kind])}
    return Annotated[str, AfterValidator(check), Field(json_schema_extra=extra)]


def unit(name: str):
    """Return the annotation that tells the reference page the unit of a plain number."""
    return Field(json_schema_extra={"unit": name})


Angle = _quantity("angle", "1 arcsec")
Size = _quantity("data size", "30 MB")
Time = _quantity("time", "1 s")
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Scale = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=NAME)]


def _rising(values: tuple) -> tuple:
    if list(values) != sorted(values):
        raise ValueError("should be two numbers, the smaller first")
    return values


def _leaves(annotation) -> set:
    """Return the plain types that an annotation is made of."""
    inner = get_args(annotation)
    return set().union(*map(_leaves, inner)) if inner else {annotation} if isinstance(annotation, type) else set()


class Section(BaseModel):
    """A part of the configuration; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_conversion(cls, value, info):
        # pydantic takes true for 1, and a number for a date (seconds since 1970); here both are mistakes.
        kinds = _leaves(cls.model_fields[info.field_name].annotation)
        values = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if kinds & {int, float} and bool not in kinds and any(isinstance(item, bool) for item in values):
            raise ValueError("should hold numbers, not true or false")
        if date in kinds and isinstance(value, int | float):
            raise ValueError("should be a date, such as 2016-01-31")
        return value


class Run(Section):
    """What this run is called, which cases it makes, and its seed."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$|^$")] = Field(
        "", description="Keeps results apart: they go to `results/<name>/`; empty means `results/`."
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(42, description="The one number all random numbers come from.")
    chunks: Annotated[int, Field(ge=1, le=500)] = Field(
        2, description="Number of parts an archive is worked on in; a file belongs to one by a hash of its id."
    )
    cases: Annotated[list[Name], Field(min_length=1)] | Literal["all"] = Field(
        "all", description="The science cases to run, or `all`."
    )


class LocalArchive(Section):
    """FITS files that the user has."""

    folder: str = Field("", description="The folder that holds the FITS files; it is read, never written.")
    pattern: str = Field("**/*.fits*", description="Which files of the folder are taken, as a glob.")


class AlmaArchive(Section):
    """The ALMA Science Archive, asked through its TAP service and DataLink."""

    mirrors: list[str] = Field(
        ["https://almascience.nao.ac.jp", "https://almascience.eso.org", "https://almascience.nrao.edu"],
        min_length=1,
        description="Archive mirrors, tried in this order.",
    )
    backend: Literal["alminer", "pyvo"] = Field(
        "alminer", description="Who asks: ALminer's keysearch, or ADQL by pyvo."
    )


class FermiArchive(Section):
    """The photons of the Fermi-LAT, asked of its data server through astroquery."""

    url: str = Field(
        "https://fermi.gsfc.nasa.gov/cgi-bin/ssc/LAT/LATDataQuery.cgi", description="The page that takes questions."
    )
    targets: list[str] = Field(
        [],
        description="Fields: names that SIMBAD knows, or positions such as `83.633 22.014`. `archive.search.target` or "
        "`position` stands for one alone.",
    )
    grid: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Without targets: fields at the centres of a HEALPix grid of this nside; 8 is 768 fields."
    )
    radius: Angle = Field("15 deg", description="Radius of a field; the server gives 60 deg at most.")
    energies: Annotated[tuple[Scale, Scale], AfterValidator(_rising), unit("GeV")] = Field(
        (0.3, 20.0), description="Range of the photons' energies."
    )
    dates: tuple[date, date] = Field(
        (date(2008, 8, 4), date(2018, 8, 4)), description="First day, and the day that is the first without."
    )
    patience: Time = Field("1 h", description="How long the server may work on a field.")
    poll: Time = Field("30 s", description="How often it is asked whether it is done.")

    @model_validator(mode="after")
    def _the_server_would_take_it(self):
        if self.dates[0] >= self.dates[1]:
            raise ValueError("has `dates` of which the first is not before the second")
        if not 1 <= in_unit(self.radius, "deg") <= 60:
            raise ValueError("has a `radius` that is not from 1 to 60 deg, which the server gives")
        return self


class LotssArchive(Section):
    """Cutouts of the LOFAR Two-metre Sky Survey, data release 2, around the positions of a list."""

    server: str = Field("https://lofar-surveys.org", description="Where the service for cutouts is.")
    beam: Literal[6, 20] = Field(20, description="FWHM of the images' beam [arcsec].")
    size: Angle = Field("60 arcmin", description="Side of a cutout.")
    positions: str = Field(
        "", description="A table of positions in FITS, VOTable, ECSV or CSV, such as a list of clusters."
    )
    name: str = Field("name", description="Its column of names.")
    ra: str = Field("ra", description="Its column of right ascensions (ICRS), in degrees if it has no unit.")
    dec: str = Field("dec", description="Its column of declinations.")


class Search(Section):
    """Which observations and files are wanted; the same filters for every service."""

    science_keywords: list[str] = Field([], description="ALMA science keywords, any of them; empty means all.")
    target: str | None = Field(
        None, description="Name of a target, resolved to a position by the archive's name or SIMBAD."
    )
    position: str | None = Field(None, description="A position on the sky, such as `19h37m00.9s +7d34m09.6s`.")
    radius: Angle = Field("1 arcmin", description="Search radius around the target or the position.")
    released_after: date | None = Field(None, description="Only observations released on this day or later.")
    angular_resolution: Angle | None = Field(None, description="Only observations with a beam smaller than this.")
    public_only: bool = Field(True, description="Leave proprietary observations out.")
    filename_parts: list[str] = Field([], description="Every one of these must be in the file's name.")
    largest_size: Size | None = Field(None, description="Larger files are left out.")
    sample: Count | None = Field(None, description="At most this many files a keyword, drawn with the run's seed.")


class Download(Section):
    """How files are fetched."""

    parallel: Annotated[int, Field(ge=1, le=16)] = Field(4, description="Downloads at the same time in one job.")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(4, description="Tries again after a failure, per mirror.")
    backoff: Time = Field("1 s", description="First pause between tries; it doubles each time.")
    timeout: Time = Field("60 s", description="A connection that is silent for this long has failed.")
    on_failure: Literal["stop", "leave_out"] = Field(
        "stop",
        description="What to do about a file that no mirror gives whole: `stop` the step, or `leave_out` the file, "
        "with the reason in the manifest. An archive that cannot be reached always stops it.",
    )


class Archive(Section):
    """Where observations come from. In one file, keys of a case's own `archive:` win over these."""

    service: Literal["embedded", "local", "alma", "fermi", "lotss"] = Field(
        "embedded", description="The archive that is searched."
    )
    local: LocalArchive = LocalArchive()
    alma: AlmaArchive = AlmaArchive()
    fermi: FermiArchive = FermiArchive()
    lotss: LotssArchive = LotssArchive()
    search: Search = Search()
    download: Download = Download()


class Crop(Section):
    """How objects are found in an image and cut out."""

    size: Annotated[int, Field(ge=16, le=1024, multiple_of=4), unit("pix")] = Field(
        100, description="Side of a cutout."
    )
    detect_snr: Annotated[float, Field(gt=1), unit("local rms")] = Field(
        5.0, description="Threshold of the segmentation."
    )
    grow_snr: Annotated[float, Field(gt=0), unit("local rms")] = Field(
        3.0, description="Segments grow out to this level."
    )
    largest_count: Count = Field(8, description="At most this many objects an image, brightest first.")
    view: Annotated[float, Field(gt=1), unit("object size")] = Field(
        24.0, description="Side of the scaled cutout; an object's size is the FWHM of its bright core."
    )
    smallest_view: Annotated[float, Field(gt=1), unit("beam")] = Field(
        16.0, description="The scaled cutout is at least this wide."
    )
    wide: Annotated[float, Field(ge=1), unit("scaled cutout")] = Field(
        3.0, description="Side of the wide cutout, for walls that reach far."
    )


class Embedded(Section):
    """The simulated archive that the project brings."""

    fields: Count = Field(800, description="How many fields are observed.")
    shards: Annotated[int, Field(ge=1, le=500)] = Field(8, description="Number of jobs that simulate them.")
    labelled: Fraction = Field(0.8, description="Share of the targets whose truth is told to the training.")
    kinds: dict[Name, Annotated[float, Field(ge=0)]] = Field(
        {}, description="Relative numbers of the kinds of objects; those of the case's module where not named."
    )
    smallest_image: Annotated[int, Field(ge=32), unit("pix")] = Field(80, description="Side of the smallest image.")
    largest_image: Annotated[int, Field(ge=64), unit("pix")] = Field(2000, description="Side of the largest image.")

    @model_validator(mode="after")
    def _sizes_rise(self):
        if self.smallest_image > self.largest_image:
            raise ValueError("has a `smallest_image` that is larger than its `largest_image`; swap them")
        return self


class Labels(Section):
    """What is known about objects, and how labelled targets are divided before any augmentation."""

    file: str | None = Field(None, description="CSV with the columns id, label, who, note.")
    match_radius: Annotated[float, Field(gt=0), unit("beam")] = Field(
        2.0, description="Truth and object are one within this distance."
    )
    validation: Fraction = Field(
        0.15, description="Share of the labelled targets that chooses epoch, temperature and threshold."
    )
    test: Fraction = Field(0.2, description="Share of the labelled targets that is only measured on.")
    same_target: Angle = Field("10 arcsec", description="Objects nearer than this on the sky are one target.")

    @model_validator(mode="after")
    def _leaves_a_training_set(self):
        if self.validation + self.test >= 1:
            raise ValueError("leaves nothing to train on; `validation` and `test` should sum to less than 1")
        return self


class Augment(Section):
    """How training samples are multiplied; every part can be switched off."""

    copies: Annotated[int, Field(ge=0)] = Field(2, description="Augmented copies of each training cutout.")
    align: bool = Field(True, description="Rotate positives to their own major axis before they are averaged in pairs.")
    flips: bool = Field(True, description="Mirror left-right and up-down.")
    rotations: bool = Field(True, description="Rotate by any angle.")
    resize: Annotated[tuple[Scale, Scale], AfterValidator(_rising)] | None = Field(
        (0.8, 1.25), description="Range of random magnification, smallest first; null for none."
    )
    shift: Annotated[int, Field(ge=0, le=20), unit("pix")] = Field(3, description="Largest random shift.")
    geometric_mean: bool = Field(True, description="Add the geometric mean of pairs of positives.")
    pairs: Annotated[int, Field(ge=0)] = Field(100, description="How many such pairs.")
    noise: Annotated[float, Field(ge=0), unit("local rms")] = Field(
        0.3, description="Added noise, correlated by the beam."
    )


class Model(Section):
    """One network and how it is trained."""

    network: Name = Field(description="A network of `skyloom.nets`.")
    dataset: Name = Field("cutouts", description="The dataset it is trained on.")
    members: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="Networks trained alike with seeds apart: a deep ensemble."
    )
    epochs: Count = Field(30, description="Passes over the training set at most.")
    batch_size: Count = Field(32, description="Samples a step.")
    optimizer: Literal["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamw"] = Field(
        "adamw", description="Optimiser."
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="Learning rate at its highest.")
    schedule: Literal["constant", "cosine"] = Field("cosine", description="How the learning rate goes on.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(1e-4, description="Weight decay (adamw only).")
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = Field(0.0, description="Softens the labels.")
    class_weights: bool = Field(True, description="Weigh the rarer class up.")
    flip_online: bool = Field(
        True, description="Show each sample in a random one of its eight orientations, anew in each epoch."
    )
    patience: Count = Field(8, description="Stop after this many epochs without a better validation loss.")
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Threads of the backend; part of the result's identity, hence never taken from `--cores`."
    )
    device: Literal["auto", "cpu"] = Field(
        "auto", description="auto: a GPU where there is one, and an error where one was asked for and is not seen."
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="Arithmetic of the training; weights, validation and inference are float32 in any case."
    )


class Calibrate(Section):
    """How scores become probabilities, and which of them make a candidate."""

    purity: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="The threshold is the lowest that has this purity on the validation set."
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(0.68, description="Level of all intervals.")
    prevalence: Fraction = Field(
        0.045,
        description="Share of positives in the archive, for precision there (thesis: 37 candidates of 825 images).",
    )
    bins: Count = Field(10, description="Bins of the reliability diagram.")
    all_orientations: bool = Field(
        True, description="Classify by the mean logit of an image's eight orientations instead of by one."
    )
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Threads of the backend; part of the result's identity, hence never taken from `--cores`."
    )


class Tune(Section):
    """The search for an optimiser and its rate, a target outside `all`."""

    model: Name | None = Field(None, description="The model that is tuned; null means the catalog's.")
    trials: Count = Field(15, description="How many settings are tried.")
    epochs: Count = Field(6, description="Epochs of each trial.")
    learning_rate: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (1e-4, 1e-1), description="Range of the learning rates that are tried, on a logarithmic scale."
    )


class Ablation(Section):
    """What each part of the augmentation brings, a target outside `all`."""

    repeats: Count = Field(3, description="Trainings of each variant, with seeds apart.")
    epochs: Count | None = Field(None, description="Epochs of each training; null for those of the model.")


class Reference(Section):
    """A catalog of known sources; each row of the case's catalog names the nearest one."""

    file: str | None = Field(None, description="A table in FITS, VOTable, ECSV or CSV; null for none.")
    name: str = Field("name", description="Its column of names.")
    ra: str = Field("ra", description="Its column of right ascensions (ICRS), in degrees if it has no unit.")
    dec: str = Field("dec", description="Its column of declinations.")
    radius: Angle = Field("6 arcmin", description="A source farther away is not named.")
    flux: str | None = Field(
        None, description="Its column of fluxes, for the comparison in `reference.csv`; null for none."
    )
    extended: str | None = Field(
        None,
        description="Its column that is empty, zero or false for point sources; the others are not counted as missed.",
    )


class AnyCase(Section):
    """What all cases have in common, whichever chain of steps they go through."""

    title: str = Field(description="One line for the report.")
    archive: dict = Field({}, description="Overrides of the top-level `archive:` for this case.")
    reference: Reference = Reference()


class CaseSettings(AnyCase):
    """The settings of a case that classifies cutouts. A case's module may extend them in its own `Settings`."""

    training_archives: list[Literal["embedded", "local", "alma"]] = Field(
        ["embedded"], description="Archives whose labelled objects train the networks."
    )
    embedded: Embedded = Embedded()
    crop: Crop = Crop()
    labels: Labels = Labels()
    augment: Augment = Augment()
    models: dict[Name, Model] = Field(description="The networks of the case, by name.")
    catalog_model: Name = Field(description="The model that the catalog is made with.")
    calibrate: Calibrate = Calibrate()
    tune: Tune = Tune()
    ablation: Ablation = Ablation()


class ChainModel(Model):
    """One network of a chain of networks that search an image or a cube."""

    dataset: Name = Field(description="The examples it is trained on.")
    target: Name | None = Field(None, description="Which of the examples' quantities it estimates; null for all.")
    loss: Literal[
        "l1",
        "msle",
        "l1_ssim",
        "focal",
        "cross_entropy",
        "dice",
        "dice_cross_entropy",
        "focal_cross_entropy",
        "gaussian_nll",
        "student_nll",
        "angle_nll",
        "photons",
        "logistic",
        "categorical",
    ] = Field(description="What the training makes small.")
    fine_tune: Annotated[int, Field(ge=0)] = Field(
        0, description="Epochs of a second training, on what the networks before it in the chain predict."
    )
    members: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="Networks trained alike with seeds apart, all of which the chain asks: a deep ensemble."
    )
    class_weights: Literal[False] = Field(False, description="Of classifiers only.")
    flip_online: bool = Field(
        True, description="Show each example as it is or turned by half a turn, anew in each epoch."
    )


class SearchSettings(AnyCase):
    """The settings of a case that searches whole observations with a chain of networks trained on simulations."""

    models: dict[Name, ChainModel] = Field(description="The networks of the case, by name.")
    needs: dict[Name, list[Name]] = Field(
        {}, description="Which models the examples of a dataset are made with, the chain so far."
    )
    chain: list[Name] = Field(description="The models that the catalog is made with, in their order.")


class Config(Section):
    """The whole configuration, without the cases, whose schemas stand in their modules."""

    version: Literal[VERSION] = Field(VERSION, description="Version of the configuration's form.")
    run: Run = Run()
    archive: Archive = Archive()
    cases: dict[Name, dict] = Field({}, description="One entry a case, from `config/cases/<case>.yaml`.")
