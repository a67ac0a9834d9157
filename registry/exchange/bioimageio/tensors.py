"""Inputs and outputs of a package, of version 0.4 and 0.5 of its format, as one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.exchange.bioimageio.processing import Step

_LETTERS = {"b": "batch", "i": "index", "t": "time", "c": "channel", "z": "depth", "y": "height", "x": "width"}
_PLAIN = {"x": "width", "y": "height", "z": "depth"}


@dataclass(frozen=True)
class PackageTensor:
    """An input or an output.

    Parameters
    ----------
    name
        In the package.
    axes
        What the package calls its axes.
    dims
        What they are called here.
    sizes
        Of each axis; None where the package says nothing, or refers to another tensor.
    channels
        Names of its channels, where it has any.
    halo
        Pixels at each end of an axis that are not to be believed, by what it is called here.
    steps
        What is done to values before (input) or after (output).
    test
        Where its test array is, by ``source`` and ``sha256``; None where there is none.
    """

    name: str
    axes: tuple[str, ...]
    dims: tuple[str, ...]
    sizes: tuple[Size | None, ...]
    channels: tuple[str, ...]
    halo: Mapping[str, int]
    steps: tuple[Step, ...]
    test: Any


def read_tensors(rdf: Mapping[str, Any], side: str, where: str) -> list[PackageTensor]:
    """Read ``inputs`` or ``outputs`` of a package.

    Raises
    ------
    InvalidItemError
        If there are none, or one makes no sense.
    SpecError
        If one is processed by what is not known here.
    """
    listed = rdf.get(side)
    if not isinstance(listed, list) or not listed or not all(isinstance(one, Mapping) for one in listed):
        raise InvalidItemError(f"{where} has no {side}, so that nobody can tell what the model does")
    tests = rdf.get(f"test_{side}")
    tests = tests if isinstance(tests, list) else []
    found = []
    for number, one in enumerate(listed):
        try:
            letters = isinstance(one.get("axes"), str)
            test = one.get("test_tensor") if not letters else (tests[number] if number < len(tests) else None)
            found.append((_of_letters if letters else _of_axes)(one, side, where, test))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelStacError):
                raise
            name = one.get("id", one.get("name"))
            raise InvalidItemError(f"{where}: {side} {name!r} makes no sense ({error}): ask its publisher") from error
    return found


def _of_letters(one: Mapping[str, Any], side: str, where: str, test: Any) -> PackageTensor:
    """Read a tensor of 0.4: axes as letters, ``bcyx``."""
    letters, name = str(one["axes"]), str(one["name"])
    dims = tuple(_LETTERS[letter] for letter in letters)
    shape, sizes = one.get("shape"), tuple[Size | None, ...]()
    if isinstance(shape, Mapping) and "min" in shape:
        sizes = tuple(_size(low, step) for low, step in zip(shape["min"], shape["step"], strict=True))
    elif isinstance(shape, Sequence):
        sizes = tuple(Size.fixed(int(length)) for length in shape)
    else:
        sizes = tuple(None for _ in dims)
    halo = {dim: int(n) for dim, n in zip(dims, one.get("halo") or (), strict=False) if int(n) and dim != "batch"}
    steps = _steps(one, side, letters, f"{where}: {name}")
    return PackageTensor(name, tuple(letters), dims, sizes, (), halo, steps, test)


def _of_axes(one: Mapping[str, Any], side: str, where: str, test: Any) -> PackageTensor:
    """Read a tensor of 0.5: axes as objects."""
    name = str(one["id"])
    axes, dims, sizes, channels, halo = [], [], list[Size | None](), tuple[str, ...](), {}
    for axis in one["axes"]:
        kind = str(axis["type"])
        called = str(axis.get("id") or kind)
        dim = _PLAIN.get(called, called) if kind == "space" else kind
        axes.append(called)
        dims.append(dim)
        if kind == "channel":
            names = axis.get("channel_names") or ()
            channels = tuple(map(str, names)) if isinstance(names, list) else ()
            sizes.append(Size.fixed(len(channels)) if channels else None)
        else:
            sizes.append(_axis_size(axis.get("size")))
        if axis.get("halo"):
            halo[dim] = int(axis["halo"])
    steps = _steps(one, side, axes, f"{where}: {name}")
    return PackageTensor(name, tuple(axes), tuple(dims), tuple(sizes), channels, halo, steps, test)


def _axis_size(size: Any) -> Size | None:
    if isinstance(size, int):
        return Size.fixed(size)
    if isinstance(size, Mapping) and "min" in size:
        if "step" in size:
            return _size(size["min"], size["step"])
        most = size.get("max")
        return Size(int(size["min"]), 1, int(most) if most is not None else None)
    return None


def _size(low: Any, step: Any) -> Size:
    return Size(int(low), int(step)) if int(step) else Size.fixed(int(low))


def _steps(one: Mapping[str, Any], side: str, axes: Sequence[str], where: str) -> tuple[Step, ...]:
    listed = one.get("preprocessing" if side == "inputs" else "postprocessing") or ()
    return tuple(Step(step, axes, where) for step in listed)
