"""Random fields with the structure of turbulent plasma, log-normal and filamentary, and how they come onto pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage


def gaussian_field(
    rng: np.random.Generator, shape: tuple[int, int], slope: float, largest: float, smallest: float = 2.0
) -> NDArray:
    """Return a Gaussian random field of zero mean and unit variance with a power law as its spectrum.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Cells along each axis; the field is periodic.
    slope : float
        The power falls with the wavenumber to this power; 11/3 is Kolmogorov's turbulence in projection.
    largest, smallest : float
        Outer and inner scale [cells]: the power is flat beyond the first, and gone below the second.

    Returns
    -------
    (rows, columns) float32 array
    """
    wavenumber = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    power = (wavenumber**2 + largest**-2.0) ** (-slope / 2) * np.exp(-((wavenumber * smallest) ** 2))
    power[0, 0] = 0
    parts = rng.standard_normal((2, *power.shape), dtype=np.float32)
    field = fft.irfft2((parts[0] + 1j * parts[1]) * np.sqrt(power).astype(np.float32), s=shape)
    return (field / field.std()).astype(np.float32)


def filaments(rng: np.random.Generator, shape: tuple[int, int], largest: float, width: float = 0.12) -> NDArray:
    """Return a web of threads: the lines along which a random field is zero, some brighter and some faint.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
    largest : float
        How far threads are apart [cells].
    width : float
        Of a thread, in units of the field's standard deviation.

    Returns
    -------
    (rows, columns) float32 array
        Positive, with a mean of one.
    """
    web = np.zeros(shape, np.float32)
    for scale in (1.0, 0.55):
        threads = 1 / (1 + (gaussian_field(rng, shape, 4.5, largest * scale, largest * scale / 6) / width) ** 2)
        web += scale * threads * np.exp(0.8 * gaussian_field(rng, shape, 3.0, largest * 2))
    return web / web.mean()


def log_normal(rng: np.random.Generator, shape: tuple[int, int], spread: float, largest: float, share: float):
    """Return turbulent brightness: a log-normal field of which a `share` is in threads.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
    spread : float
        Standard deviation of the logarithm, natural.
    largest : float
        Outer scale [cells].
    share : float
        Between 0 and 1; see `filaments`.

    Returns
    -------
    (rows, columns) float32 array
        Positive, with a mean of one.
    """
    field = np.exp(spread * gaussian_field(rng, shape, 11 / 3, largest))
    field *= (1 - share) + share * filaments(rng, shape, largest / 2)
    return field / field.mean()


def deposit(canvas: NDArray, x: NDArray, y: NDArray, flux: NDArray) -> None:
    """Add points to an image in place, each shared among the four pixels around it.

    Parameters
    ----------
    canvas : (rows, columns) array
        Changed. What lies outside is left out.
    x, y : (n,) array
        Pixel coordinates, from 0 at the middle of the first pixel.
    flux : (n,) array
    """
    rows, columns = canvas.shape
    x, y, flux = (np.asarray(values, dtype=float).ravel() for values in (x, y, flux))
    inside = (x > -1) & (x < columns) & (y > -1) & (y < rows)
    x, y, flux = x[inside] + 1, y[inside] + 1, flux[inside]
    if not len(x):
        return
    left, low = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    # With a frame of one pixel around, no pixel of the four is outside.
    right_share, top_share = x - left, y - low
    first, last = low.min(), low.max() + 2
    cell = (low - first) * (columns + 2) + left
    total = np.zeros((last - first) * (columns + 2))
    for down, part in ((0, 1 - top_share), (1, top_share)):
        for right, share in ((0, 1 - right_share), (1, right_share)):
            total += np.bincount(cell + down * (columns + 2) + right, flux * part * share, minlength=len(total))
    total = total.reshape(-1, columns + 2)[:, 1:-1]
    top, bottom = max(first - 1, 0), min(last - 1, rows)
    canvas[top:bottom] += total[top - (first - 1) : bottom - (first - 1)].astype(canvas.dtype)


def stamp(image: NDArray, step: float, x: float, y: float, flux: float) -> tuple[NDArray, tuple[int, int]]:
    """Return an image on coarser or finer cells as a stamp on pixels, and where the stamp belongs.

    Parameters
    ----------
    image : (rows, columns) array
        Brightness; x rises along the second axis.
    step : float
        Side of its cells [pixel].
    x, y : float
        Pixel coordinates of its middle.
    flux : float
        Sum of the stamp.

    Returns
    -------
    (rows, columns) float32 array
    tuple of int
        Row and column of the stamp's first pixel; both may be negative.
    """
    rows, columns = image.shape
    low_y, low_x = y - step * (rows - 1) / 2, x - step * (columns - 1) / 2
    row, column = int(np.floor(low_y - step)), int(np.floor(low_x - step))
    size = int(np.ceil(step * (rows + 1))) + 2, int(np.ceil(step * (columns + 1))) + 2
    result = np.zeros(size, np.float32)
    if step <= 1:
        grid_y = low_y - row + step * np.arange(rows)
        grid_x = low_x - column + step * np.arange(columns)
        used = image > 0
        deposit(result, *(np.broadcast_to(g, image.shape)[used] for g in (grid_x, grid_y[:, None])), image[used])
    else:
        matrix = np.array([1 / step, 1 / step])
        offset = (row - low_y) / step, (column - low_x) / step
        ndimage.affine_transform(image.astype(np.float32), matrix, offset, size, result, order=1)
    result *= np.float32(flux) / result.sum(dtype=float)
    return result, (row, column)


def overlap(corner: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]):
    """Return which part of a canvas a stamp covers, and which of the stamp that is, as two pairs of slices.

    Parameters
    ----------
    corner : tuple of int
        Row and column of the stamp's first pixel on the canvas.
    size, shape : tuple of int
        Of the stamp and of the canvas.
    """
    canvas, own = [], []
    for start, length, whole in zip(corner, size, shape, strict=True):
        low, high = min(max(start, 0), whole), max(min(start + length, whole), 0)
        canvas.append(slice(low, max(high, low)))
        own.append(slice(low - start, max(high, low) - start))
    return tuple(canvas), tuple(own)
