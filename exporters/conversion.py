"""What a converter is: a function from a loaded model to a file.

It neither proves nor publishes what it wrote: that is what :mod:`modelstac.exporters.jobs` does, for every converter
alike. Which converter leads from where to where is said in :mod:`modelstac.exporters.routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.mlm import ModelInput, ModelOutput
from modelstac.catalog.items.sizes import Size, sizes_to_json
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
    sizes
        Lengths of its open axes, by the name of the input or output and of the axis: those of the source, unless the
        converter knows better. :func:`modelstac.exporters.closing.settle` fills them in.
    closed
        Lengths of the axes that the source leaves open and this file does not, by input and axis; filled in there, too.
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
    sizes: Mapping[str, Mapping[str, Size]] = field(default_factory=dict)
    closed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON types, for another process."""
        parts = {name: [part.to_json() for part in getattr(self, name)] for name in ("inputs", "outputs", "steps")}
        plain = ("framework_version", "backend", "backend_version", "entrypoint")
        fields = {name: getattr(self, name) for name in plain}
        return {
            **fields,
            **parts,
            "artifact": str(self.artifact),
            "hyperparameters": dict(self.hyperparameters),
            "sizes": sizes_to_json(self.sizes),
            "closed": {name: dict(axes) for name, axes in self.closed.items()},
        }

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
                "sizes": {
                    name: {axis: Size.from_json(size) for axis, size in axes.items()}
                    for name, axes in fields["sizes"].items()
                },
            }
        )


Converter = Callable[[Model, Path, Mapping[str, Any]], Conversion]
"""Writes the model into the folder, obeying the options of the job.

Raises :class:`ConversionError` when the model is none that it can convert, :class:`SpecError` on an unknown option.
"""


FIXED = "fixed"
"""The option that every converter knows: it allows axes to be closed; see :mod:`modelstac.exporters.closing`."""


def no_options(options: Mapping[str, Any], conversion: str, *, known: Sequence[str] = ()) -> None:
    """Refuse every option, but for ``fixed`` and those that are known.

    Raises
    ------
    SpecError
        When there is one.
    """
    if unknown := sorted(set(options) - {FIXED, *known}):
        raise SpecError(f"the conversion to {conversion} has no option {unknown[0]!r}")
