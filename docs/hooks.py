"""What the site shows beside ``docs/``: the pages at the top of the repository, and tables that are made of the code.

A page says ``<!-- made of: settings -->`` where a table of :data:`TABLES` goes, its arguments after its name. Links out
of ``docs/`` lead to the page that shows the file; files that no page shows are named and not linked, as the site is
read without the repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

from docs import tables
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
SHOWN = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "references/DATASETS.md": "datasets.md",
    "docs/decisions": "decisions/0001-rooms-as-links.md",
    "notebooks": "notebooks/1-find-and-load.ipynb",
}
"""Page of the site by file of the repository."""
TABLES: dict[str, Callable[..., str]] = {
    "settings": tables.server_settings,
    "inference": tables.inference_settings,
    "interop": tables.interop_fields,
    "item": tables.item_part,
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_MADE_OF = re.compile(r"<!-- made of: (\w+)((?: [\w:]+)*) -->")
_OUTSIDE = re.compile(r'href="(https?://[^"]+)"')
_external: set[str] = set()


def on_config(config: MkDocsConfig) -> None:
    """List the decision records in the navigation."""
    records = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    for entry in config.nav or ():
        for pages in entry.values():
            for page in pages if isinstance(pages, list) else ():
                if "Decisions" in page:
                    page["Decisions"] = [f"decisions/{name}" for name in records]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside of ``docs/``."""
    for source, target in SHOWN.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, target, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Put the tables in and lead links to pages."""
    source = {target: source for source, target in SHOWN.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = source.rpartition("/")[0]

    def led(match: re.Match[str]) -> str:
        image, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        place = normpath(f"{folder}/{target}") if folder else target
        shown = SHOWN.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
        if shown is None:
            return text
        return f"{image}[{text}]({relpath(shown, page.file.src_uri.rpartition('/')[0] or '.')}{anchor})"

    return _LINK.sub(led, _MADE_OF.sub(lambda match: TABLES[match[1]](*match[2].split()), markdown))


def on_post_page(output: str, **_: Any) -> str:
    """Remember where links lead outside."""
    _external.update(_OUTSIDE.findall(output))
    return output


def on_post_build(config: MkDocsConfig) -> None:
    """List the links to other sites, which nobody asked here whether they are there."""
    Path(config.site_dir, "external-links.txt").write_text("\n".join(sorted(_external)) + "\n", encoding="utf-8")
