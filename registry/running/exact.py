"""A model as its framework computes it, for what runs models: the source of a proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.signature import Arrays, Signature


class RunsExactly(Protocol):
    """What runs in two ways; :class:`modelstac.registry.running.model.Model` is one."""

    item: pystac.Item
    description: ModelDescription
    signature: Signature

    def run_exactly(self, inputs: Arrays, /, *, finite: bool = True) -> dict[str, np.ndarray[Any, Any]]:
        """Run it as its framework computes it."""
        ...


class Exact:
    """Runs a model by its :meth:`~modelstac.registry.running.model.Model.run_exactly`."""

    def __init__(self, model: RunsExactly) -> None:
        self.item, self.description, self.signature = model.item, model.description, model.signature
        self._model = model

    def run(self, inputs: Arrays, /, *, finite: bool = True) -> dict[str, np.ndarray[Any, Any]]:
        """Run the model as its framework computes it."""
        return self._model.run_exactly(inputs, finite=finite)
