"""The residual network of DeepFocus, which reads one quantity off the image of a source."""

import keras
from keras import layers

TASK = "value"


def build(input_shape: tuple[int | None, int | None, int], outputs: int = 1) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); height and width may be None.
    outputs : int
        Quantities that are read.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, outputs), of any value.

    Notes
    -----
    Published (Delli Veneri et al. 2023, doi:10.1093/mnras/stac3314): the 18 layers of He et al. (2016,
    arXiv:1512.03385) with a 3x3 convolution first, the maximum before its normalisation, both blocks of the second
    stage halving the image, and the maximum of the last map into two dense layers. In its blocks the second convolution
    is rectified before the sum too. The original gives one network to all four quantities; here, each call builds its
    own.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(64, 3, padding="same", kernel_initializer="he_normal", name="stem_conv")(image)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    x = layers.Activation("relu", name="stem_relu")(_norm(x, "stem_norm"))
    stages = {1: (64, (1, 1)), 2: (128, (2, 2)), 3: (256, (2, 1)), 4: (512, (2, 1))}
    for stage, (filters, strides) in stages.items():
        for number, step in enumerate(strides, start=1):
            x = _block(x, filters, step, f"stage_{stage}_{number}")
    x = layers.GlobalMaxPooling2D(name="peak")(x)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    x = layers.Dense(outputs, dtype="float32", name="value")(x)
    return keras.Model(image, x, name="resnet18")


def _block(x, filters: int, strides: int, name: str):
    """Return a residual block of two 3x3 convolutions."""
    short = x
    if strides > 1:
        short = _norm(_convolution(x, filters, 1, strides, f"{name}_short"), f"{name}_short_norm")
    for number, step in ((1, strides), (2, 1)):
        x = _norm(_convolution(x, filters, 3, step, f"{name}_conv_{number}"), f"{name}_norm_{number}")
        x = layers.Activation("relu", name=f"{name}_relu_{number}")(x)
    x = layers.Add(name=f"{name}_sum")([short, x])
    return layers.Activation("relu", name=f"{name}_relu_3")(x)


def _convolution(x, filters: int, size: int, strides: int, name: str):
    return layers.Conv2D(filters, size, strides=strides, padding="same", kernel_initializer="he_normal", name=name)(x)


def _norm(x, name: str):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
