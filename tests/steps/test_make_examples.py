import h5py
import numpy as np
import pytest
from cube_fixtures import CASE, INSTRUMENTS, SEARCH, SEED, SIMULATE, networks, simulate, step

from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.learn.datasets import read_attrs, read_split

SETTINGS = {"simulate": SIMULATE, "examples": {"maps": 4, "spectra": 24, "sources": 12}, "search": SEARCH}
COUNTS = {"maps": 4, "spectra": 24, "sources": 12}


def make(path, dataset, **options):
    given = {"case": CASE, "all_settings": SETTINGS, "seed": SEED, "instruments": INSTRUMENTS} | options
    step("make_examples", dataset=dataset, output=path, **given)
    return {split: read_split(path, split) for split in ("train", "validation")}


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """Cubes of every split and their truth."""
    folder = tmp_path_factory.mktemp("cubes")
    return {split: simulate(folder, split) for split in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return networks(tmp_path_factory.mktemp("models"))


def given(cubes, models, *splits):
    return {
        "models": models,
        "observations": [cubes[split][0] for split in splits],
        "truths": [cubes[split][1] for split in splits],
    }


@pytest.fixture(scope="module", params=["spectra", "sources"])
def fine(request, tmp_path_factory, cubes, models):
    """A dataset with what the networks before make of cubes, and its name."""
    some = models[:1] if request.param == "spectra" else models[:2]
    path = tmp_path_factory.mktemp("fine") / "d.h5"
    return make(path, request.param, **given(cubes, some, "train", "validation")), request.param, path


def test_maps_have_their_peaks_where_the_sources_shine(tmp_path):
    made = make(tmp_path / "maps.h5", "maps")
    train = made["train"]
    assert train.x.shape == (4, 48, 48, 2) and train.y.shape == (4, 48, 48, 1) and len(made["validation"]) == 16
    assert set(train.origin) == {"truth"} and not set(train.id) & set(made["validation"].id)
    assert train.y.min() >= 0 and 0.8 < train.y.max() <= 1
    for image, target in zip(train.x[..., 0], train.y[..., 0], strict=True):
        assert image.max() == pytest.approx(1, abs=1e-6)
        brightest = np.unravel_index(np.argmax(image), image.shape)
        assert target[brightest] > 0.5
        assert image[target > 0.7].mean() > image[target < 0.01].mean() + 0.2


def test_spectra_have_their_lines_where_the_target_says(tmp_path):
    made = make(tmp_path / "spectra.h5", "spectra")
    train = made["train"]
    assert train.x.shape == (24, 64, 2) and train.y.shape == (24, 64, 1)
    bright = train.x[..., 1].max(axis=1) > 0.8  # ten times the noise
    assert bright.sum() > 5
    with_line = bright & (train.y[..., 0].max(axis=1) > 0)
    likeness = [
        np.corrcoef(x, y)[0, 1] for x, y in zip(train.x[with_line, :, 0], train.y[with_line, :, 0], strict=True)
    ]
    assert np.median(likeness) > 0.8
    assert not np.array_equal(train.y[:16], made["validation"].y)


def test_sources_have_the_quantities_that_are_told(tmp_path):
    made = make(tmp_path / "sources.h5", "sources")
    train = made["train"]
    assert read_attrs(tmp_path / "sources.h5")["targets"] == "fwhm_major,fwhm_minor,pa_cos,pa_sin,flux"
    assert train.x.shape == (12, 48, 48, 2) and train.y.shape == (12, 5)
    major, minor, cosine, sine, flux = train.y.T
    assert np.all((major >= minor) & (5 * np.exp(major) <= 8) & (5 * np.exp(minor) >= 2))
    assert np.hypot(cosine, sine) == pytest.approx(1, abs=1e-5)
    # The flux over the peak is what a Gaussian beam of 8.24 pixels makes of the sizes, but for noise and sidelobes.
    area = np.sqrt((1 + (5 * np.exp(major) / 8.24) ** 2) * (1 + (5 * np.exp(minor) / 8.24) ** 2))
    snr = 10 ** (2 * train.x[:, 0, 0, 1])
    assert np.median(np.exp(flux) / area) == pytest.approx(1, abs=0.1)
    assert np.all(np.abs(np.exp(flux) / area - 1) < 0.15 + 3 / snr)
    assert np.allclose(train.x[:, 20:29, 20:29, 0].max(axis=(1, 2)), 1, atol=0.15 + 1 / snr.min())


def test_what_the_networks_make_of_cubes_is_added_with_the_truth_of_the_same_cube(fine, cubes):
    made, name, _ = fine
    for split, samples in made.items():
        predicted = samples.take(np.flatnonzero(samples.origin == "predicted"))
        assert len(predicted) and np.sum(samples.origin == "truth") == (COUNTS[name] if split == "train" else 16)
        assert {group.partition(".")[0] for group in predicted.group} == {split}
        assert len(set(predicted.id)) == len(predicted)
        truth = read_table(cubes[split][1])
        for number in range(len(predicted)):
            cube = int(predicted.group[number].rpartition("_")[2])
            rows = truth[truth["cube"] == cube]
            target = predicted.y[number]
            if name == "sources":
                assert np.abs(5 * np.exp(target[0]) - rows["fwhm_major"]).min() < 1e-3
            elif target.max() > 0:
                assert np.abs(np.argmax(target[:, 0]) - np.ma.filled(rows["z"], np.nan))[rows["z"] > 0].min() <= 0.5


def test_the_same_seed_gives_the_same_bytes(tmp_path, fine, cubes, models):
    _, name, path = fine
    some = models[:1] if name == "spectra" else models[:2]
    make(tmp_path / "d.h5", name, **given(cubes, some, "train", "validation"))
    assert (tmp_path / "d.h5").read_bytes() == path.read_bytes()


def test_test_cubes_are_never_learnt_from(tmp_path, cubes, models):
    made = make(tmp_path / "d.h5", "spectra", **given(cubes, models[:1], "test"))
    assert all(set(samples.origin) == {"truth"} for samples in made.values())


def test_networks_that_find_nothing_add_nothing(tmp_path, cubes, models):
    settings = SETTINGS | {"search": SEARCH | {"map_threshold": 1}}
    made = make(tmp_path / "d.h5", "sources", **given(cubes, models[:2], "train"), all_settings=settings)
    assert len(made["train"]) == 12 and set(made["train"].origin) == {"truth"}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder of files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("page.h5", "page.ecsv"):
        (folder / name).write_text("<html>")
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = [1.0]
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda *_: {"all_settings": '{"simulate": '}, "--all-settings: should be JSON with simulate, examples"),
        (lambda *_: {"all_settings": {"simulate": {}}}, "--all-settings: should be JSON with simulate, examples"),
        (lambda *_: {"all_settings": SETTINGS | {"examples": {"map": 3}}}, "did you mean `maps`"),
        (lambda bad, models: {"observations": [bad / "no.h5"]}, "no.h5: no such file"),
        (lambda bad, models: {"observations": [bad / "page.h5"]}, "page.h5: cannot be read as"),
        (
            lambda bad, models: {"observations": [bad / "other.h5"]},
            "other.h5: cannot be read as a shard of simulated cubes",
        ),
        (lambda bad, models: {"truths": [bad / "page.ecsv"]}, "page.ecsv: cannot be read as truth of observations"),
        (lambda bad, models: {"models": ["map=no.keras"]}, "no.keras: no such file"),
        (lambda *_: {"truths": []}, "--truths: 0 for 1 files of --observations; give one for each"),
        (lambda *_: {"models": []}, "no network has the role `map`"),
        (lambda bad, models: {"models": models[:1]}, "no network has the role `lines`"),
        (lambda *_: {"dataset": "spectrum"}, "no `spectrum`; it should be one of maps, spectra, sources"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, cubes, models, bad, change, message):
    options = {"dataset": "sources"} | given(cubes, models[:2], "train") | change(bad, models)
    with pytest.raises(UserError, match=message):
        make(tmp_path / "d.h5", **options)
    assert list(tmp_path.iterdir()) == []
