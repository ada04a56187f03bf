"""Our own network that measures a source: the moments of its image, and a residual network that reads them."""

import math

import keras
import numpy as np
from keras import layers

TASK = "value"


def build(
    input_shape: tuple[int, int, int],
    outputs: int = 1,
    scales: tuple[float, ...] = (5.0, 10.0),
    order: int = 6,
    width: int = 64,
    blocks: int = 3,
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (height, width, channels). The first channel is the image of one source, divided by its peak, which lies within
        a pixel or so of (height // 2, width // 2). Each further channel is a plane of one value of order one, such as
        the logarithm of the S/N.
    outputs : int
        Quantities that are measured, e.g. a value and its log variance.
    scales : tuple of float
        FWHM of the Gaussians of the moments [pixel], about those of the sources as they are seen, and of their
        finest detail.
    order : int
        Highest power of a pixel's coordinates in the moments.
    width : int
        Numbers in each residual block.
    blocks : int
        Residual blocks.

    Returns
    -------
    keras.Model
        From (n, height, width, channels) to (n, outputs), of any value.

    Notes
    -----
    All sources look like the beam to within some per cent, and what is asked lies in the difference. From pixels, a
    network learns that difference last: its gradients are those of the mean image. So the image enters
    by the differences themselves: its products with Gauss-Hermite functions (shapelets, Refregier 2003,
    arXiv:astro-ph/0105178), less those of a round Gaussian. Position, width, elongation and angle are nearly linear
    in those of low order, noise and neighbours far from the middle hardly enter, and there is nothing to learn in
    them: they stay as they are. The residual blocks (He et al. 2016, arXiv:1603.05027) begin as the identity, and have
    no normalisation, whose statistics of a batch would be noise of several per cent.
    """
    image = keras.Input(input_shape, name="image")
    kernel = np.concatenate([_modes(*input_shape[:2], scale, order) for scale in scales], axis=1)
    # "channels_first" lets this layer crop the last axis: of all channels, the first stays. Pixels and moments stay in
    # float32 under mixed precision, too, as half of it is too coarse for what is asked.
    first = ((0, 0), (0, input_shape[-1] - 1))
    x = layers.Cropping2D(first, data_format="channels_first", dtype="float32", name="source")(image)
    moments = layers.Dense(kernel.shape[1], trainable=False, dtype="float32", name="moments")
    x = moments(layers.Flatten(dtype="float32", name="pixels")(x))
    if input_shape[-1] > 1:
        planes = layers.Cropping2D(((0, 0), (1, 0)), data_format="channels_first", name="planes")(image)
        x = layers.Concatenate(name="features")([x, layers.GlobalAveragePooling2D(name="plane_values")(planes)])
    x = layers.Dense(width, name="stem")(x)
    for number in range(1, blocks + 1):
        name = f"block_{number}"
        y = layers.Activation("silu", name=f"{name}_silu_1")(x)
        y = layers.Dense(width, activation="silu", name=f"{name}_dense_1")(y)
        y = layers.Dense(width, kernel_initializer="zeros", name=f"{name}_dense_2")(y)
        x = layers.Add(name=f"{name}_sum")([x, y])
    x = layers.Activation("silu", name="silu")(x)
    x = layers.Dense(outputs, dtype="float32", name="value")(x)
    typical = _modes(*input_shape[:2], max(scales), 0)
    typical = typical[:, 0] / typical.max()
    moments.set_weights([kernel, -typical @ kernel])
    return keras.Model(image, x, name="source_net")


def _modes(height: int, width: int, fwhm: float, order: int) -> np.ndarray:
    """Return Gauss-Hermite functions of both coordinates, shape (height width, (order + 1) (order + 2) / 2).

    Each is of unit norm, and they are orthogonal as far as the image holds them.
    """
    sigma = fwhm / math.sqrt(8 * math.log(2))
    y, x = ([_hermite(n, (np.arange(side) - side // 2) / sigma) for n in range(order + 1)] for side in (height, width))
    modes = [np.outer(y[total - n], x[n]).ravel() for total in range(order + 1) for n in range(total + 1)]
    return (np.stack(modes, axis=1) / sigma).astype(np.float32)


def _hermite(n: int, x: np.ndarray) -> np.ndarray:
    """Return the Gauss-Hermite function of degree n, of unit norm."""
    norm = math.sqrt(2**n * math.factorial(n) * math.sqrt(math.pi))
    return np.polynomial.hermite.hermval(x, [0] * n + [1]) * np.exp(-(x**2) / 2) / norm
