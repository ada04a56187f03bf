"""The one place that knows which backend Keras runs on: quiet logs, fixed threads, repeatable operations.

Keras is imported after `start` only, because a backend reads its environment once, at its first import. TensorFlow is
the default; ``KERAS_BACKEND=jax`` or ``torch`` in the environment chooses another.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from ..errors import UserError


def start(threads: int) -> str:
    """Prepare the backend: no chatter, a fixed number of threads, operations that give the same bits each time.

    Parameters
    ----------
    threads : int
        Threads of the operations. Sums are split by thread, so their number is part of a result's identity.

    Returns
    -------
    str
        The backend's name.

    Raises
    ------
    UserError
        If Keras does not know the backend, or it is not installed.
    """
    prepare = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    # Set, not only read: Keras would otherwise look into the user's ~/.keras/keras.json.
    name = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if name not in prepare:
        raise UserError(f"KERAS_BACKEND is '{name}', but Keras knows {', '.join(prepare)}; set one of these.")
    try:
        prepare[name](threads)
    except ModuleNotFoundError as error:
        raise UserError(
            f"KERAS_BACKEND is '{name}', but {error.name} is not installed; install it or unset the variable."
        ) from error
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    return name


def _tensorflow(threads: int) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    with _quiet():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    threading = tf.config.threading
    # A second call in one process finds the pools made, and even the same number would be refused.
    if threading.get_intra_op_parallelism_threads() != threads:
        threading.set_intra_op_parallelism_threads(threads)
    if threading.get_inter_op_parallelism_threads() != threads:
        threading.set_inter_op_parallelism_threads(threads)
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
