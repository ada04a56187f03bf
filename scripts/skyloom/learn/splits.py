"""Targets as groups, groups to splits, and the gate that no group passes twice."""

from collections.abc import Iterable, Mapping

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..errors import UserError
from ..seeds import stable_hash
from .datasets import JOINT, SPLITS

SMALLEST_STRATUM = len(SPLITS)


def target_groups(ra: np.ndarray, dec: np.ndarray, same: Iterable[np.ndarray], separation: float) -> np.ndarray:
    """Return a number for each object, equal for all objects of one target.

    Two objects are of one target if they are near each other on the sky, or if they share a name that identifies
    the target or the image; and so are their partners' partners.

    Parameters
    ----------
    ra, dec : numpy.ndarray, shape (n,)
        Position [deg].
    same : iterable of numpy.ndarray of str, shape (n,)
        Names of each object; an empty one tells nothing.
    separation : float
        Objects nearer than this are one target [arcsec].

    Returns
    -------
    numpy.ndarray of int, shape (n,)
    """
    count = len(ra)
    if not count:
        return np.zeros(0, int)
    where = SkyCoord(ra, dec, unit="deg")
    first, second, _, _ = where.search_around_sky(where, separation * units.arcsec)
    links = [(first, second)]
    for names in same:
        names = np.asarray(names, dtype=str)
        _, representative, inverse = np.unique(names, return_index=True, return_inverse=True)
        known = np.flatnonzero(names != "")
        links.append((known, representative[inverse[known]]))
    rows, columns = (np.concatenate(side) for side in zip(*links, strict=True))
    return connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count)))[1]


def assign_splits(groups: np.ndarray, labels: np.ndarray, validation: float, test: float, seed: int) -> np.ndarray:
    """Return the split of each object; all objects of a group get the same, and each split gets both classes.

    Groups with a positive object and those without are divided apart, in an order that depends on the seed and on
    the group's name only.

    Parameters
    ----------
    groups : numpy.ndarray of str, shape (n,)
    labels : numpy.ndarray of int, shape (n,)
        0 or 1.
    validation, test : float
        Shares of the groups; the rest trains.
    seed : int

    Returns
    -------
    numpy.ndarray of str, shape (n,)

    Raises
    ------
    UserError
        If a class has fewer groups than there are splits.
    """
    groups, labels = np.asarray(groups, dtype=str), np.asarray(labels)
    names = np.unique(groups)
    positive = np.unique(groups[labels == 1])
    split_of = {}
    for what, stratum in (("positive", positive), ("negative", np.setdiff1d(names, positive))):
        count = len(stratum)
        if count < SMALLEST_STRATUM:
            raise UserError(
                f"labels: only {count} {what} targets are labelled, but {', '.join(SPLITS)} need at least one each; "
                "label more."
            )
        order = sorted(stratum.tolist(), key=lambda name: (stable_hash(f"{seed}:{name}"), name))
        n_test, n_validation = (max(1, round(share * count)) for share in (test, validation))
        n_validation = max(1, min(n_validation, count - n_test - 1))
        n_test = min(n_test, count - n_validation - 1)
        for rank, name in enumerate(order):
            held_out = "validation" if rank < n_test + n_validation else "train"
            split_of[name] = "test" if rank < n_test else held_out
    return np.array([split_of[name] for name in groups.tolist()])


def check_no_leakage(groups: Mapping[str, Iterable[str]]) -> None:
    """Let pass only splits that share no group; a pair belongs to both of its groups.

    Parameters
    ----------
    groups : mapping of str to iterable of str
        The groups of the samples of each split.

    Raises
    ------
    UserError
        If a group stands in two splits; the sentence names it.
    """
    seen: dict[str, str] = {}
    for split, names in groups.items():
        for name in sorted({part for joint in names for part in str(joint).split(JOINT)}):
            if seen.setdefault(name, split) != split:
                raise UserError(
                    f"leakage: the target `{name}` stands in both {seen[name]} and {split}; "
                    "make the labels again with label_objects.py."
                )
