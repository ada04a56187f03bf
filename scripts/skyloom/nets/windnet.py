"""Our own network for discs with winds: small, quick on two cores, with an eye for faint and wide structure."""

import keras
from keras import layers


def build(input_shape: tuple[int, int, int], width: int = 16, stages: int = 4, dropout: float = 0.3) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); the channels are the native, the scaled and the wide cutout.
    width : int
        Filters of the stem and the first stage; each further stage has twice as many.
    stages : int
        Residual blocks; each halves the image, as does the stem.
    dropout : float
        Share of the features dropped before the last layer.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to one logit (n, 1).

    Notes
    -----
    The stem shrinks the image at once, as the walls of a wind are wider than a beam; convolutions with strides see all
    of a cutout after five steps. Residual blocks are those of He et al. (2016, arXiv:1512.03385). The last map is
    read in three ways: its mean tells how much there is of a feature, its maximum whether it is anywhere (a one-sided
    arm needs that), and the mean of its core whether it belongs to the object in the middle or to a neighbour.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Activation("relu", name="stem_relu")(_convolution(image, width, 5, 2, "stem"))
    for stage in range(1, stages + 1):
        x = _residual(x, width * 2 ** (stage - 1), f"stage_{stage}")
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    peak = layers.GlobalMaxPooling2D(name="peak")(x)
    core = layers.GlobalAveragePooling2D(name="core_mean")(_core(x))
    x = layers.Concatenate(name="features")([mean, peak, core])
    x = layers.Dropout(dropout, name="dropout")(x)
    logit = layers.Dense(1, dtype="float32", name="logit")(x)
    return keras.Model(image, logit, name="windnet")


def _residual(x, filters: int, name: str):
    """Return a residual block of two 3x3 convolutions that halves the image."""
    short = layers.AveragePooling2D(2, padding="same", name=f"{name}_halved")(x)
    if x.shape[-1] != filters:
        short = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_short")(short)
    x = layers.Activation("relu", name=f"{name}_relu_1")(_convolution(x, filters, 3, 2, f"{name}_conv_1"))
    x = _convolution(x, filters, 3, 1, f"{name}_conv_2")
    x = layers.Add(name=f"{name}_sum")([short, x])
    return layers.Activation("relu", name=f"{name}_relu_2")(x)


def _convolution(x, filters: int, size: int, strides: int, name: str):
    """Return a convolution and its batch normalisation, quick to adapt, since an epoch has few steps."""
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def _core(x):
    """Return the central half of a feature map, where the object itself is; all of a map of 3 or fewer cells a side."""
    return layers.Cropping2D([side // 4 for side in x.shape[1:3]], name="core")(x)
