"""Our own network that tells the kind of a field: what diffuse emission there is around a cluster."""

import keras
from keras import layers

from . import check_sides

TASK = "value"

_STEP = 8


def build(
    input_shape: tuple[int, int, int],
    outputs: int = 4,
    widths: tuple[int, ...] = (16, 24, 32),
    dense: int = 32,
    dropout: float = 0.3,
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels); height and width are multiples of 8. The cluster is in the middle, and the image as
        many of its radii wide as any other.
    outputs : int
        Kinds, of which a field may have several, or none.
    widths : tuple of int
        Filters of the stages, each of which halves the image.
    dense : int
        Numbers between the image and the kinds.
    dropout : float
        Share of these that is left out while it is trained.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, outputs), each between 0 and 1.

    Raises
    ------
    UserError
        If a side is no multiple of 8.

    Notes
    -----
    Where emission is says as much as what it looks like: haloes are in the middle, relics at the outskirts. So one of
    the channels should be the distance from the middle, which convolutions do not know of.
    """
    check_sides("field_net", input_shape, _STEP)
    image = keras.Input(input_shape, name="image")
    x = image
    for stage, filters in enumerate(widths, start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"stage_{stage}_conv")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"stage_{stage}_norm")(x)
        x = layers.Activation("silu", name=f"stage_{stage}_silu")(x)
        pool = layers.AveragePooling2D if stage < len(widths) else layers.MaxPooling2D
        x = pool(2, name=f"stage_{stage}_pool")(x)
    x = layers.Concatenate(name="whole")(
        [layers.GlobalAveragePooling2D(name="mean")(x), layers.GlobalMaxPooling2D(name="greatest")(x)]
    )
    x = layers.Dense(dense, activation="silu", name="dense")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(outputs, activation="sigmoid", dtype="float32", name="kinds")(x)
    return keras.Model(image, x, name="field_net")
