"""What the networks of a chain are there for, and the files that they and their calibration are in."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import UserError
from ..files import existing, read_json

CALIBRATION = ("probability", "errors", "threshold", "identity", "models_sha256")
"""What is in the file that calibrate_detections.py writes, and read by other steps."""


def roles(models: Mapping[str, object], by_dataset: Mapping[str, str]) -> dict[str, str]:
    """Return the name of the model in each role of a chain.

    Parameters
    ----------
    models : mapping of str to skyloom.config.schema.ChainModel
        The models of the chain, by name.
    by_dataset : mapping of str to str
        Role of the model that is trained on a dataset; on others, a model has the name of its target.
    """
    return {by_dataset.get(model.dataset, model.target): name for name, model in models.items()}


def member_role(role: str, member: int) -> str:
    """Return the role of one member of an ensemble: the first has the model's own, the others a number behind it."""
    return f"{role}.{member}" if member else role


def members(networks: Mapping[str, object], role: str) -> list:
    """Return the networks of an ensemble in their order, of all networks by their role; an empty list if none is."""
    count = 0
    while member_role(role, count) in networks:
        count += 1
    return [networks[member_role(role, number)] for number in range(count)]


def chain_files(given: Sequence[str], needed: Iterable[str] = ()) -> dict[str, Path]:
    """Return the files of a chain's networks by their role.

    Parameters
    ----------
    given : sequence of str
        ROLE=FILE of each network.
    needed : iterable of str
        Roles that must be among them.

    Raises
    ------
    UserError
        If a role that is needed or a file is missing, or a text is not of this form.
    """
    files = {}
    for text in given:
        role, _, path = text.partition("=")
        if not role or not path:
            raise UserError(f"--models: `{text}` should be ROLE=FILE, such as map=blobs_0.keras.")
        files[role] = existing(path, f"the network with the role `{role}`")
    missing = [role for role in needed if role not in files]
    if missing:
        raise UserError(f"--models: no network has the role `{missing[0]}`; add {missing[0]}=FILE.")
    return files


def roles_before(dataset: str, by_dataset: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the roles of the networks that the predicted examples of a dataset are made with.

    Parameters
    ----------
    dataset : str
    by_dataset : mapping of str to sequence of str
        These roles for every dataset that there is.

    Raises
    ------
    UserError
        If there is no such dataset.
    """
    if dataset not in by_dataset:
        raise UserError(f"--dataset: there is no `{dataset}`; it should be one of {', '.join(by_dataset)}.")
    return by_dataset[dataset]


def read_calibration(path: str | Path) -> dict:
    """Return what calibrate_detections.py has written.

    Raises
    ------
    UserError
        If the file is missing or holds something else.
    """
    return with_entries(read_json(path), CALIBRATION, path, "the calibration of a chain")


def with_entries(value: object, needed: Iterable[str], path: str | Path, what: str) -> dict:
    """Return the content of a JSON file if it has all entries that are needed; `what` says what it should hold.

    Raises
    ------
    UserError
        If it lacks one.
    """
    missing = [name for name in needed if not isinstance(value, dict) or name not in value]
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`, so it does not hold {what}; make it again.")
    return value
