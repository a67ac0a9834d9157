"""From the names of a file to those of its item, and back: the one place where formats' renaming is undone.

An item may call a tensor anything. ONNX and OpenVINO hold any name; arguments of a signature of TensorFlow and of
LiteRT and those of a PyTorch program are identifiers, which :func:`identifiers` makes by one rule, for those who write
such a file and for those who read it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.runtimes.opened import STRICT, Naming, Opened

if TYPE_CHECKING:
    import numpy as np

    from modelstac.registry.runtimes.opened import Bound

# What TensorFlow Lite makes of the name of a signature's argument, and TensorFlow of a tensor's.
_DECORATION = re.compile(r"^serving_default_|:\d+$")


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Give by each name what stands for it where only identifiers may.

    One that is an identifier stays. In others, each character that is no letter of ASCII, digit or underscore becomes
    an underscore, ``n`` comes before one that does not begin with a letter, an underscore after a keyword of Python,
    and a number, in the order of the names, after one that is taken.
    """
    names = list(names)
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: _identifier(name) != name):
        plain, number = _identifier(name), 1
        while plain in found.values():
            number += 1
            plain = f"{_identifier(name)}_{number}"
        found[name] = plain
    return {name: found[name] for name in names}


def apart(name: str, taken: Iterable[str]) -> str:
    """Give the name of an output in a file whose tensors have one name each, where an input may have it already."""
    return f"{name}:0" if name in taken else name


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    plain = plain if plain[:1].isalpha() else f"n{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def bind(
    opened: Opened,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    where: str,
    naming: Naming = STRICT,
    remarks: list[str] | None = None,
) -> Bound:
    """Return what runs a model by the names of its item.

    Parameters
    ----------
    opened
        The model, by the names of its file.
    inputs, outputs
        Names in the item, in its order.
    where
        Which file it is, for messages.
    naming
        How the item's names are meant.
    remarks
        Gets a line for what goes by order alone.

    Returns
    -------
    callable
        From a mapping by the item's names of inputs to a dictionary by those of outputs, in the item's order.

    Raises
    ------
    InvalidItemError
        If the file has others, or another number of them; names both.
    """
    names, remarks = tuple(outputs), [] if remarks is None else remarks
    into, back = matched(opened, inputs, names, where=where, naming=naming, remarks=remarks)
    run = opened.run
    same_in = all(name == found for name, found in into.items())
    single = None if back is None or len(names) != 1 else (names[0], back[names[0]])

    def bound(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        found = run(arrays if same_in else {into[name]: array for name, array in arrays.items()})
        if single is not None:
            return {single[0]: found[single[1]]}
        match = back or _pairs(names, tuple(found), "output", opened, where=where, naming=naming, remarks=[])
        return {name: found[other] for name, other in match.items()}

    return bound


def matched(
    opened: Opened, inputs: Sequence[str], outputs: Sequence[str], *, where: str, naming: Naming, remarks: list[str]
) -> tuple[dict[str, str], dict[str, str] | None]:
    """Say by which names of the file those of the item go, as :func:`bind` does; None for outputs that run to be known.

    Raises
    ------
    InvalidItemError
        As :func:`bind` does.
    """
    taken = [name for name in opened.inputs if name in inputs or name not in opened.optional]
    into = _pairs(inputs, taken, "input", opened, where=where, naming=naming, remarks=remarks)
    if opened.outputs is None:
        return into, None
    return into, _pairs(outputs, opened.outputs, "output", opened, where=where, naming=naming, remarks=remarks)


def _pairs(
    declared: Sequence[str],
    found: Sequence[str],
    kind: str,
    opened: Opened,
    *,
    where: str,
    naming: Naming,
    remarks: list[str],
) -> dict[str, str]:
    """Pair names by themselves, then by what the item says that they are in the file, then freely by order."""
    try:
        return paired(declared, found, kind, named=opened.named, where=where)
    except InvalidItemError:
        if len(declared) != len(found):
            raise
        other = naming.inputs if kind == "input" else naming.outputs
        others = [other.get(name, name) for name in declared]
        if others != list(declared):
            return dict(
                zip(declared, paired(others, found, kind, named=opened.named, where=where).values(), strict=True)
            )
        if not naming.free or set(declared) & set(found):
            raise
    remarks.append(f"{where} calls its {kind}s {', '.join(found)}: taken in this order as {', '.join(declared)}")
    return dict(zip(declared, found, strict=True))


def paired(
    declared: Sequence[str], found: Sequence[str], kind: str, *, named: bool = True, where: str
) -> dict[str, str]:
    """Say by which name of the file each name of the item goes.

    One goes with one, whatever they are called. Several go by name where the names are the same, but for what a format
    puts around them and for what it does not allow in them; and by order where the file's names mean nothing.

    Raises
    ------
    InvalidItemError
        If they do not go together.
    """
    if len(declared) != len(found):
        raise InvalidItemError(
            f"{where} has {_several(len(found), kind)} ({', '.join(found)}), its item {len(declared)} "
            f"({', '.join(declared)}): describe the file anew"
        )
    if len(declared) == 1:
        return {declared[0]: found[0]}
    plain = {_DECORATION.sub("", _DECORATION.sub("", name)): name for name in found}
    written = identifiers(declared)
    for names in ({name: name for name in found}, plain):
        # A format may write one name as it stands and the next as an identifier: OpenVINO, of a TensorFlow graph.
        pairs = {name: names.get(name, names.get(written[name])) for name in declared}
        if None not in pairs.values() and len(set(pairs.values())) == len(found):
            return {name: str(other) for name, other in pairs.items()}
    if not named:
        return dict(zip(declared, found, strict=True))
    raise InvalidItemError(
        f"{where} calls its {kind}s {', '.join(found)}, its item {', '.join(declared)}: describe the file anew"
    )


def _several(count: int, kind: str) -> str:
    return f"{count} {kind}{'' if count == 1 else 's'}"
