"""Every figure's script by its command line: good input draws, bad input is one sentence."""

import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from catalog_fixtures import arguments, catalog_paths, write_inputs
from PIL import Image

from skyloom.errors import UserError
from skyloom.files import read_table, write_json, write_table
from skyloom.learn.datasets import SPLITS, Samples, write_dataset

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("plot_*.py"))


def draw(script: str, **options) -> None:
    importlib.import_module(script).main(arguments({key.replace("_", "-"): value for key, value in options.items()}))


def a_figure(path) -> Image.Image:
    """Return a figure; it is one if it is a PNG with more than a few colours."""
    image = Image.open(path)
    assert image.format == "PNG" and "Software" not in image.info
    assert len(image.convert("RGB").getcolors(1 << 24)) > 5
    return image


@pytest.fixture
def built(tmp_path):
    """Return the inputs of build_catalog and the catalog's paths."""
    import build_catalog

    inputs = write_inputs(tmp_path)
    outputs = catalog_paths(tmp_path)
    options = {key: value for key, value in inputs.items() if key != "cutouts"} | outputs
    options |= {"case": "disk_winds", "config-hash": "abc", "columns": str(ROOT / "resources" / "columns.yaml")}
    build_catalog.main(arguments(options))
    return inputs, outputs


def test_candidates(built, tmp_path, capsys):
    inputs, outputs = built
    figure = str(tmp_path / "best.png")
    draw("plot_candidates", catalog=outputs["ecsv"], cutouts=inputs["cutouts"], output=figure)
    assert a_figure(figure).width == 1200
    assert "8 cutouts" in capsys.readouterr().out
    again = str(tmp_path / "again.png")
    draw("plot_candidates", catalog=outputs["ecsv"], cutouts=inputs["cutouts"][::-1], output=again)
    assert Path(figure).read_bytes() == Path(again).read_bytes()


def test_mistakes_and_native_view(built, tmp_path):
    inputs, outputs = built
    for pick in ("best", "mistakes"):
        figure = str(tmp_path / f"{pick}.png")
        draw(
            "plot_candidates",
            catalog=outputs["ecsv"],
            cutouts=inputs["cutouts"],
            pick=pick,
            view="native",
            columns="2",
            rows="1",
            output=figure,
        )
        assert a_figure(figure).width > 0


def test_candidates_of_an_empty_catalog(built, tmp_path, capsys):
    inputs, outputs = built
    write_table(outputs["ecsv"], read_table(outputs["ecsv"])[:0])
    draw("plot_candidates", catalog=outputs["ecsv"], cutouts=inputs["cutouts"], output=str(tmp_path / "none.png"))
    a_figure(tmp_path / "none.png")
    assert "0 cutouts" in capsys.readouterr().out


def test_candidates_mistakes_of_users(built, tmp_path):
    inputs, outputs = built
    figure = str(tmp_path / "no.png")
    with pytest.raises(UserError, match="is in none of the files of cutouts"):
        draw("plot_candidates", catalog=outputs["ecsv"], cutouts=inputs["cutouts"][:1], output=figure)
    with pytest.raises(UserError, match="has no column `id`"):
        draw("plot_candidates", catalog=inputs["labels"][0], cutouts=inputs["cutouts"], output=figure)
    with pytest.raises(UserError, match="should be at least 1"):
        draw("plot_candidates", catalog=outputs["ecsv"], cutouts=inputs["cutouts"], rows="0", output=figure)
    assert not Path(figure).exists()


def test_sky(built, tmp_path):
    inputs, outputs = built
    draw("plot_sky", fields=inputs["fields"], catalog=outputs["ecsv"], output=str(tmp_path / "sky.png"))
    a_figure(tmp_path / "sky.png")
    with pytest.raises(UserError, match="has no column `status`"):
        draw("plot_sky", fields=inputs["objects"], catalog=outputs["ecsv"], output=str(tmp_path / "no.png"))


def test_augmentation(tmp_path, capsys):
    rng = np.random.default_rng(1)

    def samples(names: list[str], origin: list[str]) -> Samples:
        n = len(names)
        x = rng.normal(0, 1, (n, 16, 16, 3)).astype(np.float32)
        return Samples(x, np.ones(n, np.int8), np.array(names), np.array(names), np.array(origin))

    splits = dict.fromkeys(SPLITS, samples(["z"], ["cutout"]))
    splits["train"] = samples(["a", "b", "a#0", "b#0", "a|b"], ["cutout", "cutout", "copy", "copy", "pair"])
    write_dataset(tmp_path / "d.h5", splits, {"case": "disk_winds", "seed": 1, "config_hash": "", "version": ""})
    draw("plot_augmentation", dataset=str(tmp_path / "d.h5"), output=str(tmp_path / "a.png"))
    a_figure(tmp_path / "a.png")
    assert "1 examples" in capsys.readouterr().out
    (tmp_path / "bad.h5").write_text("no HDF5")
    with pytest.raises(UserError, match="cannot be read as a training set"):
        draw("plot_augmentation", dataset=str(tmp_path / "bad.h5"), output=str(tmp_path / "no.png"))


def test_metrics(tmp_path):
    from dataclasses import asdict

    from skyloom.learn import metrics

    label, probability = np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.6, 0.7])
    content = {
        "model": "windnet",
        "threshold": 0.5,
        "confusion": asdict(metrics.confusion(label, probability >= 0.5)),
        "values": {"roc_auc": {"value": 0.75}, "pr_auc": {"value": 0.8}, "calibration_error": {"value": 0.1}},
        "reliability": metrics.reliability(label, probability, 10, 0.68),
        **metrics.curves(label, probability),
    }
    write_json(tmp_path / "one.json", content)
    write_json(tmp_path / "two.json", content | {"model": "thesis_cnn"})
    figures = {name: str(tmp_path / f"{name}.png") for name in ("confusion", "curves", "reliability")}
    draw("plot_metrics", metrics=[str(tmp_path / "one.json"), str(tmp_path / "two.json")], **figures)
    for path in figures.values():
        a_figure(path)
    (tmp_path / "bad.json").write_text(json.dumps({"model": "x"}))
    with pytest.raises(UserError, match="has no `threshold`, so it is not a metrics file"):
        draw("plot_metrics", metrics=[str(tmp_path / "bad.json")], **figures)


def test_training(tmp_path):
    path = tmp_path / "windnet_0.history.csv"
    path.write_text("epoch,loss,val_loss,accuracy,learning_rate\n1,0.5,0.6,0.7,1e-3\n2,0.4,0.5,0.8,1e-3\n")
    draw("plot_training", histories=[str(path)], output=str(tmp_path / "t.png"), text=str(tmp_path / "t.md"))
    a_figure(tmp_path / "t.png")
    assert "| windnet | 0.7000 | 0.8000 | 0.8000 |" in (tmp_path / "t.md").read_text()
    path.write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(UserError, match="has no column `val_loss`"):
        draw("plot_training", histories=[str(path)], output=str(tmp_path / "no.png"))
    path.write_text("epoch,loss,val_loss,accuracy,learning_rate\n")
    with pytest.raises(UserError, match="has no epochs"):
        draw("plot_training", histories=[str(path)], output=str(tmp_path / "no.png"))


def test_archive_counts(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("step,keyword,observations,files\narchive,any,10,0\npublic,any,8,0\nproducts,any,8,24\n")
    draw("plot_archive_counts", counts=str(path), output=str(tmp_path / "c.png"))
    a_figure(tmp_path / "c.png")
    path.write_text("step,keyword\n")
    with pytest.raises(UserError, match="has no column `observations`"):
        draw("plot_archive_counts", counts=str(path), output=str(tmp_path / "no.png"))


def test_tuning(tmp_path):
    trials = Table(
        {
            "optimizer": ["adam", "sgd"],
            "learning_rate": [1e-3, 1e-2],
            "val_loss": MaskedColumn([0.2, 0.0], mask=[False, True]),
            "state": ["complete", "failed"],
        }
    )
    write_table(tmp_path / "tune.csv", trials)
    draw("plot_tuning", table=str(tmp_path / "tune.csv"), output=str(tmp_path / "t.png"))
    a_figure(tmp_path / "t.png")
    write_table(tmp_path / "tune.csv", trials[["optimizer", "state"]])
    with pytest.raises(UserError, match="has no column `learning_rate`"):
        draw("plot_tuning", table=str(tmp_path / "tune.csv"), output=str(tmp_path / "no.png"))


def test_ablation(tmp_path):
    rows = [("everything", "test", 3, 0.95, 0.01, 0.9, 0.01), ("no_flips", "test", 3, 0.93, 0.02, 0.85, 0.02)]
    names = ["variant", "split", "repeats", "pr_auc", "pr_auc_std", "f1", "f1_std"]
    path = str(tmp_path / "ablation.csv")
    write_table(path, Table(rows=rows, names=names))
    draw("plot_ablation", table=path, output=str(tmp_path / "a.png"))
    a_figure(tmp_path / "a.png")
    with pytest.raises(UserError, match="needs `everything` and another variant on the split `validation`"):
        draw("plot_ablation", table=path, split="validation", output=str(tmp_path / "no.png"))
    with pytest.raises(UserError, match="has no column `recall`"):
        draw("plot_ablation", table=path, measures=["recall"], output=str(tmp_path / "no.png"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_quick(script):
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "(PNG)" in done.stdout
    # The promise is one second; processor time, as others may be at work.
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime < 3


def test_every_figure_and_table_of_the_report_has_a_caption():
    named = {
        line.partition('"../report/')[2].partition('"')[0]
        for path in (ROOT / "rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if "caption=" in line
    }
    captions = {path.name for path in (ROOT / "report").glob("*.rst")}
    assert named and named <= captions and "workflow.rst" in captions
    from docutils.core import publish_string
    from jinja2 import Template

    class Job:
        rule = "rule"
        wildcards = type("Wildcards", (), {"case": "disk_winds", "archive": "embedded", "split": "test"})

    for path in (ROOT / "report").glob("*.rst"):
        text = Template(path.read_text()).render(snakemake=Job)
        # Level 2: a warning in the markup stops the test.
        publish_string(text, writer="null", settings_overrides={"halt_level": 2, "report_level": 5})
        assert (
            "{{" not in text
            and "disk_winds" in text
            or path.stem in ("workflow", "acknowledgement", "counts", "resources")
        )
