"""The steps of the case cherenkov one after the other, by their command lines, on small maps."""

import hashlib
import importlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from cube_fixtures import manifest_row, write_manifest
from unit.test_images_photon_lists import a_list, write_list

from skyloom.archive.manifest import read_manifest
from skyloom.config.load import case_schema
from skyloom.errors import UserError
from skyloom.files import read_json, read_table

CASE = "cherenkov"
PROD5 = Path(__file__).parents[3] / "shared/data/cherenkov/cta-prod5"
SIMULATE = {
    "shards": 1,
    "train": 40,
    "validation": 40,
    "test": 30,
    "published": 10,
    "unseen_gradient": 10,
    "sky": {"sources": [1, 2], "time": [200, 2000], "flux": [2, 10], "offset": [0, 0.8]},
    "observation": {"zenith": [20], "side": 96},
}
EXAMPLES = {"maps": 120, "published": 48}
SEARCH = {"side": 96, "false_rate": 0.1}
CLEANER = {"network": "photon_net", "dataset": "maps", "loss": "photons", "epochs": 4, "batch_size": 8}
POSITION = {"network": "source_net", "dataset": "candidates", "loss": "student_nll", "target": "position", "epochs": 4}


HEATMAP = {"network": "astroai_cleaner", "dataset": "heatmaps", "loss": "cross_entropy", "epochs": 2, "batch_size": 8}
PLACE = {"network": "astroai_regressor", "dataset": "places", "loss": "l1", "target": "place", "epochs": 2}


def step(name: str, *words) -> None:
    importlib.import_module(name).main([str(word) for word in words])


def given(settings: dict, *more) -> list:
    return ["--case", CASE, "--settings", json.dumps(settings), *more]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the paths of all that the chain makes."""
    folder = tmp_path_factory.mktemp("cherenkov")
    paths = SimpleNamespace(folder=folder)
    for split in ("train", "validation", "test", "published"):
        words = ["--seed", 1, "--split", split, "--shard", 0, "--output", folder / f"{split}.h5"]
        step("simulate", *given(SIMULATE), *words, "--truth", folder / f"{split}.truth.ecsv")
    parts = json.dumps({"simulate": SIMULATE, "examples": EXAMPLES, "search": SEARCH})
    examples = ["--case", CASE, "--all-settings", parts, "--seed", 1]
    step("make_examples", *examples, "--dataset", "maps", "--output", folder / "maps.h5")
    train(folder, "cleaner", CLEANER, "maps.h5")
    both = [[folder / f"{split}.{ending}" for split in ("train", "validation")] for ending in ("h5", "truth.ecsv")]
    words = ["--dataset", "candidates", "--models", f"map={folder / 'cleaner.keras'}"]
    words += ["--observations", *both[0], "--truths", *both[1], "--output", folder / "candidates.h5"]
    step("make_examples", *examples, *words)
    train(folder, "position", POSITION, "candidates.h5")
    paths.models = [f"map={folder / 'cleaner.keras'}", f"position={folder / 'position.keras'}"]
    for split in ("validation", "test", "published"):
        words = ["--models", *paths.models, "--observations", folder / f"{split}.h5"]
        words += ["--output", folder / f"{split}.ecsv", "--times", folder / f"{split}.times.csv"]
        step("detect_simulated", *given(SEARCH), *words)
    calibrate(paths, folder / "validation.ecsv")
    score(paths, "test")
    return paths


def train(folder, name: str, settings: dict, dataset: str) -> None:
    words = ["--seed", 1, "--model", name, "--dataset", folder / dataset, "--checkpoint", folder / f"{name}.checkpoint"]
    words += ["--output", folder / f"{name}.keras", "--history", folder / f"{name}.csv"]
    step("train", *given(settings), *words)


def calibrate(paths, detections) -> None:
    folder = paths.folder
    words = ["--detections", detections, "--truths", folder / "validation.truth.ecsv", "--models", *paths.models]
    step("calibrate_detections", *given(SEARCH), *words, "--output", folder / "calibration.json")


def score(paths, split: str) -> None:
    folder = paths.folder
    words = ["--seed", 1, "--detections", folder / f"{split}.ecsv", "--truths", folder / f"{split}.truth.ecsv"]
    words += ["--calibration", folder / "calibration.json", "--scores", folder / f"{split}.json"]
    words += ["--residuals", folder / f"{split}.residuals.ecsv", "--table", folder / f"{split}.csv"]
    step("score_detections", *given(SEARCH), *words, "--text", folder / f"{split}.md")


def test_settings_of_the_case_are_those_of_its_file():
    assert case_schema(CASE).__name__ == "Settings"


def test_bright_sources_are_found_near_where_they_are(made):
    scores = read_json(made.folder / "test.json")
    bright = [row for row in scores["found"]["bins"] if row["low"] >= 50 and row["sources"]]
    found = sum(row["completeness"]["value"] * row["sources"] for row in bright)
    assert found / sum(row["sources"] for row in bright) > 0.8
    assert scores["residuals"]["all"]["median"]["value"] < 0.03
    assert scores["false_rate"]["value"] < 1


def test_detections_say_their_pixel_and_number_of_maps(made):
    table = read_table(made.folder / "test.ecsv")
    assert table.meta["cubes"] == 30
    assert table.meta["pixel"] == pytest.approx(0.025)
    assert np.all(table["photons"] > 0)
    stages = {row["stage"] for row in read_table(made.folder / "test.times.csv")}
    assert stages == {"clean", "peaks", "positions", "all"}


def test_splits_stand_beside_each_other(made):
    score(made, "published")
    words = ["--case", CASE, "--names", "test", "published", "--scores", made.folder / "test.json"]
    words += [made.folder / "published.json", "--table", made.folder / "splits.csv"]
    words += ["--residuals", *(made.folder / f"{split}.residuals.ecsv" for split in ("test", "published"))]
    step("compare_splits", *words, "--text", made.folder / "splits.md")
    table = read_table(made.folder / "splits.csv")
    assert list(table["split"]) == ["test", "published"]
    assert list(table["maps"]) == [30, 10]
    assert "| published | 10 | 10 |" in (made.folder / "splits.md").read_text()


def test_what_no_training_has_seen_is_apart_from_it():
    from skyloom.cases import cherenkov

    usual = cherenkov.Simulate()
    assert cherenkov.other_splits(usual) == ["published", "unseen_zenith", "unseen_gradient"]
    fields = {
        split: [cherenkov.drawn_field(usual, split, number, 1, [20.0])[0] for number in range(40)]
        for split in ("train", "unseen_gradient", "published")
    }
    steep = {split: [np.hypot(*one.background.gradient) for one in some] for split, some in fields.items()}
    assert max(steep["train"]) <= 0.1 <= min(steep["unseen_gradient"])
    assert max(steep["published"]) == 0
    assert [one.time for one in fields["published"]] == pytest.approx([100.0] * 40)
    one_zenith = cherenkov.Simulate(observation={"zenith": [20.0]}, sky={"gradient": [0, 0]})
    assert cherenkov.other_splits(one_zenith) == ["published"]


def test_unseen_zenith_angles_are_between_those_of_the_training(monkeypatch):
    from skyloom.cases import cherenkov

    asked = []
    monkeypatch.setattr(cherenkov, "responses_of", lambda observation, _: asked.append(observation.zenith) or {})
    settings = cherenkov.Simulate(observation={"zenith": [60.0, 20.0, 40.0]}, shards=1, train=1)
    for split in ("train", "unseen_zenith"):
        with pytest.raises(ValueError, match="a must be|high <= 0|low >= high"):
            next(cherenkov.simulate(settings, split, 0, 1, "resources"))
    assert asked == [[60.0, 20.0, 40.0], [30.0, 50.0]]


def test_a_split_that_the_case_has_not_is_refused(tmp_path):
    words = ["--seed", 1, "--split", "unseen_zenith", "--shard", 0, "--output", tmp_path / "a.h5", "--truth", "b.ecsv"]
    with pytest.raises(
        UserError, match="--split unseen_zenith: should be one of train, validation, test, published, u"
    ):
        importlib.import_module("simulate").main(["--case", CASE, "--settings", json.dumps(SIMULATE), *map(str, words)])


def test_scores_for_other_names_are_refused(made):
    words = ["--case", CASE, "--names", "test", "published", "--scores", made.folder / "test.json"]
    words += ["--residuals", made.folder / "test.residuals.ecsv"]
    with pytest.raises(UserError, match="1 files for 2 --names"):
        importlib.import_module("compare_splits").main([*map(str, words), "--table", "a.csv", "--text", "a.md"])


def test_figures_are_drawn(made):
    folder = made.folder
    words = [
        "--scores",
        folder / "test.json",
        "--residuals",
        folder / "test.residuals.ecsv",
        "--maps",
        folder / "test.h5",
    ]
    words += ["--truth", folder / "test.truth.ecsv", "--detections", folder / "test.ecsv"]
    words += ["--calibration", folder / "calibration.json", "--models", *made.models]
    figures = [folder / f"{name}.png" for name in ("location", "bias", "sources")]
    words += ["--location", figures[0], "--bias", figures[1], "--sources", figures[2]]
    step("plot_maps", *words)
    first = [path.read_bytes() for path in figures]
    assert all(content.startswith(b"\x89PNG") for content in first)


@pytest.fixture(scope="module")
def astroai(made):
    """Return the networks as published, by their roles."""
    folder = made.folder
    parts = json.dumps({"simulate": SIMULATE, "examples": EXAMPLES, "search": SEARCH})
    examples = ["--case", CASE, "--all-settings", parts, "--seed", 1]
    step("make_examples", *examples, "--dataset", "heatmaps", "--output", folder / "heatmaps.h5")
    train(folder, "astroai_cleaner", HEATMAP, "heatmaps.h5")
    cleaner = f"heatmap={folder / 'astroai_cleaner.keras'}"
    words = ["--dataset", "places", "--models", cleaner, "--observations", folder / "train.h5"]
    words += ["--truths", folder / "train.truth.ecsv", "--output", folder / "places.h5"]
    step("make_examples", *examples, *words)
    train(folder, "astroai_regressor", PLACE | {"flip_online": False}, "places.h5")
    return [cleaner, f"place={folder / 'astroai_regressor.keras'}"]


def test_the_published_networks_give_one_place_a_map(made, astroai):
    output = made.folder / "astroai_published.ecsv"
    words = ["--models", *astroai, "--maps", made.folder / "published.h5", "--output", output]
    step("detect_with_astroai", *given(SEARCH), *words)
    table = read_table(output)
    assert list(table["cube"]) == list(range(10))
    assert table.meta["cubes"] == 10 and table.meta["pixel"] == pytest.approx(0.025)
    assert np.all((table["x"] > -1) & (table["x"] < 96) & (table["y"] > -1) & (table["y"] < 96))
    assert np.all(np.isfinite(table["score"]))


def test_examples_of_places_are_where_the_sources_are(made, astroai):
    import h5py

    with h5py.File(made.folder / "places.h5") as file:
        images, targets = file["train/x"][:], file["train/y"][:, 0]
    assert images.shape == (96, 96, 96, 1)
    assert images.min() >= 0 and images.max() <= 1
    assert np.all((targets > 0) & (targets < 1))
    np.testing.assert_array_equal(images[1], images[0].swapaxes(0, 1))


def test_estimators_are_put_beside_the_chain(made):
    folder = made.folder
    names = ["excess_map", "likelihood_fit"]
    simulate = {key: SIMULATE[key] for key in ("sky", "observation")}
    for name in names:
        for split in ("validation", "test", "published"):
            words = ["--seed", 1, "--estimator", name, "--maps", folder / f"{split}.h5"]
            step("detect_with_gammapy", *given(simulate), *words, "--output", folder / f"{name}_{split}.ecsv")
    words = ["--seed", 1, "--names", "chain", *names, "--times", folder / "test.times.csv"]
    for split in ("validation", "test", "published"):
        words += [f"--{split}", folder / f"{split}.ecsv", *(folder / f"{name}_{split}.ecsv" for name in names)]
        words += [f"--{split}-truths", folder / f"{split}.truth.ecsv"]
    words += ["--table", folder / "peers.csv", "--text", folder / "peers.md", "--figure", folder / "peers.png"]
    step("compare_estimators", *given(SEARCH), *words)
    table = read_table(folder / "peers.csv")
    assert list(table["name"]) == ["chain", *names]
    assert np.all(table["published_median"] < 0.2)
    assert "| likelihood_fit |" in (folder / "peers.md").read_text()
    fit = read_table(folder / "likelihood_fit_published.ecsv")
    truth = read_table(folder / "published.truth.ecsv")
    best = [fit[fit["cube"] == row["cube"]][0] for row in truth]
    distance = [np.hypot(one["x"] - row["x"], one["y"] - row["y"]) for one, row in zip(best, truth, strict=True)]
    assert np.median(distance) < 2


def test_photon_lists_of_the_archive_are_searched(made, tmp_path):
    settings = {"simulate": SIMULATE, "embedded": {"fields": 2, "shards": 1}}
    words = ["--case", CASE, "--all-settings", json.dumps(settings), "--seed", 3, "--shard", 0]
    words += ["--products", tmp_path / "archive.tar", "--obscore", tmp_path / "archive.obscore.ecsv"]
    step("simulate_cube_archive", *words, "--truth", tmp_path / "truth.ecsv")
    rows = []
    with tarfile.open(tmp_path / "archive.tar") as tar:
        for member in tar:
            (tmp_path / member.name).write_bytes(tar.extractfile(member).read())
            rows.append(manifest_row(tmp_path / member.name))
    wrong = tmp_path / "text.dl3.fits"
    wrong.write_text("no photons")
    manifest = write_manifest(tmp_path / "manifest.ecsv", [*rows, manifest_row(wrong)])
    words = ["--manifest", manifest, "--models", *made.models, "--calibration", made.folder / "calibration.json"]
    tables = {name: tmp_path / f"{name}.ecsv" for name in ("objects", "predictions", "fields")}
    step("search", *given(SEARCH), *words, *(word for name, path in tables.items() for word in (f"--{name}", path)))

    fields = read_table(tables["fields"])
    assert list(fields["status"]) == ["kept", "kept", "dropped"]
    assert "text.dl3.fits" in fields["filename"][2] and fields["reason"][2]
    objects, predictions = read_table(tables["objects"]), read_table(tables["predictions"])
    assert list(objects["object_id"]) == list(predictions["object_id"])
    assert (objects["ra"].unit, objects["radius95"].unit, objects["photons"].unit) == ("deg", "deg", "ct")
    assert np.all(objects["radius95"] > objects["radius68"])
    truth = read_table(tmp_path / "truth.ecsv")
    found = SkyCoord(objects["ra"], objects["dec"])
    bright = truth[truth["snr"] > 20]
    assert len(bright) > 0
    distance = SkyCoord(bright["ra"], bright["dec"]).match_to_catalog_sky(found)[1].deg
    # So short a training measures no fine positions, and two sources that are near each other may be one.
    assert np.mean(distance < 0.1) > 0.7


def test_lists_with_near_pointings_are_searched_together_too(made, tmp_path):
    center = (83.6, 22.0)
    lists = {"north.fits": (83.6, 22.3), "south.fits": (83.6, 21.7), "far.fits": (120.0, 22.0)}
    rng = np.random.default_rng(1)
    for number, (name, pointing) in enumerate(lists.items()):
        field = a_list(pointing, 4000, seed=number)
        source = a_list(center, 150, seed=number + 10, spread=0.05)
        both = {part: np.concatenate([getattr(one, part) for one in (field, source)]) for part in ("ra", "dec")}
        energy = np.exp(rng.uniform(np.log(0.03), np.log(5), 4150))
        ra, dec = pointing
        write_list(tmp_path / name, replace(field, **both, energy=energy), RA_PNT=ra, DEC_PNT=dec, OBS_ID=number)
    (tmp_path / "text.fits").write_text("no photons")
    manifest = tmp_path / "manifest.ecsv"
    write_manifest(manifest, [manifest_row(tmp_path / name, simulated=False) for name in (*lists, "text.fits")])
    words = ["--manifests", manifest, "--folder", tmp_path / "stacks", "--manifest", tmp_path / "stacks.ecsv"]
    step("stack_photons", *given({"within": 1.0}), *words)
    stacks = read_table(tmp_path / "stacks.ecsv")
    assert len(stacks) == 1 and not stacks["simulated"][0]

    words = ["--manifest", tmp_path / "stacks.ecsv", "--models", *made.models]
    words += ["--calibration", made.folder / "calibration.json"]
    tables = {name: tmp_path / f"{name}.ecsv" for name in ("objects", "predictions", "fields")}
    step("search", *given(SEARCH), *words, *(word for name, path in tables.items() for word in (f"--{name}", path)))
    fields, objects = read_table(tables["fields"]), read_table(tables["objects"])
    assert list(fields["status"]) == ["kept"] and fields["livetime"][0] == pytest.approx(180)
    assert (fields["ra"][0], fields["dec"][0]) == pytest.approx(center, abs=0.02)
    assert set(objects["lists"]) == {2} and set(objects["sha256"]) == {stacks["sha256"][0]}
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()[:16] for name in lists}
    assert set(objects["parts"]) == {f"north.fits:{digests['north.fits']};south.fits:{digests['south.fits']}"}
    apart = SkyCoord(objects["ra"], objects["dec"]).separation(SkyCoord(*center, unit="deg"))
    assert apart.deg.min() < 0.1

    words = ["--manifests", manifest, "--folder", tmp_path / "none", "--manifest", tmp_path / "none.ecsv"]
    for within in (0.1, None):
        step("stack_photons", *given({"within": within}), *words)
        assert len(read_manifest(tmp_path / "none.ecsv")) == 0 and not list((tmp_path / "none").iterdir())


@pytest.mark.skipif(not PROD5.is_dir(), reason="the responses of CTAO prod5 are not here")
def test_maps_are_simulated_with_the_response_of_a_file(tmp_path):
    sky = {"sources": [1, 1], "time": [600, 600], "flux": [1, 1], "offset": [0, 0.5], "index": [2.5, 2.5]}
    observation = {"irfs": [str(PROD5 / "*North*.fits.gz")], "energy": [0.1, 10], "side": 96}
    changed = {"shards": 1, "test": 3, "sky": sky, "observation": observation}
    words = ["--seed", 1, "--split", "test", "--shard", 0, "--output", tmp_path / "test.h5"]
    step("simulate", *given(changed), *words, "--truth", tmp_path / "truth.ecsv")
    truth = read_table(tmp_path / "truth.ecsv")
    # One Crab above 0.1 TeV is some 5 photons a second for this array.
    assert len(truth) == 3 and np.all((truth["counts"] > 300) & (truth["counts"] < 10000))
    assert np.all(truth["snr"] > 20)


def test_simulations_are_the_same_whatever_the_shards(made, tmp_path):
    from skyloom.images import map_store

    changed = SIMULATE | {"shards": 3}
    words = ["--seed", 1, "--split", "test", "--shard", 2, "--output", tmp_path / "part.h5"]
    step("simulate", *given(changed), *words, "--truth", tmp_path / "part.ecsv")
    whole = dict(map_store.read(made.folder / "test.h5"))
    part = dict(map_store.read(tmp_path / "part.h5"))
    assert set(part) == set(range(2, 30, 3))
    assert all(np.array_equal(part[number].counts, whole[number].counts) for number in part)


def test_mistakes_are_told_in_a_sentence(made, tmp_path):
    folder = made.folder
    words = ["--seed", 1, "--maps", folder / "test.h5", "--output", tmp_path / "found.ecsv"]
    with pytest.raises(UserError, match="--estimator: there is no `magic`"):
        step("detect_with_gammapy", *given({}), "--estimator", "magic", *words)
    words[3] = tmp_path / "none.h5"
    with pytest.raises(UserError, match="none.h5: no such file"):
        step("detect_with_gammapy", *given({}), "--estimator", "excess_map", *words)
    lost = {"observation": {"irfs": ["nowhere.fits"]}}
    words = [
        "--seed",
        1,
        "--split",
        "test",
        "--shard",
        0,
        "--output",
        tmp_path / "a.h5",
        "--truth",
        tmp_path / "a.ecsv",
    ]
    with pytest.raises(UserError, match="nowhere.fits: no such file"):
        step("simulate", *given(lost), *words)
    assert not (tmp_path / "a.h5").exists()
