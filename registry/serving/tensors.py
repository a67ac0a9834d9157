"""Tensors as the protocol writes them: a data type, a shape, and numbers in JSON or bytes after it.

Source: Open Inference Protocol v2, "Tensor Data", and Triton's extension for binary tensors.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import DataError

DTYPES = MappingProxyType(
    {
        "BOOL": "bool",
        "UINT8": "uint8",
        "UINT16": "uint16",
        "UINT32": "uint32",
        "UINT64": "uint64",
        "INT8": "int8",
        "INT16": "int16",
        "INT32": "int32",
        "INT64": "int64",
        "FP16": "float16",
        "FP32": "float32",
        "FP64": "float64",
    }
)
"""NumPy's data types by the protocol's."""
DATATYPES = MappingProxyType({name: datatype for datatype, name in DTYPES.items()})
"""The protocol's data types by NumPy's."""
_TYPES: Mapping[str, set[type]] = MappingProxyType({"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}})
"""What JSON's values are in Python; true and false are no numbers, in Triton neither."""
_MOST = 1 << 48
"""No array has more numbers; a shape with a 0 could say anything else beside it."""
_NAMES = MappingProxyType({"b": "true and false", "i": "whole numbers", "u": "whole numbers", "f": "numbers"})

Array = np.ndarray[Any, Any]


def dtype_of(name: str, datatype: object) -> np.dtype[Any]:
    """Return the data type of a tensor, little-endian as the protocol has it.

    Raises
    ------
    DataError
        If it is none of those of which models are made.
    """
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise DataError(f"tensor {name!r} has the datatype {_shown(datatype)}: {', '.join(DTYPES)} are known")
    return np.dtype(DTYPES[datatype]).newbyteorder("<")


def shape_of(name: str, shape: object) -> tuple[int, ...]:
    """Return the shape of a tensor.

    Raises
    ------
    DataError
        If it is no list of whole numbers.
    """
    if (
        not isinstance(shape, list)
        or len(shape) > 32
        or any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape)
        or math.prod(n or 1 for n in shape) > _MOST
    ):
        raise DataError(f"tensor {name!r} has the shape {_shown(shape)}: a list of whole numbers from 0 is needed")
    return tuple(shape)


def from_bytes(name: str, datatype: object, shape: Sequence[int], data: memoryview) -> Array:
    """Read a tensor from its bytes, row by row; they are not copied.

    Raises
    ------
    DataError
        If they are not as many as its shape wants.
    """
    dtype = dtype_of(name, datatype)
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise DataError(
            f"tensor {name!r} has {len(data)} bytes: {datatype} of shape {list(shape)} are {wanted}, little-endian"
        )
    if dtype.kind == "b" and np.frombuffer(data, "u1").max(initial=0) > 1:
        raise DataError(f"tensor {name!r} has bytes that are neither 0 nor 1: BOOL is one byte for each value")
    return np.frombuffer(data, dtype).reshape(shape)


def from_json(name: str, datatype: object, shape: Sequence[int], data: object) -> Array:
    """Read a tensor from numbers, in one list row by row or in nested lists of its shape.

    Raises
    ------
    DataError
        If they are not of that shape, or not of that kind: a fraction is no INT32, and nothing is rounded.
    """
    dtype = dtype_of(name, datatype)
    begin = f"tensor {name!r} is {datatype} of shape {list(shape)}"
    if not isinstance(data, list):
        raise DataError(f"{begin}; found no list of data, nor binary_data_size in its parameters")
    level: list[Any] = data
    while set(map(type, level)) == {list}:
        level = list(chain.from_iterable(level))
    # Of texts NumPy makes an array of the longest, as often as there are values: a small body would fill the memory.
    if not _TYPES[dtype.kind].issuperset(map(type, level)):
        raise DataError(
            f"{begin}; found lists of unequal lengths, or data that are not all {_NAMES[dtype.kind]} (NaN and null are "
            "none in JSON, nor is true a number)"
        )
    # Whole numbers each for itself: NumPy makes floats of [1, 2**63].
    if dtype.kind in "iu" and level and not (np.iinfo(dtype).min <= min(level) and max(level) <= np.iinfo(dtype).max):
        raise DataError(f"{begin}; found whole numbers that do not fit into {datatype}")
    try:
        found = np.array(data, "f8" if dtype.kind == "f" else dtype)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{begin}; found lists of unequal lengths, or numbers that nothing holds") from error
    if found.shape != tuple(shape) and (found.ndim != 1 or found.size != math.prod(shape)):
        raise DataError(f"{begin}; found data of shape {list(found.shape)}: give one list, or lists of that shape")
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused where it is checked
        return found.astype(dtype, copy=False).reshape(shape)


def datatype_of(name: str, array: Array) -> str:
    """Return the protocol's data type of an array that a model gave.

    Raises
    ------
    DataError
        If it has none.
    """
    datatype = DATATYPES.get(array.dtype.name)
    if datatype is None:
        raise DataError(f"output {name!r} is an array of {array.dtype}, which the protocol cannot carry")
    return datatype


def to_bytes(array: Array) -> memoryview:
    """Return the bytes of a tensor, row by row and little-endian."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view("u1").data


def to_json(name: str, array: Array) -> Array:
    """Return the numbers of a tensor in one row, as orjson writes them.

    Raises
    ------
    DataError
        If JSON cannot hold them.
    """
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        bad = array.size - np.count_nonzero(finite)
        raise DataError(
            f"output {name!r} has {bad} of {array.size} values NaN or infinite, which JSON cannot hold: "
            "ask for it with the parameter binary_data"
        )
    return np.ascontiguousarray(array).reshape(-1)


def _shown(value: object) -> str:
    """Write the beginning of somebody's value, however large it is, without writing all of it first."""
    return reprlib.repr(value)[:80]
