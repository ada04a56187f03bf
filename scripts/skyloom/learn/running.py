"""What it takes to run a chain of networks: the time of its stages, networks for other sizes, what they are given."""

import time
from dataclasses import dataclass, field

import keras
import numpy as np

from ..errors import UserError
from .runtimes import Runner

_RESIZED: dict[tuple, tuple[keras.Model, keras.Model]] = {}


@dataclass
class Stages:
    """Seconds that each stage of the chain took, summed over the observations."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, since: float) -> float:
        """Add the time since `since` to a stage and return the time now."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now


def of_size(network: keras.Model | Runner, shape: tuple[int, ...]) -> keras.Model | Runner:
    """Return a network for images (height, width, channels) or spectra (length, channels) of another size.

    Convolutions and recurrent layers do not ask for a size; the weights are the same. A `Runner` sees to that itself.
    """
    if isinstance(network, Runner):
        return network
    if tuple(getattr(network, "input_shape", (None, *shape))[1:]) == tuple(shape):
        return network
    if (id(network), shape) not in _RESIZED:
        try:
            resized = keras.models.clone_model(network, input_tensors=keras.Input(shape, name="given"))
            resized.set_weights(network.get_weights())
        except ValueError as error:
            wanted, got = ("x".join(map(str, size[:-1])) for size in (network.input_shape[1:], shape))
            raise UserError(
                f"the network `{network.name}` takes {wanted} only, but this is {got}; choose source_map, or resample."
            ) from error
        # The network is kept as well, or another one might come to have its number.
        _RESIZED[id(network), shape] = network, resized
    return _RESIZED[id(network), shape][1]


class Watched:
    """A network that keeps what it is given and what it gives."""

    def __init__(self, network: keras.Model):
        """Watch a network."""
        self.network, self.output_shape = network, network.output_shape
        self.images: list[np.ndarray] = []
        self._given: list[np.ndarray] = []

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """Return what the network gives for images, shape (n, ...)."""
        given = of_size(self.network, images.shape[1:]).predict_on_batch(images)
        self.images.append(images.copy())
        self._given.append(keras.ops.convert_to_numpy(given))
        return self._given[-1]

    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all images and all that was given for them.

        Raises
        ------
        UserError
            If the images are not of one size.
        """
        if len({one.shape[1:] for one in self.images}) > 1:
            raise UserError(f"the network `{self.network.name}` is given images of several sizes; use it with Keras.")
        return np.concatenate(self.images), np.concatenate(self._given)
