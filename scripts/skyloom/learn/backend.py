"""The one place that knows which backend Keras runs on: quiet logs, fixed threads, repeatable operations.

Keras is imported after `start` only, because a backend reads its environment once, at its first import. TensorFlow is
the default; ``KERAS_BACKEND=jax`` or ``torch`` in the environment chooses another.
"""

import logging
import os

from ..errors import UserError

BACKENDS = ("tensorflow", "jax", "torch")


def name() -> str:
    """Return the backend's name as Keras will see it."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def start(threads: int) -> str:
    """Prepare the backend: no chatter, a fixed number of threads, operations that give the same bits each time.

    Parameters
    ----------
    threads : int
        Threads within and between operations. Sums are split by thread, so their number is part of a result's identity.

    Returns
    -------
    str
        The backend's name.

    Raises
    ------
    UserError
        If the backend is not installed.
    """
    chosen = name()
    if chosen not in BACKENDS:
        raise UserError(f"KERAS_BACKEND is '{chosen}', but Keras knows {', '.join(BACKENDS)}; set one of these.")
    os.environ["KERAS_BACKEND"] = chosen
    # An install that follows Keras's own preferences would otherwise depend on the user's ~/.keras/keras.json.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[chosen](threads)
    except ModuleNotFoundError as error:
        raise UserError(
            f"KERAS_BACKEND is '{chosen}', but {error.name} is not installed; install it or unset the variable."
        ) from error
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    return chosen


def _tensorflow(threads: int) -> None:
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    threading = tf.config.threading
    # A second call in one process finds the pools made; setting them again to the same number would be refused.
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
    if threading.get_inter_op_parallelism_threads() != threads:
        threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()


def _jax(threads: int) -> None:
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}")
    import jax  # noqa: F401


def _torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
