"""The training with one part of the augmentation switched off at a time: the rows of the ablation table."""

VARIANTS: dict[str, dict[str, dict]] = {
    "everything": {},
    "no_copies": {"augment": {"copies": 0}},
    "no_flips": {"augment": {"flips": False}, "model": {"flip_online": False}},
    "no_rotations": {"augment": {"rotations": False}},
    "no_resize": {"augment": {"resize": None}},
    "no_shift": {"augment": {"shift": 0}},
    "no_noise": {"augment": {"noise": 0.0}},
    "no_align": {"augment": {"align": False}},
    "no_geometric_mean": {"augment": {"geometric_mean": False}},
    "no_flip_online": {"model": {"flip_online": False}},
    "nothing": {"augment": {"copies": 0, "geometric_mean": False}, "model": {"flip_online": False}},
}
"""For each variant, the settings of the sections `augment` and `models.<model>` that differ from the case's own."""


def changed(settings: dict, variant: str, section: str) -> dict:
    """Return the settings of a section (``augment`` or ``model``) as a variant has them."""
    return {**settings, **VARIANTS[variant].get(section, {})}
