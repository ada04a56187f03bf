"""What a network is taught to make small: losses of maps, spectra and measured values.

Each is a `keras.losses.Loss` that first gives **one number a sample**, so that a weight a sample, shape (n,), means the
same for a map as for a value; the numbers are then summed and divided by the size of the batch, as Keras does.
"""

import keras
from keras import ops

LOG_VARIANCE = (-12.0, 6.0)
"""Least and greatest log variance that `GaussianNLL` and `AngleNLL` read off a network (sigma of 0.0025 to 20)."""

_SMALL = 1e-7
"""Added to a probability before its logarithm is taken."""


class L1(keras.losses.Loss):
    """Mean absolute difference."""

    def __init__(self, name: str = "l1", **options):
        """Name the loss; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,)."""
        return _mean(ops.abs(y_true - y_pred))


class MSLE(keras.losses.Loss):
    """Mean squared difference of the logarithms of one plus the value."""

    def __init__(self, name: str = "msle", **options):
        """Name the loss; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for values above minus one."""
        return _mean((ops.log1p(y_true) - ops.log1p(y_pred)) ** 2)


class L1SSIM(keras.losses.Loss):
    """Mean absolute difference plus one minus the structural similarity of two maps.

    Parameters
    ----------
    window : int
        Side of the square window [pixel], odd.
    data_range : float
        Difference between the greatest and the least value a map can have.

    Notes
    -----
    The structural similarity is that of Wang et al. (2004, doi:10.1109/TIP.2003.819861, eq. 13) with equal weights in
    the window, unbiased (co)variances, and its constants K1 = 0.01 and K2 = 0.03, averaged over all positions where
    the window lies within the image, and over channels: what scikit-image gives by default.
    """

    def __init__(self, window: int = 3, data_range: float = 1.0, name: str = "l1_ssim", **options):
        """Set the window and the range; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)
        self.window, self.data_range = window, data_range

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for maps (n, height, width, channels)."""
        return _mean(ops.abs(y_true - y_pred)) + 1 - _mean(self.similarity(y_true, y_pred))

    def similarity(self, first, second):
        """Return the structural similarity at each position of the window."""
        mean_1, mean_2 = self._window_mean(first), self._window_mean(second)
        unbiased = self.window**2 / (self.window**2 - 1)
        variance_1 = unbiased * (self._window_mean(first * first) - mean_1 * mean_1)
        variance_2 = unbiased * (self._window_mean(second * second) - mean_2 * mean_2)
        covariance = unbiased * (self._window_mean(first * second) - mean_1 * mean_2)
        c1, c2 = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        top = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
        return top / ((mean_1 * mean_1 + mean_2 * mean_2 + c1) * (variance_1 + variance_2 + c2))

    def _window_mean(self, images):
        return ops.average_pool(images, self.window, strides=1, padding="valid")


class Focal(keras.losses.Loss):
    """Focal loss of a map of centres.

    Parameters
    ----------
    alpha : float
        Power of the error of the prediction: what is right already counts less.
    gamma : float
        Power of one minus the target: what is near a centre counts less as background (beta in the paper).

    Notes
    -----
    Zhou et al. (2019, arXiv:1904.07850, eq. 1), for targets that are 1 at a centre and fall off around it, say as a
    Gaussian. There, centres are whole pixels and the target is exactly 1; so that they may lie between pixels, a centre
    is here a pixel of at least one half that none of its eight neighbours exceeds. Sums are divided by the number of
    centres in the image, or by one where there is none.
    """

    def __init__(self, alpha: float = 2.0, gamma: float = 4.0, name: str = "focal", **options):
        """Set the powers; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)
        self.alpha, self.gamma = alpha, gamma

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for maps (n, height, width, channels) between 0 and 1."""
        highest = ops.max_pool(y_true, 3, strides=1, padding="same")
        centre = ops.cast((y_true >= highest) & (y_true >= 0.5), y_pred.dtype)
        hit = centre * (1 - y_pred) ** self.alpha * ops.log(y_pred + _SMALL)
        miss = (1 - centre) * (1 - y_true) ** self.gamma * y_pred**self.alpha * ops.log(1 - y_pred + _SMALL)
        return -_sum(hit + miss) / ops.maximum(_sum(centre), 1.0)


class CrossEntropy(keras.losses.Loss):
    """Binary cross entropy of probabilities, with targets from 0 to 1.

    Parameters
    ----------
    weight : float
        How much more the positive part counts. Beyond 1, rare sources are learnt sooner, and the network's
        probabilities p come out too high, as ``weight p / (weight p + 1 - p)``.
    """

    def __init__(self, weight: float = 1.0, name: str = "cross_entropy", **options):
        """Set the weight; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)
        self.weight = weight

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,)."""
        positive = self.weight * y_true * ops.log(y_pred + _SMALL)
        return -_mean(positive + (1 - y_true) * ops.log(1 - y_pred + _SMALL))


class Dice(keras.losses.Loss):
    """One minus the overlap of a map of probabilities and a mask, the Dice coefficient.

    Parameters
    ----------
    smooth : float
        Pixels that are added to both, so that a mask with nothing in it has a loss, too.

    Notes
    -----
    Milletari et al. (2016, arXiv:1606.04797), with sums in place of sums of squares. What is small in the image counts
    as much as what is large.
    """

    def __init__(self, smooth: float = 50.0, name: str = "dice", **options):
        """Set the pixels that are added; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)
        self.smooth = smooth

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for maps (n, height, width, channels) between 0 and 1."""
        both = 2 * _sum(y_true * y_pred) + self.smooth
        return 1 - both / (_sum(y_true) + _sum(y_pred) + self.smooth)


class DiceCrossEntropy(Dice):
    """The sum of `Dice` and twice the binary cross entropy, whose gradients help where the overlap is still nothing."""

    def __init__(self, smooth: float = 50.0, name: str = "dice_cross_entropy", **options):
        """Set the pixels that are added; `options` are those of `keras.losses.Loss`."""
        super().__init__(smooth, name, **options)
        self._cross_entropy = CrossEntropy()

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for maps (n, height, width, channels) between 0 and 1."""
        return super().call(y_true, y_pred) + 2 * self._cross_entropy.call(y_true, y_pred)


class FocalCrossEntropy(keras.losses.BinaryFocalCrossentropy):
    """Focal loss of a mask: binary cross entropy in which a pixel counts less the better it is told already.

    Parameters
    ----------
    gamma : float
        Power of the error of the prediction, which the pixel's cross entropy is multiplied by.

    Notes
    -----
    Lin et al. (2017, arXiv:1708.02002, eq. 4), as Keras has it, without the balance of classes. `Focal` is for centres.
    """

    def __init__(self, gamma: float = 2.0, name: str = "focal_cross_entropy", **options):
        """Set the power; `options` are those of `keras.losses.Loss`."""
        super().__init__(gamma=gamma, name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,)."""
        return _mean(super().call(y_true, y_pred))


class GaussianNLL(keras.losses.Loss):
    """Negative log-likelihood of a value under a Gaussian whose mean and log variance are predicted.

    Notes
    -----
    Nix & Weigend (1994, doi:10.1109/ICNN.1994.374138), without the constant log(2 pi) / 2. The log variance is kept
    within `LOG_VARIANCE`.
    """

    def __init__(self, name: str = "gaussian_nll", **options):
        """Name the loss; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for values (n, 1) and predictions (n, 2)."""
        log_variance = ops.clip(y_pred[:, 1], *LOG_VARIANCE)
        return 0.5 * (ops.exp(-log_variance) * (y_true[:, 0] - y_pred[:, 0]) ** 2 + log_variance)


class StudentNLL(keras.losses.Loss):
    """Negative log-likelihood of a value under Student's t, whose middle and log squared scale are predicted.

    Parameters
    ----------
    degrees : float
        Degrees of freedom; the fewer, the heavier the tails.

    Notes
    -----
    A Gaussian's is ruled by the few examples that lie many errors off, such as sources with a neighbour that was not
    seen: its errors grow until those fit, or its steps do. Here an outlier costs the logarithm of its distance (Lange
    et al. 1989, doi:10.2307/2290063). The constant is left out, and the log is kept within `LOG_VARIANCE`.
    """

    def __init__(self, degrees: float = 4.0, name: str = "student_nll", **options):
        """Set the degrees of freedom; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)
        self.degrees = degrees

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for values (n, 1) and predictions (n, 2)."""
        log_scale = ops.clip(y_pred[:, 1], *LOG_VARIANCE)
        squared = ops.exp(-log_scale) * (y_true[:, 0] - y_pred[:, 0]) ** 2
        return 0.5 * ((self.degrees + 1) * ops.log(1 + squared / self.degrees) + log_scale)


class AngleNLL(keras.losses.Loss):
    """Negative log-likelihood of a position angle whose direction and log variance are predicted.

    Parameters
    ----------
    pull : float
        How strongly the vector (c, s), of which only the direction matters, is held at length one.
    outliers : float
        Share of the angles that may be anything, so that these do not rule the rest.

    Notes
    -----
    A position angle t is the same after half a turn, so that 2 t is a direction. It is taken to follow a von Mises
    distribution around the direction of (c, s), of concentration ``exp(-log variance)``: for a small variance, a
    Gaussian in 2 t of just that variance, and all around the circle for a large one. The constant log(2 pi) is left
    out, and the log variance is kept within `LOG_VARIANCE`. The sigma of t itself is ``exp(log variance / 2) / 2``
    radians where that is small.
    """

    def __init__(self, pull: float = 0.5, outliers: float = 0.01, name: str = "angle_nll", **options):
        """Set the pull and the share; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)
        self.pull = pull
        self.outliers = outliers

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,).

        Targets are (cos 2t, sin 2t), shape (n, 2); predictions are (c, s, log variance), shape (n, 3).
        """
        concentration = ops.exp(-ops.clip(y_pred[:, 2], *LOG_VARIANCE))
        vector = y_pred[:, :2]
        length = ops.sqrt(ops.sum(vector**2, axis=-1) + _SMALL)
        # 1 - cos is half the squared chord; as 1 minus the dot product it would be lost to rounding for small angles.
        chord = y_true - vector / length[:, None]
        likelihood = 0.5 * concentration * ops.sum(chord**2, axis=-1) + log_scaled_bessel(concentration)
        # The uniform distribution has, without the same constant, a density of one.
        likelihood = -ops.log((1 - self.outliers) * ops.exp(-likelihood) + self.outliers)
        return likelihood + self.pull * (length - 1) ** 2


class Logistic(keras.losses.Loss):
    """Binary cross entropy of a logit, with targets from 0 to 1."""

    def __init__(self, name: str = "logistic", **options):
        """Name the loss; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for targets and logits (n, 1)."""
        return _mean(ops.softplus(y_pred) - y_true * y_pred)


class Categorical(keras.losses.Loss):
    """Cross entropy of several classes, of which each sample is one, by their logits."""

    def __init__(self, name: str = "categorical", **options):
        """Name the loss; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for probabilities and logits (n, classes)."""
        return ops.logsumexp(y_pred, axis=-1) * ops.sum(y_true, axis=-1) - ops.sum(y_true * y_pred, axis=-1)


def log_scaled_bessel(x):
    """Return the logarithm of exp(-x) I0(x) for x >= 0, I0 being the modified Bessel function of order zero.

    Polynomials of Abramowitz & Stegun (1964, eqs. 9.8.1 and 9.8.2), good to 2e-7.
    """
    low, high = ops.minimum(x, 3.75), ops.maximum(x, 3.75)
    near = ops.log(_polynomial((low / 3.75) ** 2, _BESSEL_NEAR)) - low
    far = ops.log(_polynomial(3.75 / high, _BESSEL_FAR)) - 0.5 * ops.log(high)
    return ops.where(x < 3.75, near, far)


_BESSEL_NEAR = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
_BESSEL_FAR = (
    *(0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281),
    *(-0.02057706, 0.02635537, -0.01647633, 0.00392377),
)


def _polynomial(x, coefficients: tuple[float, ...]):
    """Return the polynomial with these coefficients, lowest power first."""
    total = 0.0
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def _mean(values):
    """Return the mean of each sample, shape (n,)."""
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))


def _sum(values):
    """Return the sum of each sample, shape (n,)."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


class Photons(keras.losses.Loss):
    """Negative log-likelihood of which events of a counts map are photons of sources.

    Notes
    -----
    Each of the n events in a pixel is a photon with the predicted share, so that k of them are with a binomial
    probability, of which the part that does not depend on the share is left out. It is divided by the square root of
    the map's counts, its noise, so that a long exposure does not outweigh all short ones.
    """

    def __init__(self, name: str = "photons", **options):
        """Name the loss; `options` are those of `keras.losses.Loss`."""
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        """Return the loss of each sample, shape (n,), for photons (n, height, width, 1) and photons beside counts."""
        photons, counts = y_true[..., 0], y_pred[..., 1]
        share = ops.clip(y_pred[..., 0] / ops.maximum(counts, 1.0), _SMALL, 1 - _SMALL)
        loss = -(photons * ops.log(share) + (counts - photons) * ops.log1p(-share))
        return ops.sum(loss, axis=(1, 2)) / ops.sqrt(1 + ops.sum(counts, axis=(1, 2)))


LOSSES: dict[str, type[keras.losses.Loss]] = {
    "l1_ssim": L1SSIM,
    "focal": Focal,
    "cross_entropy": CrossEntropy,
    "focal_cross_entropy": FocalCrossEntropy,
    "dice": Dice,
    "dice_cross_entropy": DiceCrossEntropy,
    "l1": L1,
    "msle": MSLE,
    "gaussian_nll": GaussianNLL,
    "student_nll": StudentNLL,
    "angle_nll": AngleNLL,
    "photons": Photons,
    "logistic": Logistic,
    "categorical": Categorical,
}
"""The losses by their names in the configuration; called without arguments, each has its usual constants."""
