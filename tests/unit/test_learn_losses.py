import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from skimage.metrics import structural_similarity

from skyloom.learn import backend

backend.start(1)

import keras  # noqa: E402  (it reads its environment when it is imported)

from skyloom.learn import losses  # noqa: E402
from skyloom.learn.losses import LOSSES  # noqa: E402

MAPS = ("l1_ssim", "msle", "focal", "cross_entropy", "dice", "dice_cross_entropy", "focal_cross_entropy", "l1")
HALF_LOG_2_PI = 0.5 * np.log(2 * np.pi)


def value(loss, y_true, y_pred, weights=None):
    y_true, y_pred = (np.asarray(array, np.float32) for array in (y_true, y_pred))
    return float(keras.ops.convert_to_numpy(loss(y_true, y_pred, weights)))


def samples(name, count, seed):
    """Return targets and predictions that a loss takes."""
    random = np.random.default_rng(seed)
    if name in MAPS:
        return centres(random, count), random.uniform(0.01, 0.99, (count, 16, 20, 1))
    if name == "photons":
        counts = random.poisson(9, (count, 8, 10, 1)) + 1.0
        return random.binomial(counts.astype(int), 0.3), np.concatenate([0.2 * counts, counts], axis=-1)
    if name in ("gaussian_nll", "student_nll"):
        return random.normal(size=(count, 1)), random.normal(size=(count, 2))
    if name == "logistic":
        return random.integers(0, 2, (count, 1)), random.normal(size=(count, 1))
    if name == "categorical":
        return np.eye(3)[random.integers(0, 3, count)], random.normal(size=(count, 3))
    twice = random.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(twice), np.sin(twice)], axis=1), random.normal(size=(count, 3))


def centres(random, count, height=16, width=20, shift=0.0):
    """Return maps with a Gaussian around one pixel, or around a point `shift` beside it."""
    y, x = np.mgrid[:height, :width]
    places = random.integers(4, min(height, width) - 4, (count, 2)) + shift
    return np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 8) for a, b in places])[..., None]


@pytest.mark.parametrize("name", LOSSES)
def test_a_sample_weighs_what_its_weight_says(name):
    y_true, y_pred = samples(name, 5, 1)
    loss, weights = LOSSES[name](), np.array([0, 1, 2.5, 1, 0.5], np.float32)
    alone = [value(loss, y_true[n : n + 1], y_pred[n : n + 1]) for n in range(5)]
    assert value(loss, y_true, y_pred) == pytest.approx(np.mean(alone), rel=1e-5)
    for shape in ((5,), (5, 1)):
        assert value(loss, y_true, y_pred, weights.reshape(shape)) == pytest.approx(np.mean(weights * alone), rel=1e-5)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_the_gradient_is_finite_where_a_network_is_quite_sure(name, extreme):
    random = np.random.default_rng(2)
    y_true = np.concatenate([centres(random, 2), np.zeros((1, 16, 20, 1)), np.ones((1, 16, 20, 1))])
    image = keras.Input((16, 20, 1))
    model = keras.Model(image, keras.layers.Dense(1, activation="hard_sigmoid")(image))
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    model.compile(keras.optimizers.SGD(1e-3), LOSSES[name]())
    given = np.where(extreme, 1, -1) * random.uniform(2.5, 30, y_true.shape)
    assert np.isfinite(model.train_on_batch(given, y_true))
    assert np.isfinite(np.concatenate([weight.ravel() for weight in model.get_weights()])).all()


@pytest.mark.parametrize(("name", "outputs"), [("gaussian_nll", 2), ("angle_nll", 3)])
@pytest.mark.parametrize("log_variance", [-1e4, 1e4, 0])
def test_the_gradient_is_finite_for_any_log_variance(name, outputs, log_variance):
    y_true, _ = samples(name, 4, 3)
    given = keras.Input((outputs,))
    model = keras.Model(given, keras.layers.Dense(outputs, kernel_initializer="identity")(given))
    model.compile(keras.optimizers.SGD(1e-9), LOSSES[name]())
    predictions = np.zeros((4, outputs), np.float32)
    predictions[:, -1] = log_variance
    assert np.isfinite(model.train_on_batch(predictions, y_true.astype(np.float32)))
    assert np.isfinite(np.concatenate([weight.ravel() for weight in model.get_weights()])).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 5, 7]), st.floats(0, 1), st.sampled_from([1, 2]))
def test_the_structural_similarity_is_that_of_scikit_image(seed, window, likeness, channels):
    random = np.random.default_rng(seed)
    first = random.uniform(size=(3, 12, 15, channels)).astype(np.float32)
    second = (likeness * first + (1 - likeness) * random.uniform(size=first.shape)).astype(np.float32)
    wanted = [
        np.abs(a - b).mean() + 1 - structural_similarity(a, b, win_size=window, data_range=1.0, channel_axis=-1)
        for a, b in zip(first.astype(float), second.astype(float), strict=True)
    ]
    assert value(losses.L1SSIM(window), first, second) == pytest.approx(np.mean(wanted), abs=2e-4)
    assert value(losses.L1SSIM(window), first, first) == pytest.approx(0, abs=1e-5)


def test_focal_is_equation_1_of_zhou_2019():
    random = np.random.default_rng(4)
    y, p = centres(random, 3), random.uniform(0.01, 0.99, (3, 16, 20, 1))
    y[0] = np.maximum(y[0], y[1])  # two centres, or one where they are the same
    positive = y == 1
    terms = np.where(positive, (1 - p) ** 2 * np.log(p), (1 - y) ** 4 * p**2 * np.log(1 - p))
    wanted = np.mean(-terms.sum(axis=(1, 2, 3)) / positive.sum(axis=(1, 2, 3)))
    assert value(LOSSES["focal"](), y, p) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("shift", [0.2, 0.4, 0.5])
def test_focal_knows_centres_between_pixels(shift):
    y = centres(np.random.default_rng(5), 4, shift=shift)
    assert y.max() < 1
    likely, unlikely = np.where(y > 0.9, 0.9, 0.01), np.full(y.shape, 0.01)
    assert value(LOSSES["focal"](), y, likely) < 0.3 * value(LOSSES["focal"](), y, unlikely)


def test_focal_of_an_empty_map_asks_for_nothing_but_silence():
    empty = np.zeros((2, 16, 20, 1))
    quiet, loud = (value(LOSSES["focal"](), empty, np.full(empty.shape, p)) for p in (0.001, 0.5))
    assert 0 <= quiet < 1e-3 < loud


def test_focal_cross_entropy_is_equation_4_of_lin_2017_and_bids_what_is_likely():
    random = np.random.default_rng(6)
    y, p = random.integers(0, 2, (3, 8, 9, 1)), random.uniform(0.01, 0.99, (3, 8, 9, 1))
    right = np.where(y == 1, p, 1 - p)
    assert value(LOSSES["focal_cross_entropy"](), y, p) == pytest.approx(
        np.mean(-((1 - right) ** 2) * np.log(right)), 1e-4
    )
    # Emission of one pixel in two is as likely as not, whatever the pixels without any are.
    given = np.zeros((1, 8, 8, 1))
    given[0, ::2] = 1
    shares = np.linspace(0.02, 0.98, 97)
    found = [value(LOSSES["focal_cross_entropy"](), given, np.full(given.shape, share)) for share in shares]
    assert shares[np.argmin(found)] == pytest.approx(0.5, abs=0.011)


def test_dice_is_the_overlap_of_map_and_mask():
    mask = np.zeros((1, 8, 8, 1))
    mask[0, 2:6, 2:6] = 1
    dice = LOSSES["dice"](smooth=0.0)
    assert value(dice, mask, mask) == pytest.approx(0)
    assert value(dice, mask, 1 - mask) == pytest.approx(1)
    half = np.where(np.arange(8)[None, :, None, None] < 4, mask, 0)
    assert value(dice, mask, half) == pytest.approx(1 - 2 * 8 / (16 + 8))


def test_dice_of_an_empty_mask_asks_for_silence():
    empty = np.zeros((1, 64, 64, 1))
    quiet, loud = (value(LOSSES["dice"](), empty, np.full(empty.shape, p)) for p in (0.001, 0.5))
    assert 0 <= quiet < 0.1 and loud > 0.9


def test_dice_with_cross_entropy_is_the_sum_of_both():
    y, p = (np.random.default_rng(n).random((2, 6, 6, 1)) for n in (0, 1))
    parts = value(LOSSES["dice"](), y, p) + 2 * value(LOSSES["cross_entropy"](), y, p)
    assert value(LOSSES["dice_cross_entropy"](), y, p) == pytest.approx(parts, rel=1e-5)


def test_cross_entropy_is_least_at_the_share_of_positives():
    y = np.zeros((1, 10, 10, 1))
    y[:, :2] = 1  # a share of 0.2
    grid = np.linspace(0.02, 0.98, 49)

    def best(weight):
        return grid[np.argmin([value(losses.CrossEntropy(weight), y, np.full(y.shape, p)) for p in grid])]

    assert best(1.0) == pytest.approx(0.2, abs=0.011)
    assert best(4.0) == pytest.approx(0.5, abs=0.011)
    expected = -0.2 * np.log(0.3) - 0.8 * np.log(0.7)
    assert value(losses.CrossEntropy(), y, np.full(y.shape, 0.3)) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-6, 5))
def test_gaussian_nll_is_the_likelihood_of_a_gaussian(truth, mean, log_variance):
    wanted = -stats.norm.logpdf(truth, mean, np.exp(log_variance / 2)) - HALF_LOG_2_PI
    assert value(LOSSES["gaussian_nll"](), [[truth]], [[mean, log_variance]]) == pytest.approx(
        wanted, rel=1e-4, abs=1e-4
    )


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-6, 5), st.sampled_from([2.0, 4.0, 30.0]))
def test_student_nll_is_the_likelihood_of_students_t(truth, middle, log_scale, degrees):
    exact = -stats.t.logpdf(truth, degrees, middle, np.exp(log_scale / 2))
    constant = -stats.t.logpdf(0, degrees)
    found = value(losses.StudentNLL(degrees), [[truth]], [[middle, log_scale]])
    assert found == pytest.approx(exact - constant, rel=1e-4, abs=1e-4)


def test_msle_is_that_of_the_logarithms_of_one_plus_the_value():
    random = np.random.default_rng(8)
    y, found = random.uniform(0, 1, (2, 3, 8, 8, 1))
    wanted = np.mean((np.log(1 + y) - np.log(1 + found)) ** 2)
    assert value(LOSSES["msle"](), y, found) == pytest.approx(wanted, rel=1e-5)


def test_an_outlier_costs_student_nll_little():
    far = [value(LOSSES[name](), [[3.0]], [[0.0, -8.0]]) for name in ("gaussian_nll", "student_nll")]
    assert far[0] > 10_000 and far[1] < 30


@settings(max_examples=30, deadline=None)
@given(st.floats(0, np.pi), st.floats(0, np.pi), st.floats(-8, 5), st.sampled_from([0.0, 0.01, 0.5]))
def test_angle_nll_is_the_likelihood_of_a_direction_or_of_none(truth, angle, log_variance, outliers):
    y = [[np.cos(2 * truth), np.sin(2 * truth)]]
    # Half of 1e-30 more or less does not matter, but the logarithm of none at all is minus infinity.
    density = 2 * np.pi * stats.vonmises.pdf(2 * truth, np.exp(-log_variance), loc=2 * angle)
    wanted = -np.log(np.maximum((1 - outliers) * density + outliers, 1e-30))
    given = [[np.cos(2 * angle), np.sin(2 * angle), log_variance]]
    found = value(losses.AngleNLL(outliers=outliers), y, given)
    assert min(found, 69) == pytest.approx(min(wanted, 69), rel=2e-3, abs=2e-3)


def test_angle_nll_does_not_see_half_a_turn_and_holds_the_vector_at_length_one():
    loss, angles = LOSSES["angle_nll"](), np.radians([179.0, -1.0, 359.0])
    truth = [[np.cos(np.radians(4)), np.sin(np.radians(4))]]  # an angle of 2 degrees
    near = [value(loss, truth, [[np.cos(2 * t), np.sin(2 * t), -4.0]]) for t in angles]
    assert near == pytest.approx([near[0]] * 3, abs=1e-4)
    far = value(loss, truth, [[np.cos(2 * np.radians(92)), np.sin(2 * np.radians(92)), -4.0]])
    assert far == pytest.approx(-np.log(0.01)), "which is what an outlier costs"
    assert value(loss, truth, [[3 * truth[0][0], 3 * truth[0][1], -4.0]]) > value(loss, truth, [[*truth[0], -4.0]]) + 1


def test_a_log_variance_is_least_where_it_is_that_of_the_errors():
    random = np.random.default_rng(6)
    error = random.normal(0, 0.1, 4000)
    grid = np.arange(-8, 2, 0.25)

    def best(predictions, name, y):
        found = [value(LOSSES[name](), y, np.column_stack([predictions, np.full(4000, s)])) for s in grid]
        return np.exp(grid[np.argmin(found)] / 2)

    assert best(error[:, None], "gaussian_nll", np.zeros((4000, 1))) == pytest.approx(0.1, rel=0.15)
    # Of an angle t it is the variance of 2 t.
    turned = np.stack([np.cos(2 * error), np.sin(2 * error)], axis=1)
    assert best(turned, "angle_nll", np.tile([1.0, 0.0], (4000, 1))) == pytest.approx(0.2, rel=0.15)


def test_the_bessel_function_is_that_of_scipy():
    x = np.concatenate([[0], np.geomspace(1e-3, 1e6, 200), [3.74, 3.75, 3.76]]).astype(np.float32)
    found = keras.ops.convert_to_numpy(losses.log_scaled_bessel(x))
    assert found == pytest.approx(np.log(special.i0e(x.astype(float))), abs=3e-6)


def test_the_names_are_those_of_the_configuration():
    assert set(LOSSES) == {
        "l1_ssim",
        "focal",
        "cross_entropy",
        "dice",
        "dice_cross_entropy",
        "focal_cross_entropy",
        "l1",
        "gaussian_nll",
        "student_nll",
        "angle_nll",
        "msle",
        "photons",
        "logistic",
        "categorical",
    }
    assert all(LOSSES[name]().name == name for name in LOSSES)


def test_the_share_of_photons_that_is_best_is_the_true_one():
    counts = np.full((1, 8, 8, 1), 1000.0)
    photons = 0.2 * counts
    shares = np.linspace(0.05, 0.6, 56)
    found = [value(LOSSES["photons"](), photons, np.concatenate([share * counts, counts], -1)) for share in shares]
    assert shares[np.argmin(found)] == pytest.approx(0.2, abs=0.006)


def test_photons_where_nothing_is_counted_cost_nothing_and_sure_shares_are_finite():
    counts = np.zeros((1, 8, 8, 1))
    counts[0, 0] = 5
    sure = value(LOSSES["photons"](), counts, np.concatenate([counts, counts], -1))
    none = value(LOSSES["photons"](), counts, np.concatenate([0 * counts, counts], -1))
    assert 0 <= sure < 1e-3 < none < np.inf


def test_logits_cost_what_the_cross_entropies_say():
    random = np.random.default_rng(5)
    logits, labels = random.normal(size=(6, 1)) * 3, random.integers(0, 2, (6, 1))
    wanted = keras.losses.BinaryCrossentropy(from_logits=True)(labels.astype(np.float32), logits.astype(np.float32))
    assert value(LOSSES["logistic"](), labels, logits) == pytest.approx(float(wanted), rel=1e-5)
    logits, labels = random.normal(size=(6, 3)) * 3, np.eye(3)[random.integers(0, 3, 6)]
    wanted = keras.losses.CategoricalCrossentropy(from_logits=True)(
        labels.astype(np.float32), logits.astype(np.float32)
    )
    assert value(LOSSES["categorical"](), labels, logits) == pytest.approx(float(wanted), rel=1e-5)


def test_sure_logits_are_finite():
    assert value(LOSSES["logistic"](), [[1.0]], [[-300.0]]) == pytest.approx(300)
    assert value(LOSSES["categorical"](), [[1.0, 0, 0]], [[-300.0, 0, 0]]) == pytest.approx(300 + np.log(2))
