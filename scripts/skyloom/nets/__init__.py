"""Networks, each a function that reads from top to bottom as its diagram.

Every classifier has the same outside: ``build(input_shape)`` returns a `keras.Model` from images (n, height, width,
channels), normalised by `skyloom.images.normalise`, to **one logit a sample**, (n, 1). The logit is the log odds of the
positive class; a sigmoid turns it into a probability, after `skyloom.learn.calibration` has scaled it.
Layers carry explicit names, so that the same network is saved as the same bytes in any process.
"""

import difflib
from collections.abc import Callable

from ..errors import UserError


def network(name: str) -> Callable:
    """Return the ``build`` function of the network called `name`.

    Raises
    ------
    UserError
        If there is no such network; the sentence names the nearest one.
    """
    from . import thesis_cnn, windnet

    builders = {"thesis_cnn": thesis_cnn.build, "windnet": windnet.build}
    if name not in builders:
        near = difflib.get_close_matches(name, builders, n=1, cutoff=0.3)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(builders)}."
        raise UserError(f"`network`: there is no network `{name}`; {hint}")
    return builders[name]
