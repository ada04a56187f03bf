"""The autoencoder of DECORAS, as the authors of DeepFocus built it to compare theirs with."""

import math

import keras
from keras import layers

from . import check_sides

TASK = "map"

SLOPE = 0.01
"""Of the leaky rectifier below zero, as in the original's framework."""
FIRST = 0.01
"""What an untrained network says of every pixel: few belong to sources."""


def build(input_shape: tuple[int, int, int], outputs: int = 1, bottleneck: int = 256) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); height and width are multiples of 16, and known, because of the dense layers.
    outputs : int
        Maps that are made.
    bottleneck : int
        Numbers into which the image is squeezed.

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
    Rezaei et al. (2022, arXiv:2109.09077), in the form of DeepFocus: 3x3 convolutions with stride 2 of 8, 16, 32 and 64
    filters, each followed by a leaky rectifier and then its batch normalisation, a dense layer of 256, and the same way
    back by transposed convolutions. There, neither the last transposed convolution nor the layer before the sigmoid has
    a bias, so that an empty image is 0.5 and hardly anything can be less; here they have one, which begins where
    sources are rare (Lin et al. 2017, arXiv:1708.02002), or the first epochs go into learning that.
    """
    check_sides("decoras", input_shape, 16)
    height, width = (side // 16 for side in input_shape[:2])
    normal = keras.initializers.RandomNormal(stddev=0.01)
    image = keras.Input(input_shape, name="image")
    x = image
    for number, filters in enumerate((8, 16, 32, 64), start=1):
        x = _step(layers.Conv2D, x, filters, f"encoder_{number}")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(bottleneck, kernel_initializer=normal, name="bottleneck")(x)
    x = layers.Dense(
        height * width * 64, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="unfold"
    )(x)
    x = layers.Reshape((height, width, 64), name="unflatten")(x)
    for number, filters in enumerate((32, 16, 8), start=1):
        x = _step(layers.Conv2DTranspose, x, filters, f"decoder_{number}")
    x = layers.Conv2DTranspose(
        outputs, 3, strides=2, padding="same", kernel_initializer="he_normal", name="decoder_4_conv"
    )(x)
    x = layers.LeakyReLU(negative_slope=SLOPE, name="decoder_4_leaky")(x)
    rare = keras.initializers.Constant(-math.log(1 / FIRST - 1))
    x = layers.Conv2D(outputs, 1, activation="sigmoid", bias_initializer=rare, dtype="float32", name="map")(x)
    return keras.Model(image, x, name="decoras")


def _step(kind, x, filters: int, name: str):
    """Return a (transposed) convolution with stride 2, its rectifier and its normalisation."""
    x = kind(
        filters, 3, strides=2, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    x = layers.LeakyReLU(negative_slope=SLOPE, name=f"{name}_leaky")(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
