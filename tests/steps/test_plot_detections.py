"""The figures of a search, plot_detections and plot_cube, by their command lines."""

import pytest
from cube_fixtures import CASE, SEARCH, calibrate, detect, networks, simulate, step, write_pair
from PIL import Image

from skyloom.errors import UserError
from skyloom.files import read_table, write_table

FIGURES = ("completeness", "differences", "coverage")


def a_figure(path):
    """Return an image after checking that it is one, with something drawn."""
    image = Image.open(path)
    assert image.format == "PNG" and "Software" not in image.info
    assert len(image.convert("RGB").getcolors(1 << 24)) > 5
    return image


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    models = networks(folder)
    truth, found = write_pair(folder, "validation")
    calibration = calibrate(folder, models, [truth], [found])
    return {"folder": folder, "models": models, "calibration": calibration, "truths": truth, "detections": found}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder of files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("page.h5", "page.ecsv", "page.json"):
        (folder / name).write_text("<html>")
    (folder / "other.json").write_text("{}")
    return folder


def score(folder, made, **changes):
    paths = {"scores": folder / "s.json", "residuals": folder / "r.ecsv"}
    inputs = {name: made[name] for name in ("detections", "truths", "calibration")} | changes
    others = {"table": folder / "s.csv", "text": folder / "s.md"}
    step("score_detections", case=CASE, settings=SEARCH, **inputs, **paths, **others)
    return paths


def draw(folder, given):
    figures = {name: folder / f"{name}.png" for name in FIGURES}
    step("plot_detections", **given, **figures)
    return figures


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("drawn")
    given = score(folder, made)
    return given, draw(folder, given)


def test_scores_are_drawn_and_the_same_bytes_each_time(tmp_path, drawn, capsys):
    given, figures = drawn
    assert all(a_figure(path).width > 400 for path in figures.values())
    again = draw(tmp_path, given)
    assert "coverage.png" in capsys.readouterr().out
    for name, path in figures.items():
        assert path.read_bytes() == again[name].read_bytes()


@pytest.mark.parametrize("kept", [0, 1])
def test_few_detections_or_none_are_drawn(tmp_path, made, drawn, kept):
    write_table(tmp_path / "few.ecsv", read_table(made["detections"])[:kept])
    for name, path in draw(tmp_path, score(tmp_path, made, detections=tmp_path / "few.ecsv")).items():
        a_figure(path)
        assert path.read_bytes() != drawn[1][name].read_bytes()


@pytest.mark.parametrize(
    ("option", "file", "message"),
    [
        ("scores", "no.json", "no.json: no such file"),
        ("scores", "page.json", "page.json: not valid JSON"),
        ("scores", "other.json", "other.json: has no `3d`, so it does not hold the scores of a chain"),
        ("residuals", "no.ecsv", "no.ecsv: no such file; it should be residuals"),
        ("residuals", "page.ecsv", "page.ecsv: cannot be read as residuals"),
    ],
)
def test_mistakes_of_scores_are_said(tmp_path, drawn, bad, option, file, message):
    with pytest.raises(UserError, match=message):
        draw(tmp_path, drawn[0] | {option: bad / file})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def searched(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("searched")
    cubes, truth = simulate(folder)
    detect(made["models"], cubes, folder / "found.ecsv")
    return {"cubes": cubes, "truth": truth, "detections": folder / "found.ecsv", "calibration": made["calibration"]}


def test_a_cube_is_drawn_with_what_was_found_in_it(tmp_path, searched, capsys):
    for name in ("a", "b"):
        step("plot_cube", **searched, output=tmp_path / f"{name}.png")
    assert a_figure(tmp_path / "a.png").width > 400
    first = read_table(searched["detections"])
    assert f"cube 0, {sum(first['cube'] == 0)} sources found" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_cube_without_detections_is_drawn(tmp_path, searched, capsys):
    write_table(tmp_path / "none.ecsv", read_table(searched["detections"])[:0])
    step("plot_cube", **searched | {"detections": tmp_path / "none.ecsv"}, output=tmp_path / "a.png")
    a_figure(tmp_path / "a.png")
    assert "cube 0, 0 sources found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "file", "message"),
    [
        ("cubes", "no.h5", "no.h5: no such file"),
        ("cubes", "page.h5", "page.h5: cannot be read as a shard of simulated cubes"),
        ("truth", "page.ecsv", "page.ecsv: cannot be read as truth"),
        ("detections", "no.ecsv", "no.ecsv: no such file; it should be detections"),
        ("calibration", "page.json", "page.json: not valid JSON"),
        ("calibration", "other.json", "other.json: has no .* so it does not hold the calibration"),
    ],
)
def test_mistakes_of_a_cube_are_said(tmp_path, searched, bad, option, file, message):
    with pytest.raises(UserError, match=message):
        step("plot_cube", **searched | {option: bad / file}, output=tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
