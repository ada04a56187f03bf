"""Apply trained networks: logits of members, over the eight orientations of an image."""

from collections.abc import Sequence

import keras
import numpy as np

from ..errors import UserError
from .runtimes import Runner

ORIENTATIONS = 8
"""Rotations by quarter turns, each with and without a mirror: the symmetries of the square."""


def oriented(images: np.ndarray, orientation: int) -> np.ndarray:
    """Return images in one of the eight orientations of the square.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, side, side, channels)
        A square image each.
    orientation : int
        0 to 7; quarter turns are ``orientation % 4``, and 4 and above are mirrored first.
    """
    if orientation >= 4:
        images = images[:, :, ::-1]
    return np.rot90(images, orientation % 4, axes=(1, 2))


def logits(model: keras.Model, images: np.ndarray, all_orientations: bool = False, batch_size: int = 64) -> np.ndarray:
    """Return a network's logits.

    Parameters
    ----------
    model : keras.Model
        From images to one logit each.
    images : numpy.ndarray, shape (n, side, side, channels), float32
        Network input.
    all_orientations : bool
        Whether to return the mean logit of the eight orientations, which has no preferred direction, instead of the
        logit of the image as it is.
    batch_size : int
        Images at a time; the last batch is filled up, so that a logit does not depend on the others' number.

    Returns
    -------
    numpy.ndarray, shape (n,), float64

    Raises
    ------
    UserError
        If the images are not of the shape that the network was built for.
    """
    if model.input_shape[1:] != images.shape[1:]:
        takes, given = ("x".join(map(str, shape)) for shape in (model.input_shape[1:], images.shape[1:]))
        raise UserError(f"the network takes images of {takes}, but these are {given}; crop and train with one size.")
    result = np.empty(len(images))
    turns = range(ORIENTATIONS) if all_orientations else (0,)
    batch = np.zeros((batch_size, *images.shape[1:]), np.float32)
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        total = np.zeros(len(some))
        for turn in turns:
            batch[: len(some)] = oriented(some, turn)
            total += np.asarray(model.predict_on_batch(batch), np.float64)[: len(some), 0]
        result[start : start + len(some)] = total / len(turns)
    return result


def outputs(model: keras.Model | Runner, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Return what a network gives for images or spectra, shape (n, ...), float32.

    The last batch is filled up, so that a result does not depend on the others' number. A `Runner` has batches of its
    own.
    """
    if isinstance(model, Runner):
        return model.outputs(images)
    results = []
    for start in range(0, len(images), batch_size):
        some = np.asarray(images[start : start + batch_size], np.float32)
        batch = np.zeros((batch_size, *some.shape[1:]), np.float32)
        batch[: len(some)] = some
        results.append(keras.ops.convert_to_numpy(model.predict_on_batch(batch))[: len(some)])
    return np.concatenate(results) if results else np.zeros((0, *model.output_shape[1:]), np.float32)


def member_logits(models: Sequence[keras.Model], images: np.ndarray, all_orientations: bool) -> np.ndarray:
    """Return the logits of each member of an ensemble, shape (members, n) (see `logits`)."""
    return np.stack([logits(model, images, all_orientations) for model in models])
