"""What the networks of a chain are there for."""

from collections.abc import Mapping

ROLES = {"maps": "map", "spectra": "lines"}
"""What a network gives that is trained on these examples; on others, it gives the quantity that it is trained for."""


def roles(models: Mapping[str, object]) -> dict[str, str]:
    """Return the name of the model in each role of a chain.

    Parameters
    ----------
    models : mapping of str to skyloom.config.schema.ChainModel
        The models of the chain, by name.
    """
    return {ROLES.get(model.dataset, model.target): name for name, model in models.items()}
