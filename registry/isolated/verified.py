"""Where a model ran and agreed, as its item keeps it."""

from __future__ import annotations

import platform
from typing import Any

from modelstac.catalog.items.description import ModelDescription
from modelstac.registry.isolated.model import IsolatedModel
from modelstac.registry.isolated.pins import installed
from modelstac.registry.running.model import Model


def model_environment(model: Model, difference: float) -> dict[str, Any]:
    """Return the environment in which a model gave its published example, for ``interop:verified``.

    Parameters
    ----------
    difference
        Largest absolute difference from the example.
    """
    if isinstance(model, IsolatedModel):
        python, asked = model.environment.python, {name.partition("==")[0] for name in model.environment.asked}
        pairs = [name.partition("==") for name in model.environment.packages]
        found = {"python": python, "packages": {name: version for name, _, version in pairs if name in asked}}
    else:
        found = environment_here(model.description)
    return found | {"compared_with": "example", "max_absolute_difference": float(difference)}


def environment_here(description: ModelDescription) -> dict[str, Any]:
    """Return the Python of this process and its packages that run a model."""
    found = installed(description.format, description.backend)
    packages = {} if found is None else {pin.name: str(pin.version) for pin in found.pins}
    return {"python": platform.python_version(), "packages": packages}
