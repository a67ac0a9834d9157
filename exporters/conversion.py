"""What a converter is: a function from a loaded model to a file.

It neither proves nor publishes what it wrote: that is what :mod:`modelstac.exporters.jobs` does, for every converter
alike. Which converter leads from where to where is said in :mod:`modelstac.exporters.routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.mlm import ModelInput, ModelOutput
from modelstac.registry.running.model import Model

EXPORTED = "by the framework's own exporter"
REBUILT = "rebuilt from the architecture and the weights"


@dataclass(frozen=True)
class Conversion:
    """What a converter made.

    Parameters
    ----------
    artifact
        The file, in the folder that the converter was given.
    framework_version
        Semantic version of the framework that wrote it.
    inputs, outputs
        What the converted model takes and gives.
    steps
        What was done, each with tool and version.
    hyperparameters
        Facts about the file that belong in the item, such as the opset.
    backend, backend_version
        What Keras ran on, for Keras files only.
    entrypoint
        What builds the architecture, where the file holds weights only.
    """

    artifact: Path
    framework_version: str
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    steps: tuple[Step, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    backend: str | None = None
    backend_version: str | None = None
    entrypoint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON types, for another process."""
        parts = {name: [part.to_json() for part in getattr(self, name)] for name in ("inputs", "outputs", "steps")}
        plain = ("framework_version", "backend", "backend_version", "entrypoint")
        fields = {name: getattr(self, name) for name in plain}
        return {**fields, **parts, "artifact": str(self.artifact), "hyperparameters": dict(self.hyperparameters)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Conversion:
        """Read what :meth:`to_json` gave."""
        return cls(
            **dict(fields)
            | {
                "artifact": Path(fields["artifact"]),
                "inputs": tuple(ModelInput(**part) for part in fields["inputs"]),
                "outputs": tuple(ModelOutput(**part) for part in fields["outputs"]),
                "steps": tuple(Step(**part) for part in fields["steps"]),
            }
        )


Converter = Callable[[Model, Path, Mapping[str, Any]], Conversion]
"""Writes the model into the folder, obeying the options of the job.

Raises :class:`ConversionError` when the model is none that it can convert, :class:`SpecError` on an unknown option.
"""


def no_options(options: Mapping[str, Any], conversion: str) -> None:
    """Refuse every option.

    Raises
    ------
    SpecError
        When there is one.
    """
    if options:
        raise SpecError(f"the conversion to {conversion} has no option {sorted(options)[0]!r}")
