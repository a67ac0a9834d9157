"""JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902)."""

from __future__ import annotations

import json
from typing import Any

import orjson

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.server.routes.requests import holds_nul

# orjson writes 254 levels; an answer is a few around the document.
_LEVELS, _LEVELS_AROUND = 254, 150
_ALIKE, _LONG = bytes.maketrans(b"123456789", b"000000000"), b"0" * 19  # looked for faster than by an expression
_DIGITS, _BEYOND = 22, 1 << 64
_MOST_OPERATIONS, _LARGEST = 1_000, 10 << 20


def read_json(text: bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    InvalidItemError
        If it is none, or has a whole number beyond 64 bits, which would be rounded.
    """
    try:
        document = orjson.loads(text)
        if _LONG in text.translate(_ALIKE):
            json.loads(text, parse_int=_whole)
    except ValueError as error:
        if isinstance(error, InvalidItemError):
            raise
        raise InvalidItemError(f"no JSON: {error}") from error
    return document


def _whole(text: str) -> int:
    number = int(text) if len(text) < _DIGITS else _BEYOND
    if not -_BEYOND // 2 <= number < _BEYOND:
        shown = text if len(text) < 40 else f"{text[:39]}…"
        raise InvalidItemError(f"a number that is too large: {shown} is beyond 64 bits and would be rounded")
    return number


def refuse_unstorable(document: Any) -> None:
    """Refuse what some backend could not store, or the server not answer with again.

    Raises
    ------
    InvalidItemError
        If it nests too deeply, is too large, or holds a number beyond 64 bits or a NUL character.
    """
    try:
        text = orjson.dumps(document)
        # Each level has a bracket, and most documents have not as many as may be levels.
        if text.count(b"[") + text.count(b"{") > _LEVELS - _LEVELS_AROUND:
            nested = document
            for _ in range(_LEVELS_AROUND):
                nested = [nested]
            orjson.dumps(nested)
    except TypeError as error:
        raise InvalidItemError(f"the body: nested too deeply, or a number that is too large ({error})") from error
    if rb"\u0000" in text and (place := holds_nul(document)):
        raise InvalidItemError(f"{place}: a NUL character cannot be stored")
    if len(text) > _LARGEST:
        raise InvalidItemError(f"the document: larger than {_LARGEST} bytes")


def patched(document: dict[str, Any], patch: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """Return a changed copy of a document.

    Parameters
    ----------
    patch
        An object merges, a list holds operations.

    Raises
    ------
    InvalidItemError
        If the operations are malformed or do not fit the document.
    """
    if isinstance(patch, dict):
        result = _merged(document, patch)
        refuse_unstorable(result)
        return result
    if len(patch) > _MOST_OPERATIONS:
        raise InvalidItemError(f"the JSON patch: more than {_MOST_OPERATIONS} operations")
    import jsonpatch
    import jsonpointer

    try:
        result = document
        for operation in patch:
            result = jsonpatch.apply_patch(result, [operation])
            # Copies of copies double the document each time.
            refuse_unstorable(result)
    except InvalidItemError:
        raise
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise InvalidItemError(f"the JSON patch cannot be applied: {str(error)[:200]}") from error
    if not isinstance(result, dict):
        raise InvalidItemError("the JSON patch leaves no document")
    return result


def _merged(document: Any, patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merged(merged.get(name), value)
        else:
            merged[name] = value
    return merged
