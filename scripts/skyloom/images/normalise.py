"""The one way an object's cutouts become what a network sees, in training and in classification alike."""

import numpy as np

SOFTENING = 3.0
"""S/N at which the scale turns from linear to logarithmic: noise stays linear, bright cores do not drown wings."""

CHANNELS = ("native", "scaled")


def network_input(native: np.ndarray, rms: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """Return cutouts as a network takes them: asinh(S/N / 3), with 0 where nothing was observed.

    Dividing by the noise rather than by the image's own extremes keeps what a signal is worth; the absolute flux
    stays in the tables.

    Parameters
    ----------
    native : numpy.ndarray, shape (n, side, side)
        Cutouts at the archive's pixels [Jy/beam].
    rms : numpy.ndarray, shape (n,)
        Noise at each object [Jy/beam].
    scaled : numpy.ndarray, shape (n, side, side)
        Cutouts scaled by the object's size [S/N].

    Returns
    -------
    numpy.ndarray, shape (n, side, side, 2), float32

    Raises
    ------
    ValueError
        If an rms is not a positive number.
    """
    rms = np.asarray(rms, dtype=np.float32)
    if not np.all(rms > 0):
        raise ValueError("every rms should be positive")
    return compressed(np.stack([np.asarray(native, dtype=np.float32) / rms[:, None, None], scaled], axis=-1))


def compressed(snr: np.ndarray) -> np.ndarray:
    """Return asinh(S/N / 3) as float32, with NaN as 0; the last step of `network_input`."""
    return np.nan_to_num(np.arcsinh(np.asarray(snr, dtype=np.float32) / SOFTENING), nan=0.0)
