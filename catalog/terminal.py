"""Text of others on a terminal: what would move its cursor, colour it, or turn the order of letters is left out."""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links, the clipboard (OSC)
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor (CSI)
    r"|\x1b[ -/]*[0-~]"
)
_SIGNS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of writing
    "\u2028\u2029\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"  # half a character, which no terminal or file takes
)


def harmless(text: str) -> str:
    """Leave out what acts on a terminal; letters, tabs and newlines stay.

    A carriage return would write over its own line, so it counts as one that ends it.

    Source: ECMA-48 (control functions); Unicode, UAX #9 (the direction of writing).
    """
    return _SIGNS.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def escaped(text: str) -> str:
    """Write the same signs of a JSON text as JSON writes them by number: it says what it said, and acts on nothing."""
    return _SIGNS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
