"""What other finders see in the same fields as the networks, measured in the same way."""

import time
from collections.abc import Callable

import numpy as np

from ..detect.radio_peers import RadioImage
from ..images.radio_fields import RadioField
from . import field_search
from .field_search import Found
from .running import Stages


def search_with(find: Callable[[RadioImage], np.ndarray], field: RadioField, settings) -> tuple[Found, float]:
    """Search a field with another finder.

    Parameters
    ----------
    find : callable
        One of `skyloom.detect.radio_peers.FINDERS`.
    field : RadioField
        Its mask is not read.
    settings : skyloom.cases.diffuse_radio.Search

    Returns
    -------
    Found
        As `skyloom.learn.field_search.search_field` gives it: the probability is 1 where the finder says that there is
        diffuse emission, and the network for kinds has said nothing.
    float
        Seconds that it took, but for measuring the islands.
    """
    start = time.perf_counter()
    one = field_search.scaled(field, settings.model_copy(update={"subtract": False}))
    height, width = one.image.shape
    seen = RadioImage(
        image=one.image,
        noise=one.noise.of(slice(0, height), slice(0, width)),
        residual=field_search.without_compact(one),
        beam=(field.beam[0] / one.pixel, field.beam[1] / one.pixel, field.beam[2]),
        pixel=one.pixel,
        frequency=field.frequency,
    )
    there = find(seen)
    seconds = time.perf_counter() - start
    probability = np.where(np.isfinite(one.image), there.astype(np.float32), np.nan).astype(np.float32)
    return field_search.found_in(field, one, probability, None, settings, Stages({})), seconds
