"""Networks on disk: ``.keras`` files whose bytes depend on nothing but the network."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ..errors import UserError
from ..files import existing, written_whole

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""


def save_model(path: str | Path, model: keras.Model) -> None:
    """Write a network, whole or not at all; equal networks give equal bytes.

    Keras puts the date and memory addresses into its files; both are taken out again.

    Parameters
    ----------
    path : path
        Ends in ``.keras``.
    model : keras.Model
        A network without a compiled loss, as `skyloom.nets` builds it.
    """
    with written_whole(path) as part:
        model.save(part)
        members = _members(part)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(members):
                member = zipfile.ZipInfo(name, date_time=_EPOCH)
                member.external_attr = 0o644 << 16
                member.create_system = 3
                archive.writestr(member, members[name])


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata.pop("date_saved", None)
    members["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    config = _numbered(json.loads(members["config.json"]), {})
    members["config.json"] = json.dumps(config, sort_keys=True).encode()
    return members


def _numbered(value: object, numbers: dict[int, int]) -> object:
    """Return the configuration with the addresses of shared objects replaced by 1, 2, ... as they come."""
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(item, len(numbers) + 1) if key == "shared_object_id" else _numbered(item, numbers)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_numbered(item, numbers) for item in value]
    return value


def load_model(path: str | Path) -> keras.Model:
    """Read a network; code hidden in the file is never run (``safe_mode``).

    Raises
    ------
    UserError
        If the file is not such a network.
    """
    path = existing(path, "a trained network")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # Keras raises a dozen kinds of errors for a broken file; for the user they are one.
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(f"{path}: cannot be read as a Keras network ({reason}); train it again.") from error


def load_members(paths: Sequence[str | Path], calibration: dict, source: str | Path) -> list[keras.Model]:
    """Read the networks of an ensemble and make sure that they are those that were calibrated.

    Parameters
    ----------
    paths : sequence of path
        One ``.keras`` file a member, in the calibration's order.
    calibration : dict
        Content of the calibration.
    source : path
        The calibration's file, for the error.

    Raises
    ------
    UserError
        If a file is broken, or holds other weights.
    """
    models = [load_model(path) for path in paths]
    if [weights_sha256(model) for model in models] != calibration["weights_sha256"]:
        names = ", ".join(str(path) for path in paths)
        raise UserError(f"{source}: was made for other weights than those of {names}; calibrate again.")
    return models


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256 of a network's weights: their names, shapes, types and values."""
    digest = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{weight.path} {value.shape} {value.dtype.str}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def identity(name: str, hashes: Sequence[str]) -> str:
    """Return what a catalog row calls its model: name and 12 digits of the hash of the members' weights."""
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return f"{name}-{whole[:12]}"
