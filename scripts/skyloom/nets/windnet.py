"""Our own network for discs with winds: small, quick on two cores, with an eye for faint and wide structure."""

import keras
from keras import layers


def build(
    input_shape: tuple[int, int, int], width: int = 24, depths: tuple[int, ...] = (1, 1, 2), dropout: float = 0.3
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); the channels are the native and the scaled cutout.
    width : int
        Filters of the stem; each stage after the first has half as many more again.
    depths : tuple of int
        Residual blocks of each stage; each stage halves the image.
    dropout : float
        Share of the features dropped before the last layer.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to one logit (n, 1).

    Notes
    -----
    The stem shrinks the image at once, as walls of a wind are wider than a beam. Residual blocks (He et al. 2016,
    arXiv:1512.03385). The mean over the image tells how much there is of a feature, the maximum whether it is
    anywhere: a one-sided arm needs the second.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(width, 5, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(momentum=0.9, name="stem_norm")(x)
    x = layers.Activation("relu", name="stem_relu")(x)
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    filters = width
    for stage, depth in enumerate(depths):
        for block in range(depth):
            x = _residual(x, filters, 2 if block == 0 and stage else 1, f"stage{stage + 1}_block{block + 1}")
        filters = filters * 2
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    peak = layers.GlobalMaxPooling2D(name="peak")(x)
    x = layers.Concatenate(name="mean_and_peak")([mean, peak])
    x = layers.Dropout(dropout, name="dropout")(x)
    logit = layers.Dense(1, name="logit")(x)
    return keras.Model(image, logit, name="windnet")


def _residual(x, filters: int, stride: int, name: str):
    """Return a residual block of two 3x3 convolutions."""
    short = x
    if stride > 1 or x.shape[-1] != filters:
        short = layers.Conv2D(filters, 1, strides=stride, use_bias=False, name=f"{name}_short")(x)
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv1")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm1")(x)
    x = layers.Activation("relu", name=f"{name}_relu1")(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv2")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm2")(x)
    x = layers.Add(name=f"{name}_add")([short, x])
    return layers.Activation("relu", name=f"{name}_relu2")(x)
