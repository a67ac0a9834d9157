"""Names of others as matplotlib draws them, in pictures of maps and of their scores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

LETTERS = 36
"""So many letters of a name are drawn."""


def drawable(name: str, otherwise: str, *, letters: int = LETTERS) -> str:
    """Give a name to draw: its dollars are no formula, and what the font has no letters for is called otherwise.

    Parameters
    ----------
    name
        What somebody calls a class, a band or a scene.
    otherwise
        What to draw instead, such as the number of the class: empty boxes say nothing.
    letters
        How many are drawn at most.
    """
    text = " ".join(name.split())
    font = _font()
    if any(not font.get_char_index(ord(letter)) for letter in text):
        text = otherwise
    text = text if len(text) <= letters else f"{text[: letters - 1]}…"
    return text.replace("$", r"\$")


@lru_cache(maxsize=1)
def _font() -> Any:
    from matplotlib import font_manager

    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
