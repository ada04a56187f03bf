"""What it takes to run a chain of networks: the time of its stages, and networks for images of another size."""

import time
from dataclasses import dataclass, field

import keras

from ..errors import UserError

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


def of_size(network: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """Return a network for images (height, width, channels) or spectra (length, channels) of another size.

    Convolutions and recurrent layers do not ask for a size; the weights are the same.
    """
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
