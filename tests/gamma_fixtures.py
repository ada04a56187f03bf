"""A small Cherenkov telescope for tests: one response that needs no instrument response functions."""

from types import SimpleNamespace

import numpy as np

from skyloom.instruments.counts_maps import Frame, Response

INDICES, OFFSETS = np.array([2.0, 3.0]), np.array([0.0, 1.0, 2.0])
RADIUS = (np.arange(120) + 0.5) * 0.0125
WIDTH = 0.1
"""Standard deviation of the point spread function [deg]."""
RATE = 2.0
"""Counts a second of one Crab in the middle."""


def response(side: int = 96, pixel: float = 0.025, level: float = 2e-3) -> Response:
    """A Gaussian point spread function; the area falls with the offset, and the background too."""
    frame = Frame(side, pixel)
    lon, lat = frame.grid()
    spread = np.exp(-0.5 * (RADIUS / WIDTH) ** 2) / (2 * np.pi * WIDTH**2)
    fall = 1 - 0.2 * OFFSETS
    return Response(
        frame,
        INDICES,
        OFFSETS,
        RADIUS,
        RATE * np.stack([fall, 0.5 * fall]),
        np.tile(spread, (2, 3, 1)),
        level * np.exp(-(lon**2 + lat**2) / 8),
    )


def sky(**changes) -> SimpleNamespace:
    """Settings of `skyloom.sky.transients.draw_field`."""
    usual = {
        "sources": (1, 3),
        "time": (50.0, 500.0),
        "flux": (0.5, 5.0),
        "index": (2.0, 3.0),
        "offset": (0.0, 0.8),
        "apart": 0.3,
        "scale": 0.2,
        "gradient": (0.0, 0.1),
        "night_sky": 0.1,
    }
    return SimpleNamespace(**(usual | changes))
