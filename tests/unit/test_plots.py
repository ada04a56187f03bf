import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from catalog_fixtures import make_cutouts, make_fields, make_objects
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Ellipse
from PIL import Image

from skyloom.plots import ablation, augmentation, counts, gallery, scores, sky, style, training, tuning


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    found += [ax.get_title(loc) for ax in figure.axes for loc in ("left", "center", "right")]
    legends = [legend for ax in figure.axes if (legend := ax.get_legend())] + figure.legends
    return found + [text.get_text() for legend in legends for text in legend.get_texts()]


def a_catalog(n: int = 6) -> Table:
    objects = make_objects(n)
    return Table(
        {
            "id": objects["object_id"],
            "name": [f"SKYL J{i:09d}" for i in range(n)],
            "ra": objects["ra"],
            "dec": objects["dec"],
            "probability": [0.2, 0.9, 0.7, 0.4, 0.95, 0.1][:n],
            "candidate": [False, True, True, False, True, False][:n],
            "known": MaskedColumn([0, 0, 1, 1, 1, 0][:n], mask=[False, False, False, False, False, True][:n]),
            "flags": MaskedColumn(
                ["", "", "", "", "edge;duplicate", ""][:n], mask=[True, True, True, True, False, True]
            ),
        }
    )


def metrics(name: str = "windnet", threshold: float = 0.6) -> dict:
    from dataclasses import asdict

    from skyloom.learn import metrics as measured

    label = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    probability = np.array([0.95, 0.8, 0.4, 0.7, 0.3, 0.2, 0.1, 0.05])
    return {
        "model": name,
        "threshold": threshold,
        "confidence": 0.68,
        "confusion": asdict(measured.confusion(label, probability >= threshold)),
        "values": {"roc_auc": {"value": 0.93}, "pr_auc": {"value": 0.91}, "calibration_error": {"value": 0.123}},
        "reliability": measured.reliability(label, probability, 5, 0.68),
        **measured.curves(label, probability),
    }


def test_equal_figures_give_equal_bytes_and_name_no_program(tmp_path):
    for name in ("one", "two"):
        style.save(tmp_path / f"{name}.png", scores.confusion([metrics()]))
    data = (tmp_path / "one.png").read_bytes()
    assert data == (tmp_path / "two.png").read_bytes()
    assert b"Software" not in data and b"tIME" not in data
    assert Image.open(io.BytesIO(data)).size[1] == 540


def test_colours_are_by_place():
    assert style.colours(["a", "b"]) == {"a": style.PALETTE[0], "b": style.PALETTE[1]}
    assert len(style.colours([f"model {i}" for i in range(20)])) == 20


# Galleries


def test_best_rows_without_copies_of_one_image():
    assert list(gallery.best(a_catalog(), 3)["probability"]) == [0.9, 0.7, 0.4]


def test_mistakes_are_labelled_rows_that_are_wrong():
    assert list(gallery.mistakes(a_catalog(), 10)["probability"]) == [0.9, 0.4]
    assert len(gallery.mistakes(a_catalog()[5:], 10)) == 0


@given(st.floats(1e-4, 1e4))
def test_scale_bar_is_a_nice_length(longest):
    length = gallery.nice_length(longest)
    assert length <= longest * (1 + 1e-6) < 2.5 * length * (1 + 1e-6)
    assert f"{length:.6e}"[0] in "125" and float(f"{length:.6e}"[:8]) in (1, 2, 5)


def test_panels_show_the_rows_cutouts():
    objects = make_objects(6)
    cutouts = make_cutouts(objects)
    shown = gallery.panels(a_catalog()[[3, 1]], cutouts, "native")
    assert np.allclose(shown[0].snr, cutouts.native[3] / cutouts.rms[3], equal_nan=True)
    assert shown[1].marked and not shown[0].marked
    assert shown[0].title == "J000000003\np = 0.40  label: yes"
    assert shown[0].pixel_scale == pytest.approx(0.03)


def test_a_row_without_cutout():
    with pytest.raises(KeyError):
        gallery.panels(a_catalog(), make_cutouts(make_objects(6)).take(np.arange(3)), "scaled")


def test_beam_with_position_angle_90_lies_east_west():
    panel = gallery.Panel(np.ones((50, 50)), (12.0, 4.0, 90.0), 0.1, "title")
    figure = gallery.gallery([panel], 1, 1, "")
    (beam,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    box = beam.get_path().transformed(beam.get_patch_transform()).get_extents()
    assert box.width == pytest.approx(12, rel=0.01) and box.height == pytest.approx(4, rel=0.01)


def test_beam_turns_from_north_to_east():
    panel = gallery.Panel(np.ones((50, 50)), (12.0, 1.0, 30.0), 0.1, "title")
    (beam,) = gallery.gallery([panel], 1, 1, "").axes[0].patches
    path = beam.get_path().transformed(beam.get_patch_transform()).vertices
    tip = path[np.argmax(path[:, 1])] - np.array(beam.center)
    # East is left, so a beam at 30 deg leans to the left at its northern tip.
    assert np.degrees(np.arctan2(-tip[0], tip[1])) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (3, 1), (7, 2), (24, 4)])
def test_gallery_has_no_empty_rows(count, rows):
    panel = gallery.Panel(np.full((20, 20), np.nan), (4.0, 2.0, 0.0), 0.1, "title")
    figure = gallery.gallery([panel] * count, 6, 4, "nothing found")
    assert len(figure.axes) == 6 * rows
    assert ("nothing found" in texts(figure)) == (count == 0)
    assert sum(len(ax.images) for ax in figure.axes) == count


# Augmentation


def test_examples_have_their_own_copies_and_pairs():
    name = np.array(["a", "b", "c", "a#0", "a#1", "b#0", "c#0", "a|b"])
    origin = np.array(["cutout"] * 3 + ["copy"] * 4 + ["pair"])
    label = np.array([1, 1, 0, 1, 1, 1, 0, 1])
    shown = augmentation.examples(name, origin, label, positives=3, negatives=2)
    assert [(example.cutout, example.copies, example.pair) for example in shown] == [(0, [3, 4], 7), (2, [6], None)]
    images = {index: np.zeros((8, 8)) for index in range(len(name))}
    figure = augmentation.augmentation(shown, images, 2)
    assert sum(len(ax.images) for ax in figure.axes) == 6
    assert {"cutout", "copy 1", "copy 2", "mean of a pair", "positive", "negative"} <= set(texts(figure))


def test_no_augmentation_is_said():
    shown = augmentation.examples(np.array(["a"]), np.array(["cutout"]), np.array([1]), 3, 3)
    assert shown == [] and "augmentation is switched off" in texts(augmentation.augmentation(shown, {}, 0))


# Scores


def test_confusion_shows_counts_and_shares():
    figure = scores.confusion([metrics("one"), metrics("two")])
    found = [text.get_text() for text in figure.axes[0].texts]
    # Rows are true classes: positives (2 found, 1 missed), negatives (1 false, 4 right).
    assert found == ["2", "66.7%", "1", "33.3%", "1", "20.0%", "4", "80.0%"]
    assert [ax.get_title("left") for ax in figure.axes] == ["one", "two"]


def test_marked_threshold_has_the_confusion_matrix_rates():
    left, right = scores.curves([metrics()]).axes
    (ring,) = [line for line in left.lines if line.get_markersize() == 9]
    assert ring.get_xydata()[0] == pytest.approx([1 / 5, 2 / 3])
    (ring,) = [line for line in right.lines if line.get_markersize() == 9]
    assert ring.get_xydata()[0] == pytest.approx([2 / 3, 2 / 3])


def test_reliability_counts_every_object():
    top, bottom = scores.reliability([metrics()]).axes
    assert sum(bar.get_height() for bar in bottom.patches) == 8
    assert "windnet, ECE 0.123" in [text.get_text() for text in top.get_legend().get_texts()]


# Training, sky, counts, studies


def test_members_of_a_model_share_a_colour_and_the_best_epoch_is_ringed():
    history = Table(
        {"epoch": [1, 2, 3], "loss": [0.9, 0.5, 0.3], "val_loss": [0.8, 0.4, 0.6], "accuracy": [0.5, 0.9, 0.8]}
    )
    left, _ = training.training([("one", history), ("one", history), ("two", history)]).axes
    rings = [line for line in left.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    assert [tuple(ring.get_xydata()[0]) for ring in rings] == [(2, 0.4)] * 3
    assert [ring.get_markeredgecolor() for ring in rings] == [style.PALETTE[0]] * 2 + [style.PALETTE[1]]


def test_galactic_plane_passes_the_galactic_centre():
    x, y = sky.galactic_plane()
    centre = SkyCoord(0, 0, unit="deg", frame="galactic").icrs
    there = sky._projected(np.array([centre.ra.deg]), np.array([centre.dec.deg]))
    assert np.nanmin(np.hypot(x - there[0], y - there[1])) < 0.01
    assert np.nanmax(np.abs(np.diff(x))) < 1


def test_sky_counts_what_it_shows():
    figure = sky.sky_map(make_fields(), a_catalog())
    assert {"searched fields (5)", "other objects (3)", "candidates (3)", "Galactic plane"} <= set(texts(figure))
    # East is left: right ascension 6 h lies left of the middle.
    assert sky._projected(np.array([90.0]), np.array([0.0]))[0][0] == pytest.approx(-np.pi / 2)


def test_sky_of_nothing():
    assert "candidates (0)" in texts(sky.sky_map(make_fields(1), a_catalog()[:0]))


def test_filter_counts_are_summed_over_keywords_once():
    table = Table(
        rows=[
            ("archive", "a", 5, 0),
            ("archive", "b", 3, 0),
            ("archive", "all", 8, 0),
            ("products", "a", 4, 12),
            ("products", "b", 1, 3),
            ("products", "all", 5, 15),
        ],
        names=["step", "keyword", "observations", "files"],
    )
    figure = counts.filter_counts(table)
    assert [text.get_text() for ax in figure.axes for text in ax.texts] == ["8", "15"]
    assert [ax.get_xlabel().split()[0] for ax in figure.axes] == ["observations", "files"]


def test_best_trial_is_named_and_failures_are_shown():
    trials = Table(
        {
            "optimizer": ["adam", "sgd", "sgd"],
            "learning_rate": [1e-3, 1e-2, 1.0],
            "val_loss": MaskedColumn([0.2, 0.5, 0.0], mask=[False, False, True]),
            "state": ["complete", "complete", "failed"],
        }
    )
    found = texts(tuning.tuning(trials))
    assert "best: adam at 1.0e-03, loss 0.200" in found and "diverged" in found
    assert "diverged" not in texts(tuning.tuning(trials[:2]))


def test_changes_are_against_the_baseline_with_both_errors():
    table = Table(
        {"variant": ["everything", "no_flips"], "repeats": [5, 5], "f1": [0.9, 0.8], "f1_std": [0.06, 0.08]},
    )
    (change,) = ablation.changes(table, "f1", "everything")
    assert change.name == "no flips" and change.value == pytest.approx(-0.1) and change.error == pytest.approx(0.05)
    figure = ablation.ablation({"F1": [change]}, "everything")
    assert figure.axes[0].patches[0].get_width() == pytest.approx(-0.1)
