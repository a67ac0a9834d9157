"""Where the files of an item are, and what it keeps beside STAC's own words: fields of links, and common fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from modelstac.catalog.errors import InvalidItemError

if TYPE_CHECKING:
    import pystac

ITEM_ID_FIELD = "interop:item_id"
"""What a link to a source says beside its href: the item id, which holds wherever the item lies."""

PAGE_FIELD = "interop:page"
"""What a link says that a catalog made, from an item or collection to the page of its model: the model's name."""
SPDX = "https://spdx.org/licenses/"
KEPT_RELS = frozenset({"about", "cite-as", "describedby", "documentation", "example", "license", "related", "via"})
"""Links that an item keeps beside those of a catalog, of its sources and of its SPDX licence."""
COMMON = (
    *("sci:doi", "sci:citation", "sci:publications"),
    *("platform", "instruments", "constellation", "mission", "gsd"),
)
"""Fields of other extensions and of STAC's common metadata that an item keeps as they are."""
_IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)
_IMAGES = ("application/vnd.oci.image", "application/vnd.docker")
_RUN = frozenset({"mlm:inference-runtime", "mlm:training-runtime"})


def is_image(href: object, media_type: object, roles: object) -> bool:
    """Tell whether an asset is a container image, named as in a registry (``ghcr.io/lab/runner:1``): no file.

    It is asked of documents that nobody has validated yet, whatever they hold.

    Source: MLM 1.5.2, "Container Asset".
    """
    if not isinstance(href, str) or "://" in href or href.startswith((".", "/")):
        return False
    typed = isinstance(media_type, str) and media_type.startswith(_IMAGES)
    runs = isinstance(roles, (list, tuple)) and any(isinstance(role, str) and role in _RUN for role in roles)
    return typed or (runs and _IMAGE.fullmatch(href) is not None)


def local_path(href: str) -> Path | None:
    """Return the path that an absolute local href names, None for a URL of another place."""
    if href.startswith(("https://", "http://")):
        return None
    parts = urlsplit(href)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    # One letter before the colon is a drive of Windows.
    return None if len(parts.scheme) > 1 else Path(href)


def asset_href(asset: pystac.Asset) -> str:
    """Return where an asset is, as an absolute path or URL."""
    # pystac takes any address apart, and most lead to the web.
    if asset.href.startswith(("https://", "http://")) or is_image(asset.href, asset.media_type, asset.roles or ()):
        return asset.href
    return asset.get_absolute_href() or asset.href


def copies(asset: pystac.Asset) -> list[str]:
    """Return where else an asset lies, as it says: hrefs that may be relative to its item.

    Source: alternate assets extension 1.2.
    """
    said = asset.extra_fields.get("alternate")
    entries = said.values() if isinstance(said, Mapping) else ()
    found = [entry.get("href") for entry in entries if isinstance(entry, Mapping)]
    return [href for href in found if isinstance(href, str) and href]


def is_local(asset: pystac.Asset) -> bool:
    """Tell whether an asset is a file on this machine."""
    return local_file(asset) is not None


def local_file(asset: pystac.Asset) -> Path | None:
    """Return the path of an asset that is a file on this machine, None for any other."""
    if is_image(asset.href, asset.media_type, asset.roles or ()):
        return None
    return local_path(asset_href(asset))


def has_local_files(item: pystac.Item) -> bool:
    """Tell whether an item has assets on this machine."""
    return any(map(is_local, item.assets.values()))


def refuse_files_of_ours(item: pystac.Item) -> None:
    """Refuse an item from elsewhere that names a file of this machine: a copy would hand out what its reader has.

    Raises
    ------
    InvalidItemError
        If it does.
    """
    here = item.get_self_href()
    if here is None or local_path(here) is not None:
        return
    if key := next((key for key, asset in item.assets.items() if is_local(asset)), None):
        raise InvalidItemError(
            f"item {item.id!r} is at {here}, and its asset {key!r} is {item.assets[key].href}, a file of this machine: "
            "whoever publishes it gives an address that others can read"
        )


def sources_first(found: Iterable[pystac.Item]) -> list[pystac.Item]:
    """Give items after those that they are derived from; of those with one id the first stands for it."""
    first: dict[str, pystac.Item] = {}
    again = [item for item in found if first.setdefault(item.id, item) is not item]
    return [*_after_sources(first), *again]


def _after_sources(items: dict[str, pystac.Item]) -> Iterator[pystac.Item]:
    done: set[str] = set()
    for first in sorted(items):
        waiting = [first]
        while waiting:
            item_id = waiting[-1]
            missing = [s for s in _sources(items[item_id]) if s in items and s not in done and s not in waiting]
            if missing:
                waiting += missing[:1]
                continue
            waiting.pop()
            if item_id not in done:
                done.add(item_id)
                yield items[item_id]


def _sources(item: pystac.Item) -> list[str]:
    return [str(link.extra_fields[ITEM_ID_FIELD]) for link in item.links if ITEM_ID_FIELD in link.extra_fields]
