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
    width: int = 48,
    scales: tuple[float, ...] = (0.8, 1.6, 3.2),
    surroundings: float = 10.0,
    dilations: tuple[int, ...] = (1, 2, 1, 4, 1),
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
    dilations : tuple of int
        Of the residual blocks.

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
    of the map's size, where the details of 4 x 4 pixels are channels.
    """
    check_sides("photon_net", input_shape, _STEP, free=True)
    counts = keras.Input(input_shape, name="counts")
    x = _excesses(counts, scales, surroundings)
    x = layers.Conv2D(width, _STEP, strides=_STEP, name="stem")(x)
    for number, dilation in enumerate(dilations, start=1):
        x = _residual(x, width, f"block_{number}", dilation)
    x = layers.Conv2D(width, 1, activation="silu", name="joined")(layers.Activation("silu", name="silu")(x))
    share = layers.Conv2DTranspose(
        1,
        _STEP,
        strides=_STEP,
        activation="sigmoid",
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(math.log(FIRST / (1 - FIRST))),
        name="share",
    )(x)
    photons = layers.Multiply(dtype="float32", name="photons")([share, counts])
    if outputs == 2:
        photons = layers.Concatenate(dtype="float32", name="photons_and_counts")([photons, counts])
    return keras.Model(counts, photons, name="photon_net")


def _residual(x, filters: int, name: str, dilation: int):
    """Return a residual block that begins as the identity."""
    y = layers.Activation("silu", name=f"{name}_silu_1")(x)
    y = layers.Conv2D(filters, 3, padding="same", dilation_rate=dilation, name=f"{name}_conv_1")(y)
    y = layers.Activation("silu", name=f"{name}_silu_2")(y)
    y = layers.Conv2D(filters, 1, kernel_initializer="zeros", name=f"{name}_conv_2")(y)
    return layers.Add(name=f"{name}_sum")([x, y])


def _excesses(counts, scales: tuple[float, ...], surroundings: float):
    """Return the excess of smoothed counts over their surroundings, in units of its noise, and log surroundings.

    Large ones enter by their inverse hyperbolic sine. Nothing is counted beyond the map's edges, so that what is
    smoothed is divided by how much of the Gaussian lies within.
    """
    ones = ops.ones_like(counts)
    around = _smoothed(counts, surroundings, "around") / _smoothed(ones, surroundings, "around_ones")
    level = around + 1e-3
    features = [ops.arcsinh((counts - around) / ops.sqrt(level + 0.25))]
    for number, scale in enumerate(scales, start=1):
        smooth = _smoothed(counts, scale, f"near_{number}") / _smoothed(ones, scale, f"near_{number}_ones")
        # The sum of the Gaussian's squared weights is the variance of what it gathers, for a level of one.
        gathered = 1 / (4 * math.pi * scale**2)
        features.append(ops.arcsinh((smooth - around) / ops.sqrt(level * gathered + 0.25 * gathered**2)))
    features.append(0.5 * ops.log(level))
    return layers.Concatenate(name="excesses")(features)


def _smoothed(x, scale: float, name: str):
    """Return counts smoothed by a Gaussian, by two layers that are not trained."""
    reach = math.ceil(3 * scale)
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / scale) ** 2)
    line = (line / line.sum()).astype(np.float32)
    for axis, size in (("y", (len(line), 1)), ("x", (1, len(line)))):
        layer = layers.Conv2D(
            1, size, padding="same", use_bias=False, trainable=False, dtype="float32", name=f"{name}_{axis}"
        )
        x = layer(x)
        layer.set_weights([line.reshape(*size, 1, 1)])
    return x
