"""Random numbers that depend on what is made, never on when or by how many cores."""

import hashlib

import numpy as np


def seed_sequence(seed: int, *keys: str | int) -> np.random.SeedSequence:
    """Return the seed sequence of one piece of work.

    Parameters
    ----------
    seed : int
        The run's seed (``run.seed``).
    *keys : str or int
        What the numbers are for, e.g. ``"disk_winds", "simulate_archive", 17``. Equal keys give equal numbers,
        different keys independent ones.

    Returns
    -------
    numpy.random.SeedSequence
    """
    spawn_key = tuple(
        int.from_bytes(hashlib.sha256(f"{type(key).__name__}:{key}".encode()).digest()[:4], "little") for key in keys
    )
    return np.random.SeedSequence(seed, spawn_key=spawn_key)


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """Return a PCG64 generator for one piece of work (see `seed_sequence`)."""
    return np.random.default_rng(seed_sequence(seed, *keys))


def stable_hash(text: str) -> int:
    """Return a 64-bit hash of a text that is the same on every machine and in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
