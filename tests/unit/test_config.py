"""The configuration: what is merged over what, what is refused and in which words, and its reference page."""

import copy
import difflib
import os
import subprocess
import sys
import textwrap
from datetime import date
from pathlib import Path

import pytest
import yaml
from astropy import units
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyloom.config.docs import reference, undescribed
from skyloom.config.load import load, section_settings
from skyloom.config.merge import read_yaml
from skyloom.config.schema import UNITS, VERSION, Crop, Model, in_unit
from skyloom.errors import UserError

ROOT = Path(__file__).parents[2]
# A machine under load is slow, which is no fault of ours.
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOP = {"version": 1, "run": {"seed": 7, "cases": ["disk_winds"]}, "archive": {"service": "embedded"}}
CASE = {
    "title": "Discs with winds",
    "archive": {"search": {"largest_size": "30 MB", "released_after": date(2016, 1, 1)}},
    "crop": {"size": 64, "detect_snr": 4.5},
    "embedded": {"kinds": {"smooth_disc": 1.0, "binary": 2}},
    "augment": {"resize": [0.8, 1.2], "flips": False},
    "models": {"first": {"network": "windnet", "epochs": 2}, "second": {"network": "thesis_cnn"}},
    "catalog_model": "first",
}


def project(folder: Path, top: object = TOP, case: object = CASE) -> Path:
    (folder / "config/cases").mkdir(parents=True, exist_ok=True)
    for name, content in (("config.yaml", top), ("cases/disk_winds.yaml", case)):
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (folder / "config" / name).write_text(text)
    return folder


@pytest.fixture
def root(tmp_path):
    return project(tmp_path)


def sentence(error: pytest.ExceptionInfo) -> str:
    """Return the message of an error after checking that it is one sentence."""
    text = str(error.value)
    assert text.endswith((".", "?")) and "\n" not in text, text
    assert not [word for word in text.split()[:-1] if word.endswith(("?", ".", "!"))], text
    return text


# What is merged


def test_project_is_valid_and_complete():
    config, cases = load(overrides={"run": {"cases": "all"}}, root=ROOT)
    assert list(cases) == sorted(path.stem for path in (ROOT / "config/cases").glob("*.yaml"))
    for case, settings_ in cases.items():
        resolved = config["cases"][case]
        assert set(resolved.get("chain") or [resolved["catalog_model"]]) <= set(settings_.models)
        assert settings_.archive["download"]["retries"] >= 0


@pytest.mark.parametrize("preset", sorted((ROOT / "config/presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_valid(preset, tmp_path, monkeypatch):
    # The folder of the user's own files, whose responses a preset may simulate with.
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run.fits.gz").touch()
    monkeypatch.chdir(tmp_path)
    assert load([preset], root=ROOT)[0]["run"]["cases"]


def test_one_broken_file_of_the_real_archive_does_not_stop_its_chunk():
    made = load([ROOT / "config/presets/alma_archive.yaml"], root=ROOT)[0]
    assert made["archive"]["download"]["on_failure"] == "leave_out"
    assert load([], root=ROOT)[0]["archive"]["download"]["on_failure"] == "stop"


def test_later_sources_win(root, tmp_path):
    user = tmp_path / "user.yaml"
    user.write_text("run: {seed: 1, name: mine}\ncases: {disk_winds: {crop: {size: 32}}}\n")
    config, cases = load([user], {"run": {"seed": 2}}, root)
    assert config["run"]["seed"] == 2 and config["run"]["name"] == "mine"
    assert cases["disk_winds"].crop.size == 32 and cases["disk_winds"].crop.detect_snr == 4.5


def test_archive_of_the_case_is_merged_with_the_common_one(root):
    archive = load(root=root)[1]["disk_winds"].archive
    assert archive["service"] == "embedded" and archive["search"]["largest_size"] == "30 MB"


def test_what_a_user_says_of_all_archives_wins_over_the_case_file(root):
    archive = load(overrides={"archive": {"search": {"largest_size": "5 MB"}}}, root=root)[1]["disk_winds"].archive
    assert archive["search"]["largest_size"] == "5 MB" and archive["search"]["released_after"] == "2016-01-01"


def test_lists_are_replaced_not_merged(root):
    user = {"cases": {"disk_winds": {"augment": {"resize": [0.9, 1.0]}}}}
    assert load(overrides=user, root=root)[1]["disk_winds"].augment.resize == (0.9, 1.0)


def test_resolved_config_is_itself_a_config_that_changes_nothing(root):
    config, _ = load(root=root)
    assert load(overrides=copy.deepcopy(config), root=root)[0] == config


def test_case_in_a_list_twice_runs_once(root):
    assert list(load(overrides={"run": {"cases": ["disk_winds", "disk_winds"]}}, root=root)[1]) == ["disk_winds"]


def test_tuned_model_is_the_catalog_model_unless_named(root):
    assert load(root=root)[1]["disk_winds"].tune.model == "first"
    named = {"cases": {"disk_winds": {"tune": {"model": "second"}}}}
    assert load(overrides=named, root=root)[1]["disk_winds"].tune.model == "second"


def test_numbers_with_an_exponent_are_numbers(root):
    # YAML 1.1 reads 1e-3 as text.
    user = {"cases": {"disk_winds": {"models": {"first": {"learning_rate": "1e-3"}}}}}
    assert load(overrides=user, root=root)[1]["disk_winds"].models["first"].learning_rate == 1e-3


def test_loading_imports_nothing_heavy():
    code = """
        import sys
        from skyloom.config.load import load
        load()
        print(*{"numpy", "astropy", "tensorflow", "keras", "pandas"} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


# What is refused


def case(values: dict) -> dict:
    return {"cases": {"disk_winds": values}}


WRONG = {
    "unknown key": (
        {"archive": {"servce": "x"}},
        "`archive.servce` is not a known key; did you mean `archive.service`?",
    ),
    "key in the wrong place": ({"seed": 3}, "`seed` is not a known key; did you mean `run.seed`?"),
    "nothing near": ({"zzz": 1}, "`zzz` is not a known key; the keys there are version, run, archive, cases."),
    "unknown key of a case": (
        case({"crop": {"sise": 3}}),
        "`cases.disk_winds.crop.sise` is not a known key; did you mean `cases.disk_winds.crop.size`?",
    ),
    "unknown key of a model": (
        case({"models": {"first": {"epoch": 3}}}),
        "`cases.disk_winds.models.first.epoch` is not a known key; did you mean "
        "`cases.disk_winds.models.first.epochs`?",
    ),
    "missing key": (
        case({"models": {"third": {}}}),
        "`cases.disk_winds.models.third.network` is missing; add it (docs/configuration.md tells what it means).",
    ),
    "choice": (
        {"archive": {"service": "almma"}},
        "`archive.service` is 'almma', but should be one of embedded, local, alma, fermi, lotss; did you mean `alma`?",
    ),
    "text for a number": (
        {"run": {"seed": "x"}},
        "`run.seed` is 'x', but should be a whole number, at least 0, below 4294967296.",
    ),
    "true for a number": ({"run": {"seed": True}}, "`run.seed` is true, but should hold numbers, not true or false."),
    "number for text": (
        {"run": {"name": 5}},
        "`run.name` is 5, but should be text, letters, digits, `_`, `.` and `-`, a letter or digit first.",
    ),
    "text for a list": (
        {"archive": {"search": {"filename_parts": ".pbcor"}}},
        "`archive.search.filename_parts` is '.pbcor', but should be a list of texts.",
    ),
    "number for a date": (
        {"archive": {"search": {"released_after": 2016}}},
        "`archive.search.released_after` is 2016, but should be a date, such as 2016-01-31.",
    ),
    "value for a section": (
        {"archive": None},
        "`archive` is null, but should be a section with the keys service, local, alma, fermi, lotss, search, "
        "download.",
    ),
    "out of range": (
        case({"crop": {"size": 101}}),
        "`cases.disk_winds.crop.size` is 101, but should be a whole number, 16 to 1024, a multiple of 4.",
    ),
    "not finite": (
        case({"crop": {"detect_snr": float("nan")}}),
        "`cases.disk_winds.crop.detect_snr` is NaN, but should be a number, above 1.",
    ),
    "item of a list": (
        case({"training_archives": ["embeded"]}),
        "`cases.disk_winds.training_archives` holds 'embeded', but should be a list of values, each one of embedded, "
        "local, alma; did you mean `embedded`?",
    ),
    "falling range": (
        case({"augment": {"resize": [2, 1]}}),
        "`cases.disk_winds.augment.resize` is [2, 1], but should be two numbers, the smaller first.",
    ),
    "too short a range": (
        case({"augment": {"resize": [1]}}),
        "`cases.disk_winds.augment.resize` holds [1], but should be a list of 2 values, "
        "each a number above 0, or null.",
    ),
    "no unit": (
        {"archive": {"search": {"radius": "5"}}},
        "`archive.search.radius` is '5', but should be a number with a unit, such as 1 arcsec.",
    ),
    "wrong unit": (
        {"archive": {"search": {"largest_size": "30 arcsec"}}},
        "`archive.search.largest_size` is '30 arcsec', but should have a unit of data size (B, kB, MB, GB, TB), "
        "such as 30 MB.",
    ),
    "negative quantity": (
        {"archive": {"search": {"radius": "-5 deg"}}},
        "`archive.search.radius` is '-5 deg', but should not be negative.",
    ),
    "unknown case to run": (
        {"run": {"cases": ["disk_wind"]}},
        "`run.cases` names a case that does not exist, `disk_wind`; did you mean `disk_winds`?",
    ),
    "settings of an unknown case": (
        {"cases": {"disk_wind": {}}},
        "`cases.disk_wind` names a case that does not exist, `disk_wind`; did you mean `disk_winds`?",
    ),
    "name that is no name": (
        case({"models": {"Wind Net": {"network": "windnet"}}}),
        "`cases.disk_winds.models.Wind Net` is not a fit name; use small letters, digits and underscores, "
        "a letter first.",
    ),
    "model that is not there": (
        case({"catalog_model": "frist"}),
        "`cases.disk_winds.catalog_model` is 'frist', which is no model of the case; did you mean `first`?",
    ),
    "nothing left to train on": (
        case({"labels": {"test": 0.9}}),
        "`cases.disk_winds.labels` leaves nothing to train on; `validation` and `test` should sum to less than 1.",
    ),
    "images smaller than the smallest": (
        case({"embedded": {"smallest_image": 300, "largest_image": 100}}),
        "`cases.disk_winds.embedded` has a `smallest_image` that is larger than its `largest_image`; swap them.",
    ),
    "local archive without a folder": (
        {"archive": {"service": "local"}},
        "`archive.service` is local, but `archive.local.folder` is empty; name your FITS folder there.",
    ),
    "newer config": (
        {"version": VERSION + 1, "brand": {"new": 1}},
        f"this config is of `version` {VERSION + 1}, this Skyloom knows {VERSION}; update Skyloom.",
    ),
    "no config version": ({"version": "one"}, "`version` is 'one', but should be 1."),
    "no case at all": ({"cases": None}, "`cases` is null, but should be a section with a section for each name."),
}


@pytest.mark.parametrize(("values", "expected"), WRONG.values(), ids=WRONG)
def test_mistake_on_the_command_line(root, values, expected):
    with pytest.raises(UserError) as error:
        load(overrides=values, root=root)
    assert sentence(error) == f"--config: {expected}"


@pytest.mark.parametrize(("values", "expected"), WRONG.values(), ids=WRONG)
def test_same_mistake_in_a_file_names_the_file(root, tmp_path, values, expected):
    user = tmp_path / "user.yaml"
    user.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError) as error:
        load([user], root=root)
    assert sentence(error) == f"{user}: {expected}"


def test_key_is_shown_as_it_stands_in_the_case_file(tmp_path):
    project(tmp_path, case={**CASE, "crop": {"sise": 1}})
    with pytest.raises(UserError) as error:
        load(root=tmp_path)
    assert sentence(error) == "config/cases/disk_winds.yaml: `crop.sise` is not a known key; did you mean `crop.size`?"


def test_empty_case_file_lacks_its_title(tmp_path):
    with pytest.raises(UserError) as error:
        load(root=project(tmp_path, case=""))
    assert sentence(error).startswith("config/cases/disk_winds.yaml: `title` is missing;")


def test_case_without_a_module(root):
    (root / "config/cases/comets.yaml").write_text("title: Comets\n")
    with pytest.raises(UserError) as error:
        load(overrides={"run": {"cases": ["comets"]}}, root=root)
    assert sentence(error).startswith("config/cases/comets.yaml: the case has no module; write scripts/skyloom/cases/")


BROKEN = {
    "syntax": ("run:\n  seed: [1\nname: x\n", "line 3 is not valid YAML"),
    "tabulator": ("run:\n\tseed: 1\n", "line 2 is not valid YAML"),
    "key twice": ("run:\n  seed: 1\n  seed: 2\n", "in line 3, the key `seed` is given twice; delete one."),
    "section twice": ("run: {seed: 1}\narchive: {}\nrun: {}\n", "in line 3, the key `run` is given twice; delete one."),
    "key that is no text": ("run:\n  on: 1\n", "in line 2, the key `on` is not text; put it in quotes."),
    "key that is a list": ("[a, b]: 1\n", "in line 1, a key that is a list or a mapping is not text"),
    "impossible date": ("a: 2016-02-30\n", "in line 1, `2016-02-30` cannot be read; correct it, or put it in quotes."),
    "list": ("- seed: 1\n", "should hold `key: value` lines, but holds a list."),
    "text": ("seed\n", "should hold `key: value` lines, but holds text."),
    "number": ("3\n", "should hold `key: value` lines, but holds a single value."),
    "object of Python": ("a: !!python/object/apply:os.getcwd []\n", "in line 1, could not determine a constructor"),
    "alias in itself": ("a: &x [*x]\n", "nested too deeply, or an alias inside itself; write it out."),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_file(tmp_path, text, expected):
    path = tmp_path / "user.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_yaml(path)
    assert sentence(error).startswith(f"{path}: {expected}")


def test_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(UserError, match="absent.yaml: the config file cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match="bytes.yaml: the config file is not UTF-8 text"):
        read_yaml(tmp_path / "bytes.yaml")


def test_empty_file_and_anchors_are_fine(tmp_path):
    path = tmp_path / "user.yaml"
    path.write_text("# nothing\n")
    assert read_yaml(path) == {}
    path.write_text("a: &x {b: 1}\nc: {<<: *x, b: 2}\n")
    assert read_yaml(path) == {"a": {"b": 1}, "c": {"b": 2}}


# A step's own settings


def test_section_from_json_from_a_file_and_from_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "crop.yaml"
    path.write_text("size: 32\n")
    assert section_settings("disk_winds", "crop", '{"size": 32}') == Crop(size=32)
    assert section_settings("disk_winds", "crop", str(path)) == Crop(size=32)
    assert section_settings("disk_winds", "crop", None) == load(root=ROOT)[1]["disk_winds"].crop


def test_section_below_a_name_and_the_archive(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert isinstance(section_settings("disk_winds", "models.any", '{"network": "windnet"}'), Model)
    assert section_settings("disk_winds", "archive", '{"service": "alma"}').service == "alma"
    assert section_settings("disk_winds", "archive", None).search.largest_size == "30 MB"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("disk_wind", "crop", None), "--case: there is no case `disk_wind`; did you mean `disk_winds`?"),
        (("disk_winds", "crop", '{"sise": 1}'), "--settings: `sise` is not a known key; did you mean `size`?"),
        (("disk_winds", "crop", "{"), "--settings: not valid JSON"),
        (("disk_winds", "models.none", None), "config/cases/disk_winds.yaml: there is no `models.none`; there is "),
        (("disk_winds", "crop", "none.yaml"), "none.yaml: the config file cannot be read"),
    ],
)
def test_mistake_in_a_section(monkeypatch, arguments, expected):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as error:
        section_settings(*arguments)
    assert sentence(error).startswith(expected)


# Any mistake


def leaves(values: dict, above: tuple = ()) -> list[tuple]:
    return [
        path
        for key, value in values.items()
        for path in ((*above, key), *(leaves(value, (*above, key)) if isinstance(value, dict) else ()))
    ]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@settings(QUIET, max_examples=150)
@given(data=st.data())
def test_mutated_config_is_valid_or_a_user_error(tmp_path_factory, data):
    """Drop, rename or retype a random key: the answer is a config or one sentence, never another exception."""
    values = copy.deepcopy({**TOP, "cases": {"disk_winds": CASE}})
    *above, key = data.draw(st.sampled_from(leaves(values)), label="key")
    node = values
    for part in above:
        node = node[part]
    how = data.draw(st.sampled_from(["drop", "rename", "retype"]))
    value = node.pop(key)
    if how == "rename":
        node[data.draw(st.text(max_size=10))] = value
    elif how == "retype":
        node[key] = data.draw(VALUES)
    cases = values.pop("cases", None)
    own = cases.pop("disk_winds", {}) if isinstance(cases, dict) else {}
    if cases:
        values["cases"] = cases
    root = project(tmp_path_factory.mktemp("mutated"), values, own)
    try:
        config, resolved = load(root=root)
    except UserError as error:
        assert str(error).endswith((".", "?")) and str(error).startswith(("config/", str(root))), error
    else:
        assert resolved or config["run"]["cases"] == []


KEYS = st.sampled_from(["run", "archive", "cases", "disk_winds", "models", "search", "seed", "first"])
NESTED = st.recursive(VALUES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)


@settings(QUIET, max_examples=100)
@given(values=NESTED)
def test_any_overrides_are_valid_or_a_user_error(tmp_path_factory, values):
    root = project(tmp_path_factory.getbasetemp() / "overridden")
    try:
        load(overrides=values if isinstance(values, dict) else {"run": values}, root=root)
    except UserError as error:
        assert str(error).endswith((".", "?"))


# Units


@settings(QUIET)
@given(number=st.floats(0, 1e6), kind=st.sampled_from(sorted(UNITS)), data=st.data())
def test_units_agree_with_astropy(number, kind, data):
    given_unit, wanted = (data.draw(st.sampled_from(sorted(UNITS[kind]))) for _ in range(2))
    expected = units.Quantity(number, given_unit).to_value(wanted)
    assert in_unit(f"{number!r} {given_unit}", wanted) == pytest.approx(expected, rel=1e-12)


# The reference page


def test_every_key_has_a_description():
    assert undescribed() == []


def test_reference_page_is_up_to_date():
    page = ROOT / "docs/configuration.md"
    written, wanted = page.read_text(), reference()
    diff = "".join(
        difflib.unified_diff(written.splitlines(True), wanted.splitlines(True), str(page.name), "the schema")
    )
    assert written == wanted, f"docs/configuration.md is out of date; run `make docs`.\n{diff}"


def test_reference_page_tells_type_unit_range_default_and_meaning():
    assert (
        "| `crop.size` | whole number | pix | 16 to 1024, a multiple of 4 | `100` | Side of a cutout. |" in reference()
    )


def observed(irfs) -> dict:
    return {"cases": {"cherenkov": {"simulate": {"observation": {"irfs": irfs}}}}, "run": {"cases": ["cherenkov"]}}


def test_responses_are_files_folders_and_patterns(tmp_path):
    for name in ("b/2.fits", "b/inner/1.fits.gz", "b/text.txt", "c.fits"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [str(tmp_path / "c.fits"), str(tmp_path / "b"), str(tmp_path / "?.fits")]
    found = load(overrides=observed(names), root=ROOT)[1]["cherenkov"].simulate.observation.irfs
    assert [str(Path(path).relative_to(tmp_path)) for path in found] == [
        "c.fits", "b/2.fits", "b/inner/1.fits.gz", "c.fits",
    ]  # fmt: skip
    for irfs, text in (([str(tmp_path / "*.gz")], "where there is no FITS file"), ([], "should name a file")):
        with pytest.raises(UserError, match=text) as error:
            load(overrides=observed(irfs), root=ROOT)
        assert "`cases.cherenkov.simulate.observation.irfs`" in sentence(error)


def test_responses_are_those_of_the_local_archive(tmp_path):
    (tmp_path / "run.fits.gz").touch()
    local = {"archive": {"service": "local", "local": {"folder": str(tmp_path)}}}
    made = load(overrides=observed("archive") | local, root=ROOT)[0]
    assert made["cases"]["cherenkov"]["simulate"]["observation"]["irfs"] == [str(tmp_path / "run.fits.gz")]
    local["archive"]["local"]["folder"] = str(tmp_path / "none")
    with pytest.raises(UserError, match="is `archive`, which names .*none.* where there is no FITS file"):
        load(overrides=observed("archive") | local, root=ROOT)
    with pytest.raises(UserError, match="is `archive`, which needs `archive.service: local` with a folder"):
        load(overrides=observed("archive"), root=ROOT)
    with pytest.raises(UserError, match="`archive.local` is 5, but should be a section"):
        load(overrides=observed("archive") | {"archive": {"service": "local", "local": 5}}, root=ROOT)
