"""JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902)."""

from __future__ import annotations

from typing import Any

from modelstac.catalog.errors import InvalidItemError


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
        return _merged(document, patch)
    import jsonpatch
    import jsonpointer

    try:
        result: dict[str, Any] = jsonpatch.apply_patch(document, patch)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, KeyError, TypeError) as error:
        raise InvalidItemError(f"the JSON patch cannot be applied: {error}") from error
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
