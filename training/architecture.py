"""The architectures by name: of each its specification, its weights, and what builds it in Keras and in PyTorch.

Training, publishing and rebuilding in another framework know these few things of an architecture and nothing else.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.training import unet, weights
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.unet import UNetSpec
from modelstac.training.weights import Weights

Spec = ConvLSTMSpec | UNetSpec


@dataclass(frozen=True)
class Architecture:
    """What the project knows of an architecture.

    Parameters
    ----------
    name
        As in ``mlm:architecture``.
    slug
        With which names of models begin.
    spec
        Its frozen specification: ``to_dict``, ``from_dict``, ``frames_in``, ``frames_out``, ``height``, ``width``,
        ``parameters``, ``summary``.
    any_frames
        Whether its weights serve any number of frames.
    shapes, initial
        Names and shapes of its weights; the weights to start training from, for a seed.
    modules
        By framework (``keras``, ``torch``) the module with ``build``, ``get_weights`` and ``set_weights``.
    """

    name: str
    slug: str
    spec: type[Spec]
    any_frames: bool
    shapes: Callable[[Any], dict[str, tuple[int, ...]]]
    initial: Callable[[Any, int], Weights]
    modules: Mapping[str, str]

    def module(self, framework: str) -> Any:
        """Import what builds it in a framework, which must be installed."""
        return importlib.import_module(self.modules[framework])

    @property
    def entrypoint(self) -> str:
        """What builds it in PyTorch, where a file holds weights only."""
        return f"{self.modules['torch']}:build"


def _modules(name: str) -> Mapping[str, str]:
    return MappingProxyType({kind: f"modelstac.training.architectures.{name}_{kind}" for kind in ("keras", "torch")})


ARCHITECTURES: MappingProxyType[str, Architecture] = MappingProxyType(
    {
        one.name: one
        for one in (
            Architecture(
                name="ConvLSTM",
                slug="convlstm",
                spec=ConvLSTMSpec,
                any_frames=True,
                shapes=weights.weight_shapes,
                initial=weights.initial_weights,
                modules=_modules("convlstm"),
            ),
            Architecture(
                name=unet.NAME,
                slug="unet",
                spec=UNetSpec,
                any_frames=False,
                shapes=unet.weight_shapes,
                initial=unet.initial_weights,
                modules=_modules("unet"),
            ),
        )
    }
)


def find_architecture(name: str) -> Architecture:
    """Give an architecture by its name.

    Raises
    ------
    NotFoundError
        When there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise NotFoundError.unknown("architecture", name, ARCHITECTURES, where="the architectures")
    return ARCHITECTURES[name]


def architecture_of(spec: Spec) -> Architecture:
    """Give the architecture that a specification describes."""
    return next(one for one in ARCHITECTURES.values() if isinstance(spec, one.spec))


def while_training(spec: Spec) -> Spec:
    """Give what is fitted: the network without what is set after training."""
    return dataclasses.replace(spec, damping=None) if isinstance(spec, UNetSpec) else spec


def read_spec(fields: Mapping[str, Any]) -> Spec:
    """Read a specification of any architecture from JSON types; ``network`` names it, a ConvLSTM where it is not said.

    Raises
    ------
    SpecError
        When it names an architecture that is not known, or a field makes no sense.
    """
    name = fields.get("network", "ConvLSTM")
    if name not in ARCHITECTURES:
        raise SpecError(f"there is no architecture {name!r}: choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name].spec.from_dict(fields)
