"""Requests and answers of the Open Inference Protocol v2, with Triton's extension for binary tensors.

A body is JSON, or JSON and after it the bytes of tensors in their order; the header ``Inference-Header-Content-Length``
then says how long the JSON is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from modelstac.catalog.errors import DataError
from modelstac.registry.serving.tensors import Array, datatype_of, from_bytes, from_json, shape_of, to_bytes, to_json

HEADER_LENGTH = "Inference-Header-Content-Length"
BINARY, JSON = "application/octet-stream", "application/json"
_LONGEST_NAME = 1_000
_DIGITS = 20  # of the length of a body, at most
_ELSEWHERE = ("shared_memory_region", "classification")


@dataclass(frozen=True)
class Wanted:
    """An output that a client asks for, and whether as bytes."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Asked:
    """A request.

    Parameters
    ----------
    id
        What the answer repeats; None without.
    arrays
        Inputs by name. Those that came as bytes share the memory of the body.
    outputs
        What to answer; None for all that the model gives.
    binary
        Whether outputs come as bytes unless they say otherwise.
    """

    id: str | None
    arrays: dict[str, Array]
    outputs: tuple[Wanted, ...] | None
    binary: bool

    def wanted(self, names: Iterable[str]) -> tuple[Wanted, ...]:
        """Return the outputs to answer.

        Parameters
        ----------
        names
            Those that the model has.

        Raises
        ------
        DataError
            If it has not what is asked for.
        """
        names = list(names)
        if self.outputs is None:
            return tuple(Wanted(name, self.binary) for name in names)
        if unknown := next((one.name for one in self.outputs if one.name not in names), None):
            raise DataError(f"the model has no output {unknown!r}: its outputs are {', '.join(names)}")
        return self.outputs


def read_length(header: str | None, size: int) -> int:
    """Return how many bytes of a body are JSON.

    Raises
    ------
    DataError
        If the header says what cannot be.
    """
    if header is None:
        return size
    if not header.isascii() or not header.isdecimal() or len(header) > _DIGITS or int(header) > size:
        raise DataError(f"{HEADER_LENGTH} is {header[:40]!r}, and the body has {size} bytes: it is the JSON's length")
    return int(header)


def read_request(body: bytes, length: int) -> Asked:
    """Read a request.

    Parameters
    ----------
    body
        What was sent.
    length
        How many bytes of it are JSON.

    Raises
    ------
    DataError
        If it is no request; says what of it.
    """
    data = memoryview(body)
    try:
        request = orjson.loads(data[:length])
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"the body is no JSON: {error} (NaN and Infinity are none; send such tensors binary)"
        ) from error
    request = _mapping(request, "the body")
    parameters = _mapping(_given(request, "parameters"), "'parameters'")
    if "sequence_id" in parameters:
        raise DataError("the request is one of a sequence (sequence_id): no model here remembers the one before it")
    inputs, rest = _list(request.get("inputs"), "'inputs'"), data[length:]
    arrays: dict[str, Array] = {}
    for place, given in enumerate(inputs):
        name, tensor = _named(given, f"inputs[{place}]")
        if name in arrays:
            raise DataError(f"input {name!r} is given twice")
        said = _parameters(tensor, name)
        shape, size = shape_of(name, tensor.get("shape")), said.get("binary_data_size")
        if size is None:
            arrays[name] = from_json(name, tensor.get("datatype"), shape, tensor.get("data"))
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
            raise DataError(
                f"tensor {name!r} has the binary_data_size {size!r:.40}, and {len(rest)} bytes are left after the "
                f"JSON and the tensors before it: send {HEADER_LENGTH} and all its bytes"
            )
        if tensor.get("data") is not None:
            raise DataError(f"tensor {name!r} has both data and binary_data_size: send one of them")
        arrays[name] = from_bytes(name, tensor.get("datatype"), shape, rest[:size])
        rest = rest[size:]
    if len(rest):
        raise DataError(f"{len(rest)} bytes are left after the last tensor: each says its binary_data_size")
    binary = _flag(parameters.get("binary_data_output", False), "binary_data_output")
    outputs = None
    if request.get("outputs") is not None and (wanted := _list(request["outputs"], "'outputs'")):
        outputs = tuple(_wanted(one, place, binary) for place, one in enumerate(wanted))
        if len({one.name for one in outputs}) < len(outputs):  # each is written as often as it is asked for
            raise DataError("an output is asked for twice: name each once")
    return Asked(_id(request.get("id")), arrays, outputs, binary)


def write_answer(
    asked: Asked, found: Mapping[str, Array], *, model: str, version: str
) -> tuple[list[tuple[bytes, bytes]], list[bytes | memoryview]]:
    """Write an answer.

    Parameters
    ----------
    asked
        What was asked.
    found
        Outputs by name.
    model, version
        The model, as it was asked for, and the version that ran.

    Returns
    -------
    tuple
        Headers of the answer, and its body in parts.

    Raises
    ------
    DataError
        If outputs cannot be written as they are wanted.
    """
    outputs: list[dict[str, Any]] = []
    tail: list[bytes | memoryview] = []
    for wanted in asked.wanted(found):
        array = found[wanted.name]
        output: dict[str, Any] = {
            "name": wanted.name,
            "datatype": datatype_of(wanted.name, array),
            "shape": list(array.shape),
        }
        if wanted.binary:
            data = to_bytes(array)
            output["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            output["data"] = to_json(wanted.name, array)
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": outputs}
    if asked.id is not None:
        answer["id"] = asked.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    size = len(head) + sum(map(len, tail))
    headers = [(b"content-length", str(size).encode())]
    if tail:
        headers += [(b"content-type", BINARY.encode()), (HEADER_LENGTH.lower().encode(), str(len(head)).encode())]
    else:
        headers += [(b"content-type", JSON.encode())]
    return headers, [head, *tail]


def _wanted(given: object, place: int, binary: bool) -> Wanted:
    name, output = _named(given, f"outputs[{place}]")
    said = _parameters(output, name)
    return Wanted(name, _flag(said.get("binary_data", binary), "binary_data"))


def _named(given: object, where: str) -> tuple[str, dict[str, Any]]:
    tensor = _mapping(given, where)
    name = tensor.get("name")
    if not isinstance(name, str):
        raise DataError(f"{where} has no name")
    if len(name) > _LONGEST_NAME:
        raise DataError(f"{where} has a name of {len(name)} characters: no tensor here has one of over {_LONGEST_NAME}")
    return name, tensor


def _parameters(tensor: Mapping[str, Any], name: str) -> dict[str, Any]:
    said = _mapping(_given(tensor, "parameters"), f"'parameters' of {name!r}")
    if odd := next((word for word in _ELSEWHERE if word in said), None):
        raise DataError(f"tensor {name!r} asks for {odd}, which this server does not do: send and take its values")
    return said


def _given(holder: Mapping[str, Any], name: str) -> Any:
    """Return what may be left out, or be null, as some clients write it."""
    value = holder.get(name)
    return {} if value is None else value


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: an object is needed, as of the Open Inference Protocol")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{where}: a list is needed, as of the Open Inference Protocol")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{name} is {str(value)[:40]!r}: true or false is needed")
    return value


def _id(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DataError("id: a text is needed")
    return value
