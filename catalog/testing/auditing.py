"""The audit log: what was done is in it, once, in order, with who did it; what was refused is not."""

from __future__ import annotations

import contextlib

import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import CatalogError, InvalidQueryError, ModelStacError
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.journal import Asked, Entry
from modelstac.catalog.testing.examples import NEWER, TORCH, Examples
from modelstac.catalog.testing.fixtures import Filled

NAME = "convlstm-knmi"


class Auditing(Filled):
    """Who did what; a catalog that keeps no log says so."""

    def test_what_is_done_is_in_the_audit_log(self, catalog: Catalog, examples: Examples) -> None:
        if not catalog.keeps_audit:
            _says_so(catalog)
            return
        before = [entry.number for entry in catalog.audit(Asked(limit=1))[0]]
        catalog.publish_many([examples.item(), examples.item(version="1.1.0")])
        catalog.publish(examples.item())
        catalog.set_alias(NAME, "champion", TORCH)
        catalog.set_alias(NAME, "champion", NEWER, expected=TORCH)
        catalog.set_alias(NAME, "champion", NEWER)
        with contextlib.suppress(ModelStacError):
            catalog.delete(NEWER)
        with contextlib.suppress(ModelStacError):
            catalog.publish(examples.item(parameters=7))
        catalog.set_alias(NAME, "champion", None)
        catalog.deprecate(TORCH)
        catalog.deprecate(TORCH)
        catalog.deprecate(TORCH, deprecated=False)
        catalog.add_verified(TORCH, [{"python": "3.11", "packages": {"torch": "2.15.0"}}])
        asset = {"href": "data:text/plain;base64,c2VjcmV0", "type": "text/plain", "roles": ["signature"]}
        catalog.attach(TORCH, "signature", asset | {"file:checksum": multihash("0" * 64), "file:size": 6})
        catalog.delete(NEWER)
        found = _since(catalog, before)
        told = [(entry.action, entry.item, dict(entry.detail)) for entry in found]
        assert told[0] == ("create-model", None, {})
        assert sorted(told[1:3], key=str) == [("publish", TORCH, {}), ("publish", NEWER, {})]
        assert told[3:] == [
            ("promote", TORCH, {"alias": "champion"}),
            ("promote", NEWER, {"alias": "champion", "before": TORCH}),
            ("demote", NEWER, {"alias": "champion"}),
            ("deprecate", TORCH, {}),
            ("reinstate", TORCH, {}),
            ("change", TORCH, {"fields": ["interop:verified"]}),
            ("change", TORCH, {"fields": ["assets.signature"]}),
            ("delete", NEWER, {}),
        ]
        assert {entry.collection for entry in found} == {NAME}
        assert len({entry.by for entry in found}) == 1
        assert all(entry.by for entry in found)
        assert [entry.at for entry in found] == sorted(entry.at for entry in found)
        assert "c2VjcmV0" not in str(found)

    def test_the_audit_log_can_be_asked(self, catalog: Catalog, examples: Examples) -> None:
        if not catalog.keeps_audit:
            _says_so(catalog)
            return
        catalog.publish_many([examples.item(), examples.item(version="1.1.0"), examples.item(name="other")])
        catalog.set_alias(NAME, "champion", TORCH)
        newest = catalog.audit(Asked(limit=1))[0][0]
        assert (newest.action, newest.item) == ("promote", TORCH)
        for asked, count in (
            (Asked(collection="other", limit=1), 1),
            (Asked(collection=NAME, action="promote", by=newest.by, limit=1), 1),
            (Asked(item=TORCH, action="publish", limit=1), 1),
            (Asked(item="nobody"), 0),
            (Asked(by="nobody"), 0),
            (Asked(datetime="1999/2000"), 0),
            (Asked(datetime=f"{newest.at}/..", limit=1), 1),
        ):
            assert len(catalog.audit(asked)[0]) == count, asked
        pages, following = catalog.audit(Asked(collection=NAME, limit=1))
        while following is not None and len(pages) < 4:
            more, following = catalog.audit(Asked(collection=NAME, limit=1, before=following))
            pages += more
        assert [entry.action for entry in pages] == ["promote", "publish", "publish", "create-model"]
        for bad in (Asked(action="dance"), Asked(datetime="yesterday")):
            with pytest.raises(InvalidQueryError):
                catalog.audit(bad)


def _says_so(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="keeps no audit log"):
        catalog.audit()


def _since(catalog: Catalog, before: list[int]) -> list[Entry]:
    """Return what came after, the oldest first."""
    found, following = catalog.audit(Asked(limit=1000))
    assert following is None or before
    last = before[0] if before else 0
    return [entry for entry in reversed(found) if entry.number > last]
