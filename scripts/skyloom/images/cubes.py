"""A spectral cube in memory, as every step of the search for sources takes it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cube:
    """A spectral cube with what is known of its noise and its beam.

    Pixels count from 0: x along the last axis (West), y along the second (North), z is the channel.

    Attributes
    ----------
    data : numpy.ndarray, shape (channels, height, width), float32
        Jy/beam, NaN where not observed.
    rms : numpy.ndarray, shape (channels,)
        Noise of each channel [Jy/beam].
    beam : tuple of float
        FWHM of the major and minor axis [pixel], position angle [deg, North to East].
    frequency : numpy.ndarray, shape (channels,)
        Hz.
    dirty_beam : numpy.ndarray, shape (n, n), optional
        Response to a point source in the middle of the band, with its peak of one at ``n // 2``; None for a cube that
        has been cleaned, or whose dirty beam is not known.
    """

    data: np.ndarray
    rms: np.ndarray
    beam: tuple[float, float, float]
    frequency: np.ndarray
    dirty_beam: np.ndarray | None = None

    @property
    def beam_area(self) -> float:
        """Solid angle of the beam [pixel]."""
        return float(np.pi * self.beam[0] * self.beam[1] / (4 * np.log(2)))

    def integrated(self) -> np.ndarray:
        """Return the sum of all channels in units of its noise (see `summed`)."""
        return self.summed(np.ones(len(self.data)))

    def summed(self, template: np.ndarray) -> np.ndarray:
        """Return the channels summed in units of the sum's noise: a filter matched to a spectrum.

        Parameters
        ----------
        template : numpy.ndarray, shape (channels,)
            The spectrum that is looked for, or a mask of channels; each channel is weighed by it over the variance.

        Returns
        -------
        numpy.ndarray, shape (height, width), float32
            NaN where no channel of the template was observed. A source with a times the template's flux density, in
            Jy, has the flux ``a * sqrt(sum(template**2 / rms**2))`` in it.
        """
        template, rms = np.asarray(template, dtype=float), np.asarray(self.rms, dtype=float)
        used = np.flatnonzero((template != 0) & np.isfinite(rms) & (rms > 0))
        weight = (template[used] / rms[used] ** 2).astype(np.float32)
        part = self.data[used] if len(used) < len(self.data) else self.data
        seen = np.isfinite(part)
        if seen.all():
            total = np.tensordot(weight, part, 1)
            variance = np.sum((template[used] / rms[used]) ** 2)
        else:
            total = np.tensordot(weight, np.where(seen, part, np.float32(0)), 1)
            variance = np.tensordot(((template[used] / rms[used]) ** 2).astype(np.float32), seen.astype(np.float32), 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(variance > 0, total / np.sqrt(variance), np.nan).astype(np.float32)
