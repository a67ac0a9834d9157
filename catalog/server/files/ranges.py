"""The parts of an artifact that requests name: ``Range`` of a download and ``Content-Range`` of an upload."""

from __future__ import annotations

import re

from modelstac.catalog.errors import InvalidItemError, NotFoundError


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a ``Range`` header asks for, None for everything.

    Raises
    ------
    NotFoundError
        If the range lies outside.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    first, last = match.groups() if match else ("", "")
    if (first, last) == ("", "") or (first and last and int(last) < int(first)):
        return None  # RFC 9110: what is not understood is ignored
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise NotFoundError(f"range: the artifact has {size} bytes")
    return start, end


def parse_content_range(header: str | None) -> tuple[int, int | None]:
    """Return the first byte and the total size that a ``Content-Range`` header names."""
    if header is None:
        return 0, None
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", header)
    if match is None:
        raise InvalidItemError("Content-Range: expected 'bytes FIRST-LAST/TOTAL'")
    return int(match.group(1)), int(match.group(3))
