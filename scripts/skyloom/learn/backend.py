"""The one place that knows which backend Keras runs on: quiet logs, fixed threads, repeatable operations.

Keras is imported after `start` only, because a backend reads its environment once, at its first import. TensorFlow is
the default; ``KERAS_BACKEND=jax`` or ``torch`` in the environment chooses another.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import UserError

_UNUSED = ("jax", "matplotlib", "pandas", "sklearn")
"""Keras has wrappers for these, TensorFlow converters; nothing here calls them, and they take a third of the import."""


def start(threads: int, device: str = "auto", gpus: int = 0) -> str:
    """Prepare the backend: no chatter, a fixed number of threads, operations that give the same bits each time.

    Parameters
    ----------
    threads : int
        Threads of the operations. Sums are split by thread, so their number is part of a result's identity.
    device : {"auto", "cpu"}
        With "cpu" no GPU is used, even if one was asked for.
    gpus : int
        GPUs that were asked for. Without a wish, one is used where there is one.

    Returns
    -------
    str
        The backend's name and what it runs on, in words.

    Raises
    ------
    UserError
        If Keras does not know the backend, it is not installed, or it sees fewer GPUs than were asked for.
    """
    prepare = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    # Set, not only read: Keras would otherwise look into the user's ~/.keras/keras.json.
    name = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if name not in prepare:
        raise UserError(f"KERAS_BACKEND is '{name}', but Keras knows {', '.join(prepare)}; set one of these.")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        prepare[name](threads)
    except ModuleNotFoundError as error:
        raise UserError(
            f"KERAS_BACKEND is '{name}', but {error.name} is not installed; install it or unset the variable."
        ) from error
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    seen = 0 if device == "cpu" else gpu_count(name)
    if gpus > seen and device != "cpu":
        raise UserError(
            f"{gpus} GPU asked for, but {name} sees {seen or 'none'} here; install the GPU requirements "
            "(docs/cluster.md), or allow the CPU with `device: cpu` in the model's settings."
        )
    used = min(max(gpus, 1), seen)
    return f"{name} on {f'{used} GPU' if used else 'the CPU'}"


def gpu_count(name: str) -> int:
    """Return how many GPUs a backend sees."""
    if name == "tensorflow":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU"))
    if name == "jax":
        import jax

        return 0 if jax.default_backend() == "cpu" else jax.device_count()
    import torch

    return torch.cuda.device_count()


class Replicas:
    """Several devices of one node that share each batch: Keras's own data parallelism.

    That is `MirroredStrategy` under TensorFlow, and under JAX `DataParallel`, which holds for the rest of the process.

    Parameters
    ----------
    count : int
        Devices; with one, or none, nothing is changed.
    devices : sequence of str, optional
        Their names, e.g. ``["CPU:0", "CPU:1"]``; the first `count` GPUs by default.

    Raises
    ------
    UserError
        If the backend has no data parallelism.
    """

    def __init__(self, count: int, devices: Sequence[str] | None = None):
        """Set up the devices."""
        import keras

        self._count, self._strategy = count, None
        if count <= 1:
            return
        name = keras.backend.backend()
        if name == "tensorflow":
            import tensorflow as tf

            self._strategy = tf.distribute.MirroredStrategy(
                list(devices or (f"GPU:{number}" for number in range(count)))
            )
        elif name == "jax":
            names = list(devices or keras.distribution.list_devices("gpu"))[:count]
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))
        else:
            raise UserError(
                f"{name} trains on one GPU only here; ask for one, or set KERAS_BACKEND to tensorflow or jax."
            )

    def scope(self) -> contextlib.AbstractContextManager:
        """Return the context in which a model is built and compiled; it is trained outside of it."""
        return self._strategy.scope() if self._strategy else contextlib.nullcontext()

    def share(self, *arrays: np.ndarray) -> tuple:
        """Return the arrays of a batch, samples first, as ``train_on_batch`` wants them: an equal share a device."""
        if not self._strategy:
            return arrays
        import tensorflow as tf

        parts = [np.split(array, self._count) for array in arrays]

        def of_replica(context):
            return tuple(tf.convert_to_tensor(part[context.replica_id_in_sync_group]) for part in parts)

        return self._strategy.experimental_distribute_values_from_function(of_replica)


def _tensorflow(threads: int) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    with _quiet(), _hidden(_UNUSED):
        import keras  # noqa: F401
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    threading = tf.config.threading
    # A second call in one process finds the pools made, and even the same number would be refused.
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
    if threading.get_inter_op_parallelism_threads() != threads:
        threading.set_inter_op_parallelism_threads(threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        # Otherwise TensorFlow takes all of a GPU's memory, and a second job on it finds none.
        with contextlib.suppress(RuntimeError):  # started already, with the same setting
            tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_op_determinism()


def _jax(threads: int) -> None:
    if threads == 1:
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import jax  # noqa: F401


def _torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what a library writes to file descriptor 2 while it is imported, before its log level takes effect."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    """Let modules that were not imported yet look as if they were not installed."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
