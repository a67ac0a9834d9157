"""The graph of conversions: formats are nodes, converters edges with a cost, a route is the cheapest path that works.

Public converters refuse what others take, so where the cheapest path fails the next is tried (:meth:`Routes.ways`).

Keras stands in the graph once for each backend: the file is the same, what computes is not. Most edges of our own
architectures are *rebuilt*: specification and weights are read from the source and the network is built anew in the
target's own terms. That is exact, takes no tracing, and leads where public converters are dead or wrong.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import ConversionError, MissingPackageError, ModelStacError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.later import EXTRAS as OPTIONAL
from modelstac.exporters.architecture import CONVLSTM, READERS
from modelstac.exporters.closed import CLOSED
from modelstac.exporters.conversion import EXPORTED, REBUILT, Converter
from modelstac.training.architecture import ARCHITECTURES


@dataclass(frozen=True)
class Node:
    """A format, for Keras on one backend, and the packages that it takes to write, run and compare it."""

    format: str
    packages: tuple[str, ...]
    backend: str | None = None


NODES = MappingProxyType(
    {
        "keras-tensorflow": Node("keras", ("keras", "h5py", "tensorflow"), "tensorflow"),
        "keras-torch": Node("keras", ("keras", "h5py", "torch"), "torch"),
        "torch": Node("torch", ("torch", "safetensors")),
        "torch-export": Node("torch-export", ("torch",)),
        "onnx": Node("onnx", ("onnx", "onnxruntime")),
        "saved-model": Node("saved-model", ("tensorflow",)),
        "litert": Node("litert", ("tensorflow", "ai_edge_litert")),
        "openvino": Node("openvino", ("openvino",)),
    }
)
ALIASES = MappingProxyType({"keras": "keras-tensorflow"})

EXTRAS = MappingProxyType(
    dict(OPTIONAL)
    | {"ai_edge_litert": "litert", "h5py": "keras", "onnxruntime": "onnx", "safetensors": "torch"}
    | dict.fromkeys(("onnxscript", "tf2onnx"), "converters")
)
"""Extra that brings a package, where it is not called like it."""


@dataclass(frozen=True)
class Edge:
    """A converter from one node to another.

    Parameters
    ----------
    source, target
        Names of nodes.
    convert
        The converter: a function, or ``module:function``. Only what is named can run in another process.
    method
        How it converts; recorded in the route.
    cost
        1 where nothing but the numbers passes; more where a tool traces or translates a graph.
    backend
        What Keras must run on in the process that converts, if it needs Keras.
    packages
        Needed beyond those of the two nodes.
    architecture
        The only one that it can convert; None for any.
    downloads
        Whether it makes an environment of its own from packages that it downloads: only where it is asked for, never in
        place of a route that failed, and not for a matrix.
    """

    source: str
    target: str
    convert: Converter | str
    method: str = EXPORTED
    cost: float = 1.0
    backend: str | None = None
    packages: tuple[str, ...] = ()
    architecture: str | None = None
    downloads: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Every package that the edge takes, with those of its ends."""
        ends = (*NODES[self.source].packages, *NODES[self.target].packages)
        return tuple(dict.fromkeys((*ends, *self.packages)))

    def missing(self) -> tuple[str, ...]:
        """Give the packages that are not installed here."""
        return tuple(package for package in self.needs if find_spec(package) is None)

    def fits(self, description: ModelDescription) -> bool:
        """Tell whether it converts models of this architecture; to rebuild one, the item must state all of it."""
        stated = description.architecture if "architecture" in description.hyperparameters else None
        return self.architecture in {None, stated}

    def unavailable(self, description: ModelDescription | None = None) -> str | None:
        """Say why this edge cannot be taken here, or with this model; None when it can."""
        if missing := self.missing():
            return f"{missing[0]} is not installed: pip install 'modelstac[{extra_of(missing[0])}]'"
        if description is not None and not self.fits(description):
            return f"converts a {self.architecture} only, and this is a {description.architecture}"
        return None


Path = tuple[Edge, ...]


class Routes:
    """A frozen graph; :meth:`register` gives a larger one."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges = tuple(edges)

    def __iter__(self) -> Iterator[Edge]:
        return iter(self.edges)

    def register(self, edge: Edge, *, replace: bool = False) -> Routes:
        """Give a graph with one edge more; this one stays as it is.

        Two edges may join the same nodes when they convert different architectures: the cheaper one that fits is taken.

        Raises
        ------
        SpecError
            When its ends are no nodes, or there is one for the same ends and architecture and ``replace`` is not said.
        """
        for end in (edge.source, edge.target):
            find_node(end)

        def same(other: Edge) -> bool:
            key = (other.source, other.target, other.architecture)
            return key == (edge.source, edge.target, edge.architecture)

        if any(map(same, self)) and not replace:
            raise SpecError(
                f"there is a converter from {edge.source} to {edge.target} already: say replace=True to take its place"
            )
        return Routes((*(other for other in self if not same(other)), edge))

    def plan(self, description: ModelDescription, target: str, *, via: str | None = None) -> Path:
        """Find the cheapest path that works here for a model.

        Parameters
        ----------
        description
            The model.
        target
            Name of the node to reach.
        via
            Name of a node that the path must pass.

        Raises
        ------
        SpecError
            When a name is that of no node.
        MissingPackageError
            When there is a path, but a package is not installed; names the extra.
        ConversionError
            When there is none; says what the source can become.
        """
        return next(self.ways(description, target, via=via))

    def ways(self, description: ModelDescription, target: str, *, via: str | None = None) -> Iterator[Path]:
        """Yield every path that works here for a model, the cheapest first, none of which does what one before did.

        A path that only goes round is left out: through another backend of Keras to a converter that reads the same
        file on its own backend. After the first, so is one that rebuilds a network: that is our own code, which fails
        alike from every source; and so is one that downloads packages.

        Raises
        ------
        SpecError, MissingPackageError, ConversionError
            As :meth:`plan` does, before the first.
        """
        source, stops = node_of(description), [find_node(name) for name in (via, target) if name is not None]
        if source == stops[-1]:
            raise ConversionError(f"{description.id!r} is {source} already: there is nothing to convert")
        legs = list(itertools.pairwise([source, *stops]))
        for start, stop in legs:
            if next(self._paths(description, start, stop), None) is None:
                raise self._no_path(description, start, stop)
        # A forced route is two legs at most, and few paths: they are put in order at once.
        found = self._paths(description, *legs[0])
        if len(legs) > 1:
            pairs = itertools.product(*(self._paths(description, *leg) for leg in legs))
            found = iter(sorted((tuple(itertools.chain(*parts)) for parts in pairs), key=_cost))
        yield next(found)
        yield from (path for path in found if all(edge.method != REBUILT and not edge.downloads for edge in path))

    def targets(self, description: ModelDescription) -> tuple[str, ...]:
        """Name the nodes that a model can reach here."""
        source = node_of(description)
        others = (name for name in NODES if name != source)
        return tuple(n for n in others if next(self._paths(description, source, n), None) is not None)

    def _paths(
        self, description: ModelDescription, source: str, target: str, *, installed: bool = True
    ) -> Iterator[Path]:
        """Yield the paths between two nodes that pass none twice and go round none, the cheapest first."""
        edges = [edge for edge in self if edge.fits(description) and not (installed and edge.missing())]
        heap: list[tuple[float, int, int, str, Path]] = [(0.0, 0, 0, source, ())]
        count = 0
        while heap:
            cost, length, _, node, path = heapq.heappop(heap)
            if node == target:
                yield path
                continue
            passed = {source, *(edge.target for edge in path)}
            for edge in edges:
                if edge.source == node and edge.target not in passed and not _goes_round(edge, path, edges):
                    count += 1
                    heapq.heappush(heap, (cost + edge.cost, length + 1, count, edge.target, (*path, edge)))

    def _no_path(self, description: ModelDescription, source: str, target: str) -> ModelStacError:
        would_be = next(self._paths(description, source, target, installed=False), None)
        if would_be is not None:
            package = next(name for edge in would_be for name in edge.missing())
            return MissingPackageError.extra(package, extra_of(package), f"the conversion from {source} to {target}")
        found = ", ".join(self.targets(description))
        known = f"it can become {found}" if found else "it cannot be converted"
        kind = f"of the architecture {description.architecture}"
        reason = f" ({CLOSED[source, target]})" if (source, target) in CLOSED else ""
        return ConversionError(f"there is no conversion from {source} to {target} for a model {kind}: {known}{reason}")


def _goes_round(edge: Edge, path: Path, edges: Sequence[Edge]) -> bool:
    """Tell whether the converter of an edge leads to its end from a node that the path has passed already."""
    passed = {before.source for before in path}
    return any(
        other.source in passed and (other.target, other.convert) == (edge.target, edge.convert) for other in edges
    )


def _cost(path: Path) -> tuple[float, int]:
    return sum(edge.cost for edge in path), len(path)


def walked(path: Path) -> str:
    """Say a path for people: its nodes in their order."""
    return " → ".join([path[0].source, *(edge.target for edge in path)])


def find_node(name: str) -> str:
    """Give the name of a node, ``keras`` being Keras on TensorFlow.

    Raises
    ------
    SpecError
        When there is none of that name.
    """
    name = ALIASES.get(name, name)
    if name not in NODES:
        raise SpecError(f"unknown format {name!r}: choose one of {', '.join(NODES)}")
    return name


def node_of(description: ModelDescription) -> str:
    """Give the name of the node at which a model stands."""
    return f"keras-{description.backend or 'tensorflow'}" if description.format == "keras" else description.format


def extra_of(package: str) -> str:
    """Name the extra that brings a package."""
    return EXTRAS.get(package, package)


def _rebuilding() -> Iterator[Edge]:
    """Yield the edges of our architectures: from each format that gives their weights to each that can be built anew.

    To ONNX and LiteRT a ConvLSTM only is written by hand: other architectures go there by public converters.
    """
    writers = {
        "keras-tensorflow": ("to_keras", "tensorflow"),
        "keras-torch": ("to_keras", "torch"),
        "torch": ("to_torch", None),
        "onnx": ("to_onnx", None),
        "saved-model": ("to_saved_model", "tensorflow"),
        "torch-export": ("to_torch_export", None),
        "litert": ("to_litert", None),
    }
    for source, start in NODES.items():
        for target, (module, backend) in writers.items():
            by_itself = start.format == "keras" and (NODES[target].format == "keras" or target == "saved-model")
            if start.format not in READERS or source == target or by_itself:
                continue
            for architecture in ARCHITECTURES:
                if architecture != CONVLSTM and {source, target} & {"onnx", "litert"}:
                    continue
                yield Edge(
                    source,
                    target,
                    f"modelstac.exporters.converters.{module}:rebuild",
                    REBUILT,
                    backend=backend or start.backend,
                    packages=("keras",) if target == "saved-model" else (),
                    architecture=architecture,
                )


ROUTES = Routes(
    (
        Edge("keras-tensorflow", "keras-torch", "modelstac.exporters.converters.to_keras:convert", backend="torch"),
        Edge(
            "keras-torch", "keras-tensorflow", "modelstac.exporters.converters.to_keras:convert", backend="tensorflow"
        ),
        Edge(
            "keras-tensorflow",
            "saved-model",
            "modelstac.exporters.converters.to_saved_model:convert",
            backend="tensorflow",
        ),
        Edge(
            "keras-torch", "saved-model", "modelstac.exporters.converters.to_saved_model:convert", backend="tensorflow"
        ),
        Edge("torch", "torch-export", "modelstac.exporters.converters.to_torch_export:convert", cost=2),
        Edge(
            "keras-torch",
            "torch-export",
            "modelstac.exporters.converters.to_torch_export:convert_keras",
            backend="torch",
            cost=2,
        ),
        Edge(
            "keras-tensorflow",
            "torch-export",
            "modelstac.exporters.converters.to_torch_export:convert_keras",
            backend="torch",
            cost=3,
        ),
        Edge(
            "keras-tensorflow",
            "litert",
            "modelstac.exporters.converters.keras_to_litert:convert",
            backend="tensorflow",
            cost=2,
        ),
        Edge(
            "keras-torch",
            "litert",
            "modelstac.exporters.converters.keras_to_litert:convert",
            backend="tensorflow",
            cost=2,
        ),
        Edge("onnx", "openvino", "modelstac.exporters.converters.to_openvino:convert"),
        Edge(
            "onnx",
            "openvino",
            "modelstac.exporters.converters.to_openvino:convert_simpler",
            cost=1.5,
            packages=("onnx", "onnxruntime"),
        ),
        Edge(
            "torch-export",
            "onnx",
            "modelstac.exporters.converters.programs.onnx:convert",
            cost=2,
            packages=("onnxscript",),
        ),
        Edge(
            "torch-export",
            "litert",
            "modelstac.exporters.converters.programs.litert:convert",
            cost=3,
            downloads=True,
        ),
        Edge("torch-export", "openvino", "modelstac.exporters.converters.programs.openvino:convert", cost=2),
        Edge(
            "saved-model",
            "onnx",
            "modelstac.exporters.converters.tensorflow_to_onnx:convert",
            cost=2,
            packages=("tf2onnx",),
        ),
        Edge("saved-model", "openvino", "modelstac.exporters.converters.to_openvino:convert_saved_model", cost=2),
        Edge("saved-model", "litert", "modelstac.exporters.converters.to_litert:convert", cost=2),
        *_rebuilding(),
    )
)


def table(routes: Routes = ROUTES) -> list[dict[str, Any]]:
    """Give the edges as JSON types, each with the reason why it cannot be taken here, or None.

    Among them are those that nobody has, without a method or a cost.
    """
    closed = [
        dict.fromkeys(("method", "cost", "architecture", "backend"))
        | {"source": source, "target": target, "unavailable": reason}
        for (source, target), reason in CLOSED.items()
    ]
    rows = [
        {
            "source": edge.source,
            "target": edge.target,
            "method": edge.method,
            "cost": edge.cost,
            "architecture": edge.architecture,
            "backend": edge.backend,
            "unavailable": edge.unavailable(),
        }
        for edge in routes
    ]
    return sorted(rows + closed, key=lambda row: (list(NODES).index(row["source"]), list(NODES).index(row["target"])))
