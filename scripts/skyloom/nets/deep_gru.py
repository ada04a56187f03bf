"""DeepGRU of DeepFocus: a recurrent network that turns a dirty spectrum into a clean one."""

import keras
from keras import layers

TASK = "sequence"


def build(input_shape: tuple[int | None, int], outputs: int = 1, hidden: int = 32, dropout: float = 0.1) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (length, values a channel); the length may be None.
    outputs : int
        Values a channel that are made.
    hidden : int
        Numbers that either direction remembers.
    dropout : float
        Share of what is remembered that is dropped before the last layer.

    Returns
    -------
    keras.Model
        From (n, length, values) to (n, length, outputs), between 0 and 1.

    Notes
    -----
    Published (Delli Veneri et al. 2023, doi:10.1093/mnras/stac3314): one layer of gated recurrent units that reads the
    spectrum in both directions, and the same dense layer for every channel. The original's dropout stands between
    recurrent layers, of which there is only one, so that it does nothing; here it comes after it.
    """
    spectrum = keras.Input(input_shape, name="spectrum")
    x = layers.Bidirectional(layers.GRU(hidden, return_sequences=True, name="gru"), name="both_ways")(spectrum)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(outputs, activation="sigmoid", dtype="float32", name="clean")(x)
    return keras.Model(spectrum, x, name="deep_gru")
