"""The CNN-regressor of astroAI, which reads the place of the only source off a cleaned map."""

import keras
from keras import layers

TASK = "value"


def build(input_shape: tuple[int, int, int], outputs: int = 1, dense: int = 64) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels).
    outputs : int
        Coordinates, in units of the map's side.
    dense : int
        Numbers in the hidden layer; 10 000 in the original.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, outputs), between 0 and 1.

    Notes
    -----
    Di Piano, astroAI (github.com/ambra-dipiano/astroAI). There, the hidden layer has 10 000 numbers and so 265 million
    of the 265 112 168 weights, a gigabyte for a position on the sky: more than any number of maps that are
    simulated here could settle, and nothing that fits into the latency that is asked for. 64 numbers leave 1.7 million.
    """
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(6, 4, activation="relu", name="conv_0")(image)
    x = layers.MaxPooling2D(2, name="pool_0")(x)
    for number in range(1, 5):
        x = layers.Conv2D(12, 2, activation="relu", name=f"conv_{number}")(x)
    x = layers.MaxPooling2D(2, name="pool_1")(x)
    x = layers.Dropout(0.2, name="dropout_0")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)
    x = layers.Dropout(0.2, name="dropout_1")(x)
    x = layers.Dense(outputs, activation="sigmoid", dtype="float32", name="place")(x)
    return keras.Model(image, x, name="astroai_regressor")
