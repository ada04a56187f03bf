"""The one way an object's cutouts become what a network sees, in training and in classification alike."""

import numpy as np

SOFTENING = 3.0
"""S/N at which the scale turns from linear to logarithmic: noise stays linear, bright cores do not drown wings."""


def network_input(snr: np.ndarray) -> np.ndarray:
    """Return images in units of their noise as a network takes them: asinh(S/N / 3), 0 where nothing was observed.

    Dividing by the noise rather than by the image's own extremes keeps what a signal is worth; the absolute flux
    stays in the tables.

    Parameters
    ----------
    snr : numpy.ndarray
        Of any shape [S/N], NaN where not observed (`skyloom.images.store.Cutouts.snr`).

    Returns
    -------
    numpy.ndarray, float32
    """
    return np.nan_to_num(np.arcsinh(np.asarray(snr, dtype=np.float32) / SOFTENING), nan=0.0)
