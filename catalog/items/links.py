"""What an item keeps beside STAC's own words: fields of its links, common fields, and container images for files."""

from __future__ import annotations

import re

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
