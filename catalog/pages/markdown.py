"""A model card as HTML: CommonMark with tables; no HTML of its own, no link that acts, no picture from elsewhere."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from modelstac.catalog.later import needing
from modelstac.catalog.pages.values import LONGEST, drawn_href, safe_href, text

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LONGEST_CARD = 200_000
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[^\Wa-z\d_])")
_DEEPEST = 6


def render(source: object) -> Markup:
    """Return Markdown as HTML.

    Headings begin at the third level, since the page has two of its own; wide tables scroll in a region of their own.
    """
    if not isinstance(source, str):
        return Markup()
    return Markup(_parser().render(source[:LONGEST_CARD]))  # noqa: S704 - it escapes all HTML of its source


def sentence(source: object) -> str:
    """Return the first sentence of Markdown as plain text; nothing where there is no paragraph."""
    if not isinstance(source, str):
        return ""
    tokens = _parser().parse(source[:LONGEST_CARD])
    for before, token in itertools.pairwise(tokens):
        if before.type == "paragraph_open" and (plain := text(_plain(token.children or ()))):
            return _SENTENCE.split(plain, maxsplit=1)[0][:LONGEST]
    return ""


def _plain(tokens: Sequence[Token]) -> str:
    return "".join(
        " " if token.type in {"softbreak", "hardbreak"} else token.content
        for token in tokens
        if token.type in {"text", "code_inline", "softbreak", "hardbreak"}
    )


@cache
def _parser() -> MarkdownIt:
    with needing("a page of a model"):
        from markdown_it import MarkdownIt
        from markdown_it.rules_block import reference

    def but_no_footnote(state: Any, first: int, last: int, silent: bool) -> bool:
        """Take ``[name]: URL`` for a link, and the text of a footnote, ``[^1]: URL``, for what is read."""
        footnote = state.src.startswith("[^", state.bMarks[first] + state.tShift[first])
        return not footnote and bool(reference(state, first, last, silent))

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])
    parser.validateLink = _may_lead  # type: ignore[method-assign]
    parser.block.ruler.at("reference", but_no_footnote)
    parser.core.ruler.push("lower", _lower)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    return parser


def _may_lead(url: str) -> bool:
    return safe_href(url) is not None or (url.startswith("data:image/") and drawn_href(url) is not None)


def _lower(state: Any) -> None:
    """Begin headings at the third level, and leave none out: a reader of headings would stumble."""
    above: list[int] = []
    tag = ""
    for token in state.tokens:
        if token.type == "heading_open":
            stated = int(token.tag[1])
            above = [*(level for level in above if level < stated), stated]
            tag = f"h{min(2 + len(above), _DEEPEST)}"
        if token.type in {"heading_open", "heading_close"}:
            token.tag = tag
        if "right" in str(token.attrs.pop("style", "")):  # styles in attributes are not let in
            token.attrSet("class", "right")


def _image(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Show a picture that is in the text itself; name any other, which would be fetched from elsewhere."""
    token = tokens[index]
    href, alternative = token.attrGet("src"), text(_plain(token.children or ())) or "picture"
    if isinstance(href, str) and href.startswith("data:") and drawn_href(href):
        return str(Markup('<img src="{}" alt="{}">').format(href, alternative))
    if isinstance(href, str) and "://" in href and safe_href(href):
        return str(Markup('<a href="{}" rel="nofollow noopener">{} (picture)</a>').format(href, alternative))
    return str(Markup("{} (picture)").format(alternative))


def _table_open(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    env["tables"] = env.get("tables", 0) + 1  # not counted in the tokens before: of thousands that takes minutes
    return f'<div class="wide" role="region" tabindex="0" aria-label="Table {env["tables"]} of the model card"><table>'


def _table_close(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>"


def _link_open(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return str(Markup('<a href="{}" rel="nofollow noopener">').format(str(tokens[index].attrGet("href") or "")))


def _code(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return str(Markup('<pre tabindex="0"><code>{}</code></pre>').format(tokens[index].content))
