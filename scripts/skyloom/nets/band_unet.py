"""Our own U-Net of several inputs: maps of a patch of the sky in several energy bands, each at its own size."""

import math

import keras
import numpy as np
from keras import layers, ops

from ..images.patches import SIDE, packed_rows, packed_sides

TASK = "map"

FIRST = 0.01
"""What an untrained network says of every pixel: few are of sources."""
_MAIN, _SMALLEST = 64, 8
"""Sides of the maps at the top and the bottom of the U-Net [pixel]; finer maps enter and leave by one layer."""
_POOL = 4


def build(
    input_shape: tuple[int, int, int],
    outputs: int = 1,
    widths: tuple[int, ...] = (32, 48, 64, 64),
    details: int = 8,
    scales: tuple[float, ...] = (1.0, 2.0, 3.5),
    surroundings: float = 8.0,
) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (32 tiles, 32, 1): the counts of all bands, packed by `skyloom.images.patches.packed`.
    outputs : int
        Maps that are given.
    widths : tuple of int
        Filters where the map's side is 64, 32, 16 and 8 pixels.
    details : int
        Filters where it is 128 pixels.
    scales : tuple of float
        Standard deviations of the Gaussians that gather the counts of a source [pixel of the band].
    surroundings : float
        Standard deviation of the Gaussian that tells the counts around it [pixel of the band].

    Returns
    -------
    keras.Model
        From (n, 32 tiles, 32, 1) to (n, 128, 128, outputs), on the reference grid, of values from 0 to 1.

    Raises
    ------
    UserError
        If the shape is not that of packed maps.

    Notes
    -----
    A band's point spread function is a few of its pixels wide, at 0.3 GeV as at 20 GeV: that is what the sizes are
    chosen for. So each band enters by the same features, its excess over the surroundings in units of the Poisson
    noise at several scales, and it enters where the U-Net (Ronneberger et al. 2015, arXiv:1505.04597) has its size. The
    counts stay absolute: the noise they are compared with is their own, and its logarithm is a feature. The Gaussians
    are fixed; the maps are continued by their mirror images beyond the edges.
    """
    sides = packed_sides(input_shape[0])
    counts = keras.Input(input_shape, name="counts")
    seen, fine = {}, []
    for number, (side, rows) in enumerate(zip(sides, packed_rows(sides), strict=True)):
        name = f"band_{number}"
        crop = (rows.start, input_shape[0] - rows.stop), (0, 0)
        one = layers.Cropping2D(crop, name=f"{name}_rows")(counts)
        one = layers.Reshape((side, side, 1), name=f"{name}_map")(one)
        if side > SIDE:
            fine.append(_details(one, surroundings, details, name))
            one, side = layers.AveragePooling2D(2, name=f"{name}_halved")(one) * 4, SIDE
        seen.setdefault(side, []).append(_excesses(one, scales, surroundings, name))
    width = dict(zip((64, 32, 16, 8), widths, strict=True))

    # What is finer than the main size enters as channels of it, and once more at the very end.
    fine += seen.get(SIDE, [])
    fine = _joined(fine, f"joined_{SIDE}") if fine else None
    x, kept, side = None, {}, min(max(sides), _MAIN)
    while True:
        if side == _MAIN and fine is not None:
            x = layers.Conv2D(width[side], 2, strides=2, name=f"to_{side}")(fine)
        x = _joined([*([] if x is None else [x]), *seen.get(side, [])], f"joined_{side}")
        x = layers.Conv2D(width[side], 3, padding="same", name=f"into_{side}")(x)
        x = kept[side] = _residual(x, width[side], f"down_{side}")
        if side == _SMALLEST:
            break
        side //= 2
        x = layers.Conv2D(width[side], 2, strides=2, name=f"to_{side}")(x)
    while side < _MAIN:
        side *= 2
        x = layers.Conv2DTranspose(width[side], 2, strides=2, name=f"up_to_{side}")(x)
        if side in kept:
            x = layers.Concatenate(name=f"skip_{side}")([x, kept[side]])
            x = layers.Conv2D(width[side], 1, name=f"both_{side}")(x)
        x = _residual(x, width[side], f"up_{side}")
    x = layers.Conv2DTranspose(details, 2, strides=2, name=f"up_to_{SIDE}")(layers.Activation("silu", name="silu")(x))
    if fine is not None:
        x = layers.Concatenate(name=f"skip_{SIDE}")([x, fine])
    x = layers.Conv2D(details, 3, padding="same", activation="silu", name=f"up_{SIDE}")(x)
    x = layers.Conv2D(
        outputs,
        1,
        activation="sigmoid",
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(math.log(FIRST / (1 - FIRST))),
        name="sources",
    )(x)
    return keras.Model(counts, x, name="band_unet")


def half_turned(images: np.ndarray) -> np.ndarray:
    """Return packed maps (n, 32 tiles, 32, 1) turned by half a turn, each band by itself."""
    result = np.empty_like(images)
    for rows in packed_rows(packed_sides(images.shape[1])):
        result[:, rows] = images[:, rows][:, ::-1, ::-1]
    return result


def _joined(parts: list, name: str):
    return parts[0] if len(parts) == 1 else layers.Concatenate(name=name)(parts)


def _residual(x, filters: int, name: str):
    """Return a residual block that begins as the identity."""
    y = layers.Activation("silu", name=f"{name}_silu_1")(x)
    y = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv_1")(y)
    y = layers.Activation("silu", name=f"{name}_silu_2")(y)
    y = layers.Conv2D(filters, 1, kernel_initializer="zeros", name=f"{name}_conv_2")(y)
    return layers.Add(name=f"{name}_sum")([x, y])


def _details(counts, surroundings: float, filters: int, name: str):
    """Return what is finer than the reference grid as channels of it."""
    around = _surroundings(counts, surroundings, f"{name}_details")
    excess = ops.arcsinh((counts - around) / ops.sqrt(around + 0.25))
    return layers.Conv2D(filters, 4, strides=2, padding="same", name=f"{name}_details")(excess)


def _excesses(counts, scales: tuple[float, ...], surroundings: float, name: str):
    """Return the excess of counts over their surroundings in units of its noise, at each scale, and log surroundings.

    Large ones enter by their inverse hyperbolic sine.
    """
    x = _smoothed(counts, scales, name)
    around = _surroundings(counts, surroundings, name)
    level = around + 1e-3
    features = [ops.arcsinh((counts - around) / ops.sqrt(level + 0.25))]
    for number, scale in enumerate(scales):
        # The sum of the Gaussian's squared weights is the variance of what it gathers, for a level of one.
        gathered = 1 / (4 * math.pi * scale**2)
        noise = ops.sqrt(level * gathered + 0.25 * gathered**2)
        features.append(ops.arcsinh((x[..., number : number + 1] - around) / noise))
    features.append(0.5 * ops.log(level))
    return layers.Concatenate(name=f"{name}_excesses")(features)


def _surroundings(counts, scale: float, name: str):
    """Return maps smoothed by a wide Gaussian, which takes fewer pixels."""
    coarse = layers.AveragePooling2D(_POOL, name=f"{name}_pooled")(counts)
    around = _smoothed(coarse, (scale / _POOL,), f"{name}_around")
    return layers.UpSampling2D(_POOL, interpolation="bilinear", name=f"{name}_surroundings")(around)


def _smoothed(counts, scales: tuple[float, ...], name: str):
    """Return maps smoothed by Gaussians, one channel each, by two layers that are not trained."""
    reach = math.ceil(3 * max(scales))
    line = np.arange(-reach, reach + 1)
    lines = np.stack([np.exp(-0.5 * (line / scale) ** 2) for scale in scales], axis=1)
    lines = (lines / lines.sum(axis=0)).astype(np.float32)
    size, fixed = len(line), {"use_bias": False, "trainable": False, "dtype": "float32"}
    x = ops.pad(counts, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    along_y = layers.Conv2D(len(scales), (size, 1), name=f"{name}_y", **fixed)
    along_x = layers.DepthwiseConv2D((1, size), name=f"{name}_x", **fixed)
    x = along_x(along_y(x))
    along_y.set_weights([lines.reshape(size, 1, 1, len(scales))])
    along_x.set_weights([lines.reshape(1, size, len(scales), 1)])
    return x
