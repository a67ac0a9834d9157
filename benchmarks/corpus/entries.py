"""What an architecture of the corpus takes, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BATCHES = (2, 1, 3)
"""How many samples each size of an input has; the first is what a tracer is given."""


@dataclass(frozen=True)
class Given:
    """An input.

    Parameters
    ----------
    dims
        What its axes are, the batch first.
    sizes
        Lengths of the axes after the batch, one for each of :data:`BATCHES`.
    low, high
        Range of the model's own values; whole numbers where ``dtype`` is of whole numbers.
    opened
        Whether the axes whose lengths differ between the sizes are left open.
    name
        As the model calls it.
    """

    dims: tuple[str, ...]
    sizes: tuple[tuple[int, ...], ...]
    low: float = 0.0
    high: float = 1.0
    dtype: str = "float32"
    name: str = "x"

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Lengths without the batch; None where they are open."""
        return tuple(lengths[0] if len({*lengths}) == 1 else None for lengths in zip(*self.sizes, strict=True))


def image(
    height: int, width: int, bands: int, *, more: int = 0, first: bool = False, name: str = "x", **values: Any
) -> Given:
    """Give an image of these bands; with ``more`` its height and width are open and grow by that many pixels."""
    sizes = [(height, width), (height, width), (height + more, width + 2 * more)]
    dims = ("batch", "channel", "height", "width") if first else ("batch", "height", "width", "channel")
    return Given(dims, tuple((bands, *s) if first else (*s, bands) for s in sizes), name=name, **values)


def series(steps: int, features: int, *, more: int = 0, first: bool = False, name: str = "x", **values: Any) -> Given:
    """Give a series of observations; with ``more`` the number of its steps is open."""
    lengths = (steps, steps, steps + more)
    dims = ("batch", "feature", "time") if first else ("batch", "time", "feature")
    return Given(dims, tuple((features, n) if first else (n, features) for n in lengths), name=name, **values)


def video(
    steps: int, height: int, width: int, bands: int, *, more: int = 0, first: bool = False, name: str = "x", **kw: Any
) -> Given:
    """Give a series of images, the time before the bands; with ``more`` height and width are open."""
    sizes = [(height, width), (height, width), (height + more, width + more)]
    dims = ("batch", "time", "channel", "height", "width") if first else ("batch", "time", "height", "width", "channel")
    return Given(dims, tuple((steps, bands, *s) if first else (steps, *s, bands) for s in sizes), name=name, **kw)


def table(features: int, *, name: str = "x", **values: Any) -> Given:
    """Give rows of features."""
    return Given(("batch", "feature"), ((features,),) * len(BATCHES), name=name, **values)


def tokens(steps: int, most: int, *, more: int = 0, name: str = "x", dtype: str = "int64") -> Given:
    """Give rows of class numbers below ``most``."""
    sizes = ((steps,), (steps,), (steps + more,))
    return Given(("batch", "time"), sizes, low=0, high=most, dtype=dtype, name=name)


@dataclass(frozen=True)
class Entry:
    """An architecture.

    Parameters
    ----------
    name
        As the public calls it.
    kind
        What builds it: ``keras``, ``torch`` (with PyTorch alone), ``zoo`` (with packages of architectures) or ``onnx``
        and ``tools`` (the same with packages of this project, and with others).
    build
        Gives the model: for ``keras`` from its input tensors its outputs; for ``torch`` and ``zoo`` a module; for
        ``onnx`` the model as ONNX.
    inputs
        What it takes.
    licence
        Of where it comes from.
    """

    name: str
    kind: str
    build: Callable[..., Any]
    inputs: tuple[Given, ...]
    options: dict[str, Any] = field(default_factory=dict)


class Family:
    """The architectures of one module, in the order in which they stand there.

    Parameters
    ----------
    kind
        Of all of them; see :class:`Entry`.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.entries = kind, list[Entry]()

    def __call__(self, name: str, *inputs: Given, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register what a function builds."""

        def register(build: Callable[..., Any]) -> Callable[..., Any]:
            self.entries.append(Entry(name, self.kind, build, inputs, options))
            return build

        return register
