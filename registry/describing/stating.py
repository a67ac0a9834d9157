"""What a publisher says of several inputs and outputs: one thing for the only one, or by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from modelstac.catalog.errors import Place, SpecError, at
from modelstac.catalog.items.mlm import band_axis
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.registry.facts import Tensor

Said = tuple[str, ...] | Mapping[str, tuple[str, ...]]
"""Words about the only tensor, or about each by its name."""
Dims = Mapping[str, tuple[str, ...]]
"""Words by the name of a tensor."""


def by_tensor(said: Said, tensors: Sequence[Tensor], flag: str, *, kind: str) -> dict[str, tuple[str, ...]]:
    """Give what was said of each tensor by its name; what nothing was said of is left out.

    Parameters
    ----------
    said
        As the publisher said it.
    tensors
        Those of the file.
    flag
        How the command line calls it, for messages.
    kind
        Whether they are ``input`` or ``output``.

    Raises
    ------
    SpecError
        If it is said of one that the file does not have (the nearest is named), or of which is not said.
    """
    names = [tensor.name for tensor in tensors]
    if not isinstance(said, Mapping):
        needed = [tensor.name for tensor in tensors if not tensor.optional]
        names = needed if len(needed) == 1 else names  # others have defaults, as weights that are listed as inputs do
        if said and len(names) > 1:
            shown = " ".join(f"{flag} {name}=…" for name in names[:3])
            with at(*field_of(flag)):
                raise SpecError(
                    f"{flag} {','.join(said)}: the file has the {kind}s {', '.join(names)}; say which: {shown}"
                )
        return {names[0]: tuple(said)} if said else {}
    with at(*field_of(flag)):
        _check_named(said, names, flag, kind)
    return {name: tuple(words) for name, words in said.items() if words}


def field_of(flag: str) -> Place:
    """Return the place of the field that an option says."""
    return (flag.removeprefix("--").replace("-", "_"),)


def _check_named(said: Mapping[str, object], names: Sequence[str], flag: str, kind: str) -> None:
    for name in said:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.5)
            advice = f"did you mean {near[0]!r}?" if near else "use these names"
            raise SpecError(
                f"{flag} {name}=…: the file has no {kind} {name!r}, its {kind}s are {', '.join(names)}; {advice}"
            )


def missing_dims(dims: Mapping[str, Sequence[str]], tensors: Sequence[Tensor], flag: str) -> Iterator[str]:
    """Name the tensors whose axes nobody named, and the flag that names them; one with a default may be left out."""
    for tensor in tensors:
        if tensor.name not in dims and not tensor.optional:
            which = "" if len(tensors) == 1 else f" {tensor.name}=…"
            yield f"{flag}{which} (a name for each axis of {tensor})"


def check_dims(tensor: Tensor, names: Sequence[str], flag: str) -> None:
    """Raise SpecError unless there is a name for each axis."""
    if len(names) != len(tensor.sizes):
        with at(*field_of(flag), tensor.name):
            raise SpecError(
                f"{flag} names {len(names)} axes ({', '.join(names)}), and {tensor.name!r} is {tensor}: name "
                f"{len(tensor.sizes)}"
            )


def check_bands(tensor: Tensor, dims: Sequence[str], bands: Sequence[str], flag: str) -> None:
    """Raise SpecError unless there is a band for each place along their axis."""
    axis = band_axis(dims)
    size = None if axis is None else tensor.sizes[list(dims).index(axis)]
    if bands and size is not None and not size.fits(len(bands)):
        with at(*field_of(flag), tensor.name):
            raise SpecError(
                f"{flag} names {len(bands)} ({', '.join(bands)}), and {tensor.name!r} has {size} along its axis "
                f"{axis!r}: name each"
            )


def once(bands: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """Return names of bands; raise SpecError where two have one name: data with labels could not be put in order."""
    if twice := [name for name in bands if bands.count(name) > 1]:
        with at(*field_of(flag)):
            raise SpecError(f"{flag} {','.join(bands)} names {twice[0]!r} twice: give each band a name of its own")
    return bands


def stated_sizes(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], input_dims: Dims, output_dims: Dims
) -> dict[str, dict[str, Size]]:
    """Give by tensor and axis what the file says of open axes, with the names of axes for those of the file.

    What a program calls ``s77`` is called as its axes are, where they all have one name that no other has. Where an
    input and an output have one name, it is the input's lengths that count: they are what is checked.
    """
    named = [
        (tensor.name, dim, size)
        for tensors, dims in ((outputs, output_dims), (inputs, input_dims))
        for tensor in tensors
        for dim, size in zip(dims[tensor.name], tensor.sizes, strict=True)
    ]
    called = _names_of_symbols([(dim, size.symbol) for _, dim, size in named if size.symbol is not None])
    found: dict[str, dict[str, Size]] = {}
    for name, dim, size in named:
        if not size.is_fixed and size != ANY:
            symbol = size.symbol if size.symbol is None else called[size.symbol]
            found.setdefault(name, {})[dim] = replace(size, symbol=symbol)
    return found


def _names_of_symbols(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    dims: dict[str, set[str]] = {}
    symbols: dict[str, set[str]] = {}
    for dim, symbol in pairs:
        dims.setdefault(symbol, set()).add(dim)
        symbols.setdefault(dim, set()).add(symbol)
    called = {}
    for symbol, found in dims.items():
        (dim, *others) = found
        called[symbol] = dim if not others and len(symbols[dim]) == 1 else symbol
    return called
