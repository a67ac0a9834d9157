"""The variants that can be trained, and what a training job asks of a framework: the same few functions of each.

A framework is imported only when its variant is trained.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.ahead import uncollected
from modelstac.catalog.errors import MissingPackageError, SpecError
from modelstac.registry.runtimes.backends import require_keras

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.training.architecture import Spec
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting.checkpoints import Checkpoints
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.fitting.fit import FitSpec
    from modelstac.training.fitting.history import History

Forecast = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From values 0 to 1 (window, time, y, x) to those of the frames that follow, in the same layout."""


@dataclass(frozen=True)
class Trained:
    """A model after training, for scoring and saving, whatever its framework.

    Parameters
    ----------
    forecast
        Runs it in inference mode.
    save
        Writes it in the format of the variant.
    history
        The losses.
    computed
        On what and how, as `Execution.recorded` gives it.
    """

    forecast: Forecast
    save: Callable[[Path], None]
    history: History
    computed: dict[str, Any]


class Framework(Protocol):
    """The functions that `modelstac.training.variants.keras` and `variant_torch` have."""

    def train(
        self,
        spec: Spec,
        windows: Windows,
        preparation: Preparation,
        fit: FitSpec,
        *,
        checkpoints: Checkpoints,
        execution: Execution,
        report: Report,
    ) -> Trained:
        """Build the model, start it from the architecture's initial weights and fit it."""

    def versions(self) -> dict[str, Any]:
        """Give ``framework_version`` and, where there is one, ``backend`` and ``backend_version``."""


@dataclass(frozen=True)
class Variant:
    """What a variant is made of.

    Parameters
    ----------
    name
        Last part of the item id.
    format
        Key of `modelstac.catalog.items.formats.FORMATS`.
    backend
        What Keras must run on, for Keras only.
    module
        The framework's adapter.
    title
        For people.
    dim_order
        Layout of input and output.
    fixed_shape
        Whether the file fixes height and width, and frames even where the weights would serve any number.
    """

    name: str
    format: str
    backend: str | None
    module: str
    title: str
    dim_order: tuple[str, ...]
    fixed_shape: bool

    def framework(self) -> Framework:
        """Import the framework.

        Raises
        ------
        BackendError
            If this process runs Keras on another backend.
        MissingPackageError
            If a package is not installed.
        """
        purpose = f"training the variant {self.name!r}"
        if self.backend is not None:
            require_keras(self.backend, purpose=purpose)
        elif missing := [name for name in ("torch", "safetensors") if find_spec(name) is None]:
            raise MissingPackageError.extra(missing[0], "torch", purpose)
        with uncollected():
            return cast("Framework", importlib.import_module(self.module))


def _keras(backend: str, title: str) -> Variant:
    layout = ("batch", "time", "height", "width", "variables")
    module = "modelstac.training.variants.keras"
    return Variant(f"keras-{backend}", "keras", backend, module, f"Keras on {title}", layout, fixed_shape=True)


VARIANTS = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            _keras("tensorflow", "TensorFlow"),
            _keras("torch", "PyTorch"),
            Variant(
                name="torch",
                format="torch",
                backend=None,
                module="modelstac.training.variants.torch",
                title="native PyTorch",
                dim_order=("batch", "time", "variables", "height", "width"),
                fixed_shape=False,
            ),
        )
    }
)


def find_variant(name: str) -> Variant:
    """Give a variant by its name.

    Raises
    ------
    SpecError
        When there is none of that name.
    """
    if name not in VARIANTS:
        raise SpecError(f"no variant {name!r} can be trained: choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
