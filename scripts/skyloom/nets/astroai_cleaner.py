"""The CNN-cleaner of astroAI: an autoencoder that removes the background from a smoothed counts map."""

import keras
from keras import layers

from . import check_sides

TASK = "map"


def build(input_shape: tuple[int | None, int | None, int], outputs: int = 1, filters: int = 12) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); height and width are multiples of 4, or None for a network that takes any such.
    outputs : int
        Maps that are made.
    filters : int
        Of every convolution but the last.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, height, width, outputs), between 0 and 1.

    Raises
    ------
    UserError
        If a side is no multiple of 4.

    Notes
    -----
    Di Piano, astroAI (github.com/ambra-dipiano/astroAI): 2x2 convolutions, two average poolings, and the same way back.
    """
    check_sides("astroai_cleaner", input_shape, 4, free=True)
    image = keras.Input(input_shape, name="image")
    x = image
    for number in (1, 2):
        x = layers.Conv2D(filters, 2, padding="same", activation="relu", name=f"encoder_{number}")(x)
        x = layers.AveragePooling2D(2, name=f"pool_{number}")(x)
    for number in (1, 2):
        x = layers.Conv2D(filters, 2, padding="same", activation="relu", name=f"decoder_{number}")(x)
        x = layers.UpSampling2D(2, name=f"up_{number}")(x)
    x = layers.Conv2D(outputs, 2, padding="same", activation="sigmoid", dtype="float32", name="map")(x)
    return keras.Model(image, x, name="astroai_cleaner")
