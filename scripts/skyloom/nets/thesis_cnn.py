"""The network of the Chalmers thesis, as published, but for its one slip."""

import keras
from keras import layers


def build(input_shape: tuple[int, int, int]) -> keras.Model:
    """Return the thesis's network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); only channel 0, the native cutout, is seen, as in the thesis.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to one logit (n, 1).

    Notes
    -----
    Published: convolutions of 32 and 64 filters of 3x3 without padding, each followed by a 2x2 maximum, dropout 0.25,
    a dense layer of 128, dropout 0.5, two outputs. Its first convolution had ``softmax`` as activation, a default
    argument that nobody meant; here it is ``relu``. The softmax of two outputs is the sigmoid of their difference, so
    the difference is the logit.
    """
    image = keras.Input(input_shape, name="image")
    # "channels_first" lets this layer crop the last axis: of all channels, the first stays.
    x = layers.Cropping2D(((0, 0), (0, input_shape[-1] - 1)), data_format="channels_first", name="native")(image)
    x = layers.Conv2D(32, 3, activation="relu", name="conv_1")(x)
    x = layers.MaxPooling2D(2, name="pool_1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv_2")(x)
    x = layers.MaxPooling2D(2, name="pool_2")(x)
    x = layers.Dropout(0.25, name="dropout_1")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    x = layers.Dropout(0.5, name="dropout_2")(x)
    negative, positive = (layers.Dense(1, dtype="float32", name=name)(x) for name in ("negative", "positive"))
    logit = layers.Subtract(dtype="float32", name="logit")([positive, negative])
    return keras.Model(image, logit, name="thesis_cnn")
