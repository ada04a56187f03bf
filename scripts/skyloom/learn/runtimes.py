"""Networks made ready to run at once on images as they come: compiled by Keras' backend, or by LiteRT."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from ..errors import UserError

BATCHES = (1, 8, 32)
"""Images that go through a network at once; any number of them is split into these, the largest first."""
RUNTIMES = ("keras", "litert")
CLOSE = 1e-4
"""Largest difference between two runtimes, in units of the largest number that a network gives."""


class Runner:
    """A network whose functions are ready for images of some size.

    Parameters
    ----------
    compiled : callable
        Gives the function for a batch of this shape (n, ...), from array to array.
    output_shape : tuple
        Of the network, (None, ...).
    source : str
        SHA-256 of the file of the network that it was exported from, if it was.
    """

    def __init__(self, compiled: Callable[[tuple[int, ...]], Callable], output_shape: tuple, source: str = ""):
        """Keep what makes the functions; each is made when it is first needed."""
        self._compiled, self.output_shape, self.source = compiled, output_shape, source
        self._functions: dict[tuple[int, ...], Callable] = {}

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return what the network gives for images, shape (n, ...), float32."""
        images, results = np.ascontiguousarray(images, dtype=np.float32), []
        start = 0
        for size in sorted(BATCHES, reverse=True):
            while len(images) - start >= size:
                some = images[start : start + size]
                if some.shape not in self._functions:
                    self._functions[some.shape] = self._compiled(some.shape)
                results.append(self._functions[some.shape](some))
                start += size
        return np.concatenate(results) if results else np.zeros((0, *self.output_shape[1:]), np.float32)

    def warm_up(self, shape: tuple[int, ...]) -> None:
        """Make the functions for images of this shape (height, width, channels) and run each once."""
        for size in BATCHES:
            self.outputs(np.zeros((size, *shape), np.float32))


def keras_runner(network: keras.Model) -> Runner:
    """Return a network that the backend of Keras compiles for each size.

    Sums are taken in another order than by `keras.Model.predict_on_batch`, so that the last digits may differ.
    """
    sized: dict[tuple[int, ...], keras.Model] = {}

    def compiled(shape: tuple[int, ...]) -> Callable:
        if shape[1:] not in sized:
            sized[shape[1:]] = simplified(network, shape[1:])
        if keras.backend.backend() != "tensorflow":
            return lambda images: ops.convert_to_numpy(sized[shape[1:]].predict_on_batch(images))
        import tensorflow as tf

        function = _concrete(sized[shape[1:]], shape)
        return lambda images: function(tf.constant(images)).numpy()

    return Runner(compiled, network.output_shape)


def litert_runner(content: bytes, threads: int, name: str) -> Runner:
    """Return a network that LiteRT runs.

    Parameters
    ----------
    content : bytes
        Of `as_litert`.
    threads : int
    name : str
        What an error calls the network, such as its file.

    Raises
    ------
    UserError
        If the content is no such network.
    """
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the interpreter will be a package of its own one day
        try:
            interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
            runners = {key: interpreter.get_signature_runner(key) for key in interpreter.get_signature_list()}
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{name}: cannot be read as a LiteRT network; export it again.") from error
    sources = {key.rpartition("_")[2] for key in runners}
    if len(sources) != 1:
        raise UserError(f"{name}: is no network of export_networks.py; export it again.")
    by_shape = {tuple(_only(one.get_input_details())["shape"].tolist()): one for one in runners.values()}

    def compiled(shape: tuple[int, ...]) -> Callable:
        if shape not in by_shape:
            wanted, given = ("x".join(map(str, one[1:])) for one in (next(iter(by_shape)), shape))
            raise UserError(f"{name}: was exported for images of {wanted}, and these are {given}; export it for these.")
        runner = by_shape[shape]
        (given,), (found,) = runner.get_input_details(), runner.get_output_details()
        return lambda images: runner(**{given: images})[found]

    some = _only(next(iter(runners.values())).get_output_details())["shape"]
    return Runner(compiled, (None, *some[1:].tolist()), sources.pop())


def as_litert(network: keras.Model, shape: tuple[int, ...], source: str) -> bytes:
    """Return a network in LiteRT's format, for images of one size in batches of `BATCHES`.

    Parameters
    ----------
    network : keras.Model
    shape : tuple of int
        (height, width, channels) of the images.
    source : str
        SHA-256 of its file, which stands in the names of its signatures.

    Raises
    ------
    UserError
        If it has an operation that LiteRT does not know, or the backend of Keras is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError("networks are exported with TensorFlow only; unset KERAS_BACKEND.")
    import tensorflow as tf

    small = simplified(network, shape)
    signatures = {f"batch_{size}_{source}": _frozen(small, (size, *shape)) for size in BATCHES}
    with tempfile.TemporaryDirectory() as folder:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures=signatures, options=options)
        try:
            return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures)).convert()
        except Exception as error:
            # The converter raises its own kinds of errors, each with a whole program as its text.
            raise UserError(f"the network `{network.name}` has operations that LiteRT does not know.") from error


def difference(network: Runner, images: np.ndarray, wanted: np.ndarray) -> float:
    """Return by how much a network's outputs differ at most from those wanted, over the largest of these.

    Images are given in batches of every size.
    """
    worst = 0.0
    for size in BATCHES:
        some = np.resize(images, (max(size, len(images)), *images.shape[1:]))
        given = np.concatenate([network.outputs(some[start : start + size]) for start in range(0, len(some), size)])
        worst = np.maximum(worst, np.abs(given[: len(wanted)] - wanted).max())  # which keeps a NaN
    return float(worst) / max(float(np.abs(wanted).max()), 1e-30)


def simplified(network: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """Return a network for images of one size that gives the same, of operations that are quick and known everywhere.

    A convolution along one axis with one filter, such as a wide Gaussian, becomes a product with a matrix; the inverse
    hyperbolic sine becomes a logarithm; what is the same for all images is one image. Weights are shared.

    Raises
    ------
    UserError
        If the network takes images of another size only.
    """
    try:
        return keras.models.clone_model(
            network,
            input_tensors=keras.Input(shape, name="given"),
            clone_function=lambda layer: layer,
            call_function=_simple,
        )
    except ValueError as error:
        wanted, got = ("x".join(map(str, size)) for size in (network.input_shape[1:], shape))
        raise UserError(f"the network `{network.name}` takes {wanted} only, but this is {got}.") from error


def _simple(operation, *args, **kwargs):
    """Return what an operation gives, by a simpler one where there is one."""
    kind = type(operation)
    if kind.__name__ == "Arcsinh":
        return _Simple(operation, _asinh)(args[0])
    if kind.__name__ == "OnesLike":
        return _Simple(operation, lambda image: ops.ones((1, *image.shape[1:])))(args[0])
    if kind is layers.Conv2D and _along_one_axis(operation):
        kernel = ops.convert_to_numpy(operation.kernel)[:, :, 0, 0]
        return _Simple(operation, lambda image: _product(kernel, image))(args[0])
    return operation(*args, **kwargs)


class _Simple(layers.Layer):
    """A function in place of an operation. Operations that are not in a layer might take names that others have."""

    def __init__(self, operation, function: Callable):
        super().__init__(name=f"{operation.name}_simple", dtype="float32")
        self._function = function

    def call(self, image):
        """Return what the function gives."""
        return self._function(image)


def _asinh(value):
    size = ops.abs(value)
    return ops.sign(value) * ops.log(size + ops.sqrt(size * size + 1))


def _along_one_axis(layer: layers.Conv2D) -> bool:
    """Return whether a convolution is a weighted mean along one axis of an image of one channel."""
    return (
        layer.kernel.shape[2:] == (1, 1)
        and 1 in layer.kernel_size
        and (layer.strides, layer.dilation_rate) == ((1, 1), (1, 1))
        and (layer.padding, layer.use_bias) == ("same", False)
        and layer.activation is keras.activations.linear
    )


def _product(kernel: np.ndarray, image):
    """Return an image (n, height, width, 1) convolved with a kernel of one column or one row, by a matrix."""
    line, axis = kernel.ravel(), 1 if kernel.shape[1] == 1 else 2
    side, before = image.shape[axis], (len(line) - 1) // 2
    matrix = sum(weight * np.eye(side, k=k - before, dtype=np.float32) for k, weight in enumerate(line))
    plane = ops.squeeze(image, -1)
    matrix = ops.convert_to_tensor(matrix.astype(np.float32))
    plane = ops.matmul(matrix, plane) if axis == 1 else ops.matmul(plane, ops.transpose(matrix))
    return ops.expand_dims(plane, -1)


def _concrete(network: keras.Model, shape: tuple[int, ...]):
    """Return a network as TensorFlow's function of a batch of this shape."""
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, tf.float32, name="images")]
    return tf.function(
        lambda images: network(images, training=False), input_signature=signature
    ).get_concrete_function()


def _frozen(network: keras.Model, shape: tuple[int, ...]):
    """Return a network as TensorFlow's function of a batch, its weights being constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(_concrete(network, shape))
    signature = [tf.TensorSpec(shape, tf.float32, name="images")]
    return tf.function(lambda images: frozen(images)[0], input_signature=signature).get_concrete_function()


def _only(details: dict) -> dict:
    (value,) = details.values()
    return value


def read_litert(path: str | Path, threads: int) -> Runner:
    """Return the network in a file of export_networks.py (see `litert_runner`)."""
    return litert_runner(Path(path).read_bytes(), threads, str(path))
