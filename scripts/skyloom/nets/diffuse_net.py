"""Our own finder of diffuse emission: a U-Net that says how likely each pixel of a radio image is part of such."""

import math

import keras
from keras import layers

from . import check_sides

TASK = "map"

FIRST = 0.05
"""What an untrained network says of every pixel: diffuse emission is rare."""
REACH = 144
"""Pixels beyond which nothing changes what is said of a pixel, at most; a multiple of the networks' step."""


def build(
    input_shape: tuple[int | None, int | None, int],
    outputs: int = 1,
    widths: tuple[int, ...] = (16, 32, 64, 96),
    dilations: tuple[int, ...] = (1, 2),
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); height and width are multiples of 16, or None for a network that takes any such.
    outputs : int
        Maps that are made.
    widths : tuple of int
        Filters of the stem, which halves the image, and of the stages, each of which halves it again.
    dilations : tuple of int
        Of the residual blocks on the smallest map.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, height, width, outputs), between 0 and 1.

    Raises
    ------
    UserError
        If a side is no multiple of 16.

    Notes
    -----
    A U-Net (Ronneberger et al. 2015, arXiv:1505.04597) whose way up sees every stage of the way down, which is where a
    compact source differs from a patch of a halo. A pixel sees some 100 others to every side: the whole of a halo, and
    the noise around it. The smallest map is that of a 16th, where dilated convolutions widen the view. As it only
    convolves, it takes images of any size, and what it says of a pixel does not change with what lies farther than
    `REACH`.
    """
    step = 2 ** len(widths)
    check_sides("diffuse_net", input_shape, step, free=True)
    image = keras.Input(input_shape, name="image")
    x = layers.Activation("silu", name="stem_silu")(_convolution(image, widths[0], 4, "stem", strides=2))
    x = _residual(x, widths[0], "stem_block")
    skips = []
    for stage, filters in enumerate(widths[1:], start=1):
        skips.append(x)
        x = _residual(x, filters, f"down_{stage}", strides=2)
    for number, dilation in enumerate(dilations, start=1):
        x = _residual(x, widths[-1], f"wide_{number}", dilation=dilation)
    for stage, skip in reversed(list(enumerate(skips, start=1))):
        x = _convolution(x, skip.shape[-1], 1, f"up_{stage}_thin")
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up_{stage}_enlarged")(x)
        x = layers.Concatenate(name=f"up_{stage}_both")([x, skip])
        x = layers.Activation("silu", name=f"up_{stage}_silu")(_convolution(x, skip.shape[-1], 3, f"up_{stage}_conv"))
    x = layers.Conv2DTranspose(
        outputs,
        4,
        strides=2,
        padding="same",
        activation="sigmoid",
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(math.log(FIRST / (1 - FIRST))),
        name="map",
    )(x)
    return keras.Model(image, x, name="diffuse_net")


def _residual(x, filters: int, name: str, strides: int = 1, dilation: int = 1):
    """Return a residual block of two 3x3 convolutions, with a stride or a dilation."""
    short = x
    if strides > 1:
        short = layers.AveragePooling2D(strides, name=f"{name}_halved")(x)
        short = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_short")(short)
    x = _convolution(x, filters, 3, f"{name}_conv_1", strides=strides, dilation=dilation)
    x = layers.Activation("silu", name=f"{name}_silu_1")(x)
    x = _convolution(x, filters, 3, f"{name}_conv_2")
    x = layers.Add(name=f"{name}_sum")([short, x])
    return layers.Activation("silu", name=f"{name}_silu_2")(x)


def _convolution(x, filters: int, size: int, name: str, strides: int = 1, dilation: int = 1):
    """Return a convolution and its batch normalisation, quick to adapt, since an epoch has few steps."""
    x = layers.Conv2D(
        filters, size, strides=strides, dilation_rate=dilation, padding="same", use_bias=False, name=name
    )(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
