"""Our own cleaner: how many of the events in each pixel of a counts map are photons of sources."""

import math

import keras
import numpy as np
from keras import layers, ops

from . import check_sides

TASK = "map"

FIRST = 0.01
"""What an untrained network says of every event: few are photons of sources."""
_STEP = 4


def build(
    input_shape: tuple[int | None, int | None, int],
    outputs: int = 2,
    width: int = 24,
    scales: tuple[float, ...] = (0.8, 1.6, 3.2),
    surroundings: float = 10.0,
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, 1); height and width are multiples of 4, or None for a network that takes any such.
    outputs : int
        1 for the photons alone, 2 for the counts beside them, as the loss `skyloom.learn.losses.Photons` takes both.
    width : int
        Filters at a quarter of the map's size.
    scales : tuple of float
        Standard deviations of the Gaussians that gather the counts of a source [pixel].
    surroundings : float
        Standard deviation of the Gaussian that tells the counts around it [pixel].

    Returns
    -------
    keras.Model
        From counts, (n, height, width, 1), to how many of them are photons of sources, (n, height, width, outputs).

    Raises
    ------
    UserError
        If a side is no multiple of 4.

    Notes
    -----
    If s counts are expected of sources in a pixel and b of the background, each event there is a photon of a source
    with the probability s / (s + b), whatever the exposure. That share is what the convolutions give, and the photons
    are the counts times it: no flux is lost, and nothing has to be scaled back. The network sees the excess over the
    surroundings in units of its Poisson noise, at several scales, and nothing of the instrument. It works at a quarter
    of the map's size, with 4 x 4 pixels as channels, and puts them back in their places at the end (sub-pixel
    convolution, Shi et al. 2016, arXiv:1609.05158).
    """
    check_sides("photon_net", input_shape, _STEP, free=True)
    counts = keras.Input(input_shape, name="counts")
    x = Excesses(scales, surroundings, name="excesses")(counts)
    x = Folded(_STEP, name="folded")(x)
    x = layers.Conv2D(width, 1, name="stem")(x)
    x = _residual(x, width, "near_1")
    skip = x
    x = layers.AveragePooling2D(2, padding="same", name="halved")(x)
    for number, dilation in enumerate((1, 2, 4), start=1):
        x = _residual(x, width, f"wide_{number}", dilation)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="doubled")(x)
    x = layers.Concatenate(name="both")([Cut(name="cut")([x, skip]), skip])
    x = layers.Conv2D(width, 1, name="joined")(x)
    x = _residual(x, width, "near_2")
    x = layers.Conv2D(
        _STEP**2,
        3,
        padding="same",
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(math.log(FIRST / (1 - FIRST))),
        name="logits",
    )(layers.Activation("silu", name="silu")(x))
    share = layers.Activation("sigmoid", dtype="float32", name="share")(Unfolded(_STEP, name="unfolded")(x))
    photons = layers.Multiply(dtype="float32", name="photons")([share, counts])
    if outputs == 2:
        photons = layers.Concatenate(dtype="float32", name="photons_and_counts")([photons, counts])
    return keras.Model(counts, photons, name="photon_net")


def _residual(x, filters: int, name: str, dilation: int = 1):
    y = layers.Activation("silu", name=f"{name}_silu_1")(x)
    y = layers.Conv2D(filters, 3, padding="same", dilation_rate=dilation, name=f"{name}_conv_1")(y)
    y = layers.Activation("silu", name=f"{name}_silu_2")(y)
    y = layers.Conv2D(filters, 1, kernel_initializer="zeros", name=f"{name}_conv_2")(y)
    return layers.Add(name=f"{name}_sum")([x, y])


@keras.saving.register_keras_serializable("skyloom")
class Excesses(layers.Layer):
    """Excess of smoothed counts over their surroundings, in units of its Poisson noise, and the surroundings.

    Parameters
    ----------
    scales : sequence of float
        Standard deviations of the Gaussians [pixel]; 0 is no smoothing.
    surroundings : float
        Standard deviation of the wide one [pixel].

    Notes
    -----
    Large excesses enter by their inverse hyperbolic sine. Beyond the map's edges nothing is counted, and smoothed
    values are divided by how much of the Gaussian lies within.
    """

    def __init__(self, scales, surroundings: float, **options):
        """Keep the widths."""
        super().__init__(**options, dtype="float32", trainable=False)
        self.scales, self.surroundings = tuple(scales), surroundings

    def get_config(self) -> dict:
        """Return what the layer is made from."""
        config = super().get_config()
        config.pop("dtype", None)
        config.pop("trainable", None)
        return config | {"scales": list(self.scales), "surroundings": self.surroundings}

    def call(self, counts):
        """Return the features, (n, height, width, scales + 2)."""
        around = self._smooth(counts, self.surroundings)
        level = around + 1e-3
        features = [ops.arcsinh((counts - around) / ops.sqrt(level + 0.25))]
        for scale in self.scales:
            # Of the Gaussian's weights the sum of squares: the variance of what it gathers, in units of the level.
            held = 1 / (4 * math.pi * scale**2)
            features.append(
                ops.arcsinh((self._smooth(counts, scale) - around) / ops.sqrt(level * held + 0.25 * held**2))
            )
        features.append(0.5 * ops.log(level))
        return ops.concatenate(features, axis=-1)

    def _smooth(self, counts, scale: float):
        reach = math.ceil(3 * scale)
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / scale) ** 2)
        line = (line / line.sum()).astype(np.float32)
        upright, lying = line[:, None, None, None], line[None, :, None, None]

        def both(x):
            return ops.conv(ops.conv(x, upright, padding="same"), lying, padding="same")

        return both(counts) / both(ops.ones_like(counts[:1]))


@keras.saving.register_keras_serializable("skyloom")
class Folded(layers.Layer):
    """Blocks of `step` x `step` pixels as channels."""

    def __init__(self, step: int, **options):
        """Keep the step."""
        super().__init__(**options)
        self.step = step

    def get_config(self) -> dict:
        """Return what the layer is made from."""
        return super().get_config() | {"step": self.step}

    def call(self, x):
        """Return (n, height / step, width / step, channels step**2)."""
        _, height, width, channels = ops.shape(x)
        step = self.step
        x = ops.reshape(x, (-1, height // step, step, width // step, step, channels))
        return ops.reshape(
            ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height // step, width // step, step**2 * channels)
        )


@keras.saving.register_keras_serializable("skyloom")
class Unfolded(Folded):
    """Channels as blocks of `step` x `step` pixels: what `Folded` does, backwards."""

    def call(self, x):
        """Return (n, height step, width step, channels / step**2)."""
        _, height, width, channels = ops.shape(x)
        step = self.step
        x = ops.reshape(x, (-1, height, width, step, step, channels // step**2))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height * step, width * step, channels // step**2))


@keras.saving.register_keras_serializable("skyloom")
class Cut(layers.Layer):
    """Cut the first of two maps to the size of the second."""

    def call(self, pair):
        """Return the first map, whose rows and columns end where those of the second do."""
        first, second = pair
        return first[:, : ops.shape(second)[1], : ops.shape(second)[2]]
