"""Truth and detections of gamma-ray patches whose errors, false detections and shifts are known."""

import numpy as np
from astropy.table import Table, vstack

from skyloom.images.patches import SIDE
from skyloom.learn.patch_matching import KINDS

PIXEL = 0.1
NOISE = 6e-11
"""Flux of a source with an S/N of 1 [cm-2 s-1]."""


def patch_tables(
    patches: int = 200,
    seed: int = 0,
    *,
    error_factor: float = 2.0,
    flux_bias: float = 0.0,
    correlation: float = 0.6,
    other: tuple[float, float] | None = None,
    temperature: float = 2.0,
    tracer: int = 0,
):
    """Return truth and detections of patches with ten sources each on a grid that leaves them apart.

    Positions scatter `error_factor` times as much as they say, fluxes twice, and their median is too high by
    `flux_bias`; the kinds are as often right as their probabilities at a `temperature` of 1. With `other`, as many
    patches follow that show the same sources, with fluxes and positions that scatter by as much more (a logarithm, and
    [deg]).
    """
    sky = np.random.default_rng(seed)
    count = 10 * patches
    places = np.array([(20.0 + 22 * i, 20.0 + 22 * j) for i in range(5) for j in range(5)])
    chosen = np.concatenate([sky.permutation(25)[:20] for _ in range(patches)]).reshape(patches, 20)
    at = places[chosen[:, :10].ravel()] + sky.uniform(-2, 2, (count, 2))
    empty = places[chosen[:, 10:].ravel()] + sky.uniform(-2, 2, (count, 2))
    latitude = np.repeat(sky.uniform(-60, 60, patches), 10)
    flux = np.exp(sky.uniform(np.log(5e-11), np.log(2e-8), count))
    truth = Table(
        {
            "cube": np.repeat(np.arange(patches), 10),
            "source": np.tile(np.arange(10), patches),
            "x": at[:, 0],
            "y": at[:, 1],
            "lon": np.full(count, 30.0),
            "lat": latitude,
            "flux": flux,
            "kind": sky.integers(0, 3, count),
            "snr": flux / NOISE,
            "core": np.abs(at - (SIDE - 1) / 2).max(axis=1) * PIXEL <= 4.6,
            "tracer": np.full(count, tracer),
        }
    )
    how = {"error_factor": error_factor, "flux_bias": flux_bias, "correlation": correlation, "temperature": temperature}
    found = _detections(np.random.default_rng(seed + 1000), truth, empty, (0.0, 0.0), how)
    if other is not None:
        same = truth.copy()
        same["cube"] += patches
        same["tracer"] = 1
        found = vstack([found, _detections(np.random.default_rng(seed + 2000), same, empty, other, how)])
        truth = vstack([truth, same])
    found.meta = {"cubes": patches * (1 if other is None else 2), "pixel": PIXEL}
    return truth, found


def _detections(rng, truth, empty, other, how):
    count = len(truth)
    snr = np.asarray(truth["snr"])
    error = 3.0 / (snr + 2)
    rho = how["correlation"]
    normal = rng.standard_normal((count, 2))
    unit = np.stack([normal[:, 0], rho * normal[:, 0] + np.sqrt(1 - rho**2) * normal[:, 1]], axis=1)
    offset = unit * np.stack([error, 1.5 * error], axis=1) * how["error_factor"]
    offset += other[1] / PIXEL * rng.standard_normal((count, 2))
    relative = 0.02 + 1 / (snr + 5)
    noise = 2 * relative * rng.standard_normal(count) + other[0] * rng.standard_normal(count)
    flux = np.maximum(truth["flux"] * (1 + how["flux_bias"]) * (1 + noise), 1e-12)
    # A softmax that is right as often as it says, told too surely by the temperature.
    logit = rng.normal(0, 1.0, (count, 3))
    shares = np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True)
    kind = (rng.uniform(size=count)[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).clip(0, 2)
    # The truth has been drawn, so the shares of its kind are put where they belong.
    turned = (np.arange(3)[None] - np.asarray(truth["kind"])[:, None] + kind[:, None]) % 3
    said = np.exp(how["temperature"] * np.take_along_axis(logit, turned, axis=1))
    said /= said.sum(axis=1, keepdims=True)
    true = Table({"cube": truth["cube"], "x": truth["x"] + offset[:, 0], "y": truth["y"] + offset[:, 1]})
    true["x_error"], true["y_error"], true["xy_correlation"] = error, 1.5 * error, rho
    true["flux"], true["flux_error"] = flux, relative * flux
    true["snr"] = np.maximum(snr + rng.standard_normal(count), 0.5)
    true["score"] = 1 - np.exp(-true["snr"] / 4)
    true["real"] = 1.2 * (true["snr"] - 4) + rng.standard_normal(count)
    true["lat"] = truth["lat"]
    for number, name in enumerate(KINDS):
        true[f"p_{name}"] = said[:, number]
    false = true.copy()
    false["x"], false["y"] = empty.T
    false["snr"] = rng.exponential(1.0, count) + 0.5
    false["score"] = 1 - np.exp(-false["snr"] / 4)
    false["real"] = 1.2 * (false["snr"] - 4) + rng.standard_normal(count)
    return vstack([true, false])
