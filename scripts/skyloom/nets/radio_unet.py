"""Radio U-Net: the published network that finds diffuse emission in radio images."""

import keras
from keras import layers

from . import check_sides

TASK = "map"

_STEP = 32
_LARGEST = 7.0
"""What the two classes' values are softly limited to."""


def build(
    input_shape: tuple[int | None, int | None, int],
    outputs: int = 1,
    widths: tuple[int, ...] = (32, 64, 128, 256, 512),
    dropout: float = 0.5,
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); height and width are multiples of 32, or None for a network that takes any such.
    outputs : int
        Maps that are made.
    widths : tuple of int
        Filters of the stem and of the stages, each of which halves the image.
    dropout : float
        Share of the values that each stage of the way down leaves out while it is trained.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, height, width, outputs), between 0 and 1.

    Raises
    ------
    UserError
        If a side is no multiple of 32.

    Notes
    -----
    Published (Stuardi et al. 2024, arXiv:2408.10871, and the code of that work): a stem of stride 2, four stages of two
    3x3 convolutions, each rectified before it is normalised, with pooling and dropout, and five stages of transposed
    convolutions that enlarge the image again. Each stage has a way around of its own, a 1x1 convolution; the way up
    sees nothing of the way down but its end, so that it is no U-Net in the sense of Ronneberger et al. (2015). The
    softmax of two classes is that of diffuse emission and of anything else; only the former is given. For one channel
    it has 12 401 122 numbers, those of the normalisation included. The published loss is told the values before the
    softmax; here it sees probabilities, so that the values are limited: beyond, it would have no gradient any more.
    """
    check_sides("radio_unet", input_shape, _STEP, free=True)
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(widths[0], 3, strides=2, padding="same", name="stem")(image)
    x = layers.Activation("relu", name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    around = x
    for stage, filters in enumerate(widths[1:], start=1):
        name = f"down_{stage}"
        x = _block(x, filters, layers.Conv2D, name)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
        around = layers.Conv2D(filters, 1, strides=2, padding="same", name=f"{name}_around")(around)
        around = x = layers.Add(name=f"{name}_sum")([x, around])
    for stage, filters in enumerate(widths[::-1], start=1):
        name = f"up_{stage}"
        x = _block(x, filters, layers.Conv2DTranspose, name)
        x = layers.UpSampling2D(2, name=f"{name}_enlarged")(x)
        around = layers.UpSampling2D(2, name=f"{name}_around_enlarged")(around)
        around = layers.Conv2D(filters, 1, padding="same", name=f"{name}_around")(around)
        around = x = layers.Add(name=f"{name}_sum")([x, around])
    x = layers.Conv2D(outputs + 1, 1, padding="same", dtype="float32", name="classes")(x)
    x = layers.Rescaling(1 / _LARGEST, dtype="float32", name="classes_small")(x)
    x = layers.Activation("tanh", dtype="float32", name="classes_limited")(x)
    x = layers.Rescaling(_LARGEST, dtype="float32", name="classes_large")(x)
    x = layers.Softmax(dtype="float32", name="softmax")(x)
    # "channels_first" lets this layer crop the last axis: the class of anything else comes first.
    x = layers.Cropping2D(((0, 0), (1, 0)), data_format="channels_first", dtype="float32", name="map")(x)
    return keras.Model(image, x, name="radio_unet")


def _block(x, filters: int, kind, name: str):
    """Return two 3x3 convolutions, each after a rectifier and before a normalisation."""
    for number in (1, 2):
        x = layers.Activation("relu", name=f"{name}_relu_{number}")(x)
        x = kind(filters, 3, padding="same", name=f"{name}_conv_{number}")(x)
        x = layers.BatchNormalization(name=f"{name}_norm_{number}")(x)
    return x
