"""Blobs Finder of DeepFocus: a convolutional autoencoder that turns a dirty image into a map of its sources."""

import keras
from keras import layers

from . import check_sides

TASK = "map"

SLOPE = 0.01
"""Of the leaky rectifier below zero, as in the original's framework."""


def build(input_shape: tuple[int, int, int], outputs: int = 1, bottleneck: int = 1024) -> keras.Model:
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
    Published (Delli Veneri et al. 2023, doi:10.1093/mnras/stac3314, and the code of its first release): four blocks of
    two 3x3 convolutions, each followed by a leaky rectifier and then its batch normalisation, of 8, 16, 32 and 64
    filters and with stride 2; a dense layer of 1024; the way back by blocks that see their input enlarged twice, by
    interpolation and by a transposed convolution. The blocks are called residual there but have no way around, and
    neither have they here. For one channel of 256x256 pixels the network has 33 719 549 weights, nearly all of them in
    the two dense layers.

    The original interpolates with the corners of the images held fast, which shifts what is near an edge by up to half
    a pixel; here each pixel is halved.
    """
    check_sides("blobs_finder", input_shape, 16)
    height, width = (side // 16 for side in input_shape[:2])
    image = keras.Input(input_shape, name="image")
    x = image
    for number, filters in enumerate((8, 16, 32, 64), start=1):
        x = _block(x, filters, 2, f"encoder_{number}")
    x = layers.Flatten(name="flatten")(x)
    x = _leaky(_dense(x, bottleneck, "bottleneck"), "bottleneck_leaky")
    x = _leaky(_dense(x, height * width * 64, "unfold"), "unfold_leaky")
    x = layers.Reshape((height, width, 64), name="unflatten")(x)
    for number, filters in enumerate((32, 16, 8), start=1):
        enlarged = _enlarged(x, f"decoder_{number}")
        learnt = layers.Conv2DTranspose(
            filters, 3, strides=2, padding="same", kernel_initializer="he_normal", name=f"decoder_{number}_transposed"
        )(x)
        x = layers.Concatenate(name=f"decoder_{number}_both")([enlarged, learnt])
        x = _block(x, filters, 1, f"decoder_{number}")
    x = _block(_enlarged(x, "decoder_4"), outputs, 1, "decoder_4")
    x = layers.Conv2D(outputs, 1, activation="sigmoid", dtype="float32", name="map")(x)
    return keras.Model(image, x, name="blobs_finder")


def _block(x, filters: int, strides: int, name: str):
    """Return two convolutions, the first with the stride."""
    for number, step in ((1, strides), (2, 1)):
        x = layers.Conv2D(
            filters, 3, strides=step, padding="same", kernel_initializer="he_normal", name=f"{name}_conv_{number}"
        )(x)
        x = _leaky(x, f"{name}_leaky_{number}")
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm_{number}")(x)
    return x


def _dense(x, units: int, name: str):
    return layers.Dense(units, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name=name)(x)


def _leaky(x, name: str):
    return layers.LeakyReLU(negative_slope=SLOPE, name=name)(x)


def _enlarged(x, name: str):
    return layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_enlarged")(x)
