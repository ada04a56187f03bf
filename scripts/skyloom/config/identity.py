"""A short name for the settings that a result was made with."""

import hashlib
import json


def settings_hash(*settings) -> str:
    """Return 12 hexadecimal digits that change when any of the settings changes.

    Parameters
    ----------
    *settings : pydantic.BaseModel or str
        Sections of the configuration, or hashes of earlier steps.
    """
    values = [value if isinstance(value, str) else value.model_dump(mode="json") for value in settings]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
