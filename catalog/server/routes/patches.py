"""JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

import orjson

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.server.routes.requests import holds_nul

# orjson writes 254 levels; an answer is a few around the document.
_LEVELS, _LEVELS_AROUND = 254, 150
_MOST_OPERATIONS, _LARGEST = 1_000, 10 << 20


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
