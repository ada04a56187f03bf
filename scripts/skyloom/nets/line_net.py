"""Our own network for spectra: dilated convolutions that mark the channels of lines."""

import keras
from keras import layers

TASK = "sequence"


def build(
    input_shape: tuple[int | None, int],
    outputs: int = 1,
    width: int = 32,
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (length, values a channel); the length may be None.
    outputs : int
        Values a channel that are made.
    width : int
        Filters of each layer.
    dilations : tuple of int
        Of the residual blocks, in their order.

    Returns
    -------
    keras.Model
        From (n, length, values) to (n, length, outputs), between 0 and 1.

    Notes
    -----
    Residual blocks of two convolutions over three channels of the spectrum, whose distance grows from block to block
    (temporal convolutional network, Bai et al. 2018, arXiv:1803.01271, here looking both ways): a line is seen at the
    scale of its width, the continuum and its slope from 100 channels away and more. Unlike a recurrent network it works
    on all channels at once.
    """
    spectrum = keras.Input(input_shape, name="spectrum")
    x = layers.Activation("relu", name="stem_relu")(_convolution(spectrum, width, 5, 1, "stem"))
    for number, dilation in enumerate(dilations, start=1):
        name = f"block_{number}"
        y = layers.Activation("relu", name=f"{name}_relu_1")(_convolution(x, width, 3, dilation, f"{name}_conv_1"))
        y = _convolution(y, width, 3, 1, f"{name}_conv_2")
        x = layers.Activation("relu", name=f"{name}_relu_2")(layers.Add(name=f"{name}_sum")([x, y]))
    x = layers.Conv1D(outputs, 1, activation="sigmoid", dtype="float32", name="line")(x)
    return keras.Model(spectrum, x, name="line_net")


def _convolution(x, filters: int, size: int, dilation: int, name: str):
    """Return a convolution and its batch normalisation."""
    x = layers.Conv1D(filters, size, dilation_rate=dilation, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
