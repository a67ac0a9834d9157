"""An item of ours into a repository of the Hub: its file, the item itself, and a card, in one commit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.credentials import without_secrets
from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.collections.widening import new_collection, with_item
from modelstac.catalog.items.documents import STRUCTURAL_RELS, dump, link
from modelstac.registry.exchange.hub.asking import client, endpoint, explained
from modelstac.registry.exchange.hub.card import ITEM, README, write

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription

COLLECTION = "collection.json"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def push(
    item: pystac.Item, description: ModelDescription, files: Mapping[str, Path], repository: str, *, private: bool
) -> str:
    """Put an item into a repository, which is made where there is none; return ``hf://ORG/REPO@COMMIT``.

    Parameters
    ----------
    item, description
        The item.
    files
        Files of its assets, verified, by the key of the asset.
    repository
        ``ORG/REPO``.
    private
        Whether a new repository is seen by its owner alone.

    Raises
    ------
    SpecError
        If it is no name of a repository.
    ModelStacError
        If the Hub does not answer, or does not take it.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise SpecError(f"{repository!r} is no repository to push to: write hf://ORG/REPO")
    api = client()
    from huggingface_hub import CommitOperationAdd

    address = f"{endpoint()}/{repository}/resolve/main/{ITEM}"
    document = json.dumps(_document(item, files), indent=2, ensure_ascii=False)
    card = write(description, repository, address)
    contents: dict[str, Any] = {README: card.encode(), ITEM: f"{document}\n".encode()}
    contents[COLLECTION] = dump(_collection(item))
    contents |= {path.name: path for path in files.values()}
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=what) for name, what in contents.items()]
    with explained(repository):
        api.create_repo(repository, private=private, exist_ok=True)
        made = api.create_commit(repository, operations, commit_message=f"{item.id}, by modelstac")
    return f"hf://{repository}@{made.oid}"


def _collection(item: pystac.Item) -> dict[str, Any]:
    """Return the collection of the one item, without which an item that names one is not valid."""
    found = with_item(new_collection(str(item.collection_id), item.properties), item)
    return found | {"links": [link("item", f"./{ITEM}", "application/geo+json", item.properties.get("title"))]}


def _document(item: pystac.Item, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return the item as it lies in the repository: beside its files, and without the links of a catalog."""
    found = without_secrets(item.to_dict(include_self_link=False, transform_hrefs=False))
    found["links"] = [
        one for one in found["links"] if one["rel"] not in STRUCTURAL_RELS and "://" in str(one.get("href"))
    ]
    found["links"].append(link("collection", f"./{COLLECTION}"))
    found["assets"] = {
        key: asset | ({"href": f"./{files[key].name}"} if key in files else {})
        for key, asset in found["assets"].items()
        if key in files or "://" in asset["href"]
    }
    return dict(found)
