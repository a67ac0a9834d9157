"""What a keeper does to a catalog: versions, aliases, deprecation, deletion."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pystac
import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import (
    ConflictError,
    InvalidItemError,
    NotFoundError,
)
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.documents import VERSION_RELS
from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.testing.examples import KERAS, NEWER, ONNX, TORCH, UNET, Examples
from modelstac.catalog.testing.fixtures import Filled


class Keeping(Filled):
    """Versions, aliases, deprecation and deletion."""

    def test_versions_are_linked(self, catalog: Catalog, examples: Examples) -> None:
        for version in ("1.0.0", "1.10.0", "1.2.0"):
            catalog.publish(examples.item(version=version))
        catalog.publish(examples.item(version="1.3.0", variant="other"))
        first, second, third = (f"convlstm-knmi-{version}-torch" for version in ("1.0.0", "1.2.0", "1.10.0"))
        assert versions(catalog.get(first)) == {"successor-version": second, "latest-version": third}
        assert versions(catalog.get(second)) == {
            "predecessor-version": first,
            "successor-version": third,
            "latest-version": third,
        }
        assert versions(catalog.get(third)) == {"predecessor-version": second}
        assert versions(catalog.get("convlstm-knmi-1.3.0-other")) == {}
        catalog.delete(third)
        assert versions(catalog.search(ids=first)[0]) == {"successor-version": second, "latest-version": second}
        assert versions(catalog.search(ids=second)[0]) == {"predecessor-version": first}

    def test_aliases_point_to_items(self, filled: Catalog) -> None:
        assert filled.aliases("convlstm-knmi") == {"champion": NEWER}
        assert filled.aliases("unet") == {}
        assert filled.get("convlstm-knmi@champion").id == NEWER
        assert filled.get(NEWER).properties[ALIASES] == ["champion"]
        assert [i.properties.get(ALIASES) for i in filled.search(ids=(NEWER, TORCH))] == [None, ["champion"]]
        filled.set_alias("convlstm-knmi", "latest", NEWER)
        filled.set_alias("convlstm-knmi", "champion", TORCH, expected=NEWER)
        assert filled.aliases("convlstm-knmi") == {"champion": TORCH, "latest": NEWER}
        filled.set_alias("convlstm-knmi", "champion", None)
        assert filled.search(alias="champion") == []
        with pytest.raises(NotFoundError, match="did you mean 'latest'"):
            filled.get("convlstm-knmi@latst")
        assert filled.publish(filled.get(NEWER)).id == NEWER

    def test_aliases_are_changed_by_compare_and_swap(self, filled: Catalog) -> None:
        for expected in (None, TORCH):
            with pytest.raises(ConflictError, match=f"champion points to {NEWER}"):
                filled.set_alias("convlstm-knmi", "champion", TORCH, expected=expected)
        assert filled.aliases("convlstm-knmi") == {"champion": NEWER}
        for name, alias, item_id, error in (
            ("convlstm-knmi", "champion", UNET, NotFoundError),
            ("convlstm-knmi", "champion", "nobody", NotFoundError),
            ("nobody", "champion", None, NotFoundError),
            ("convlstm-knmi", "a/b", TORCH, InvalidItemError),
        ):
            with pytest.raises(error):
                filled.set_alias(name, alias, item_id)

        def swap(item_id: str) -> bool:
            try:
                filled.set_alias("convlstm-knmi", "contested", item_id, expected=None)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            won = list(threads.map(swap, (TORCH, NEWER, KERAS, ONNX)))
        assert won.count(True) == 1

    def test_an_alias_may_be_only_for_what_was_tested_and_scored(self, filled: Catalog) -> None:
        filled.protect_alias("convlstm-knmi", "best", ("self_test", "scores", "signature"))
        with pytest.raises(ConflictError) as refused:
            filled.set_alias("convlstm-knmi", "best", ONNX)
        message = str(refused.value)
        assert message.count("\n") == 0
        for said in (
            "convlstm-knmi@best",
            "self_test, scores, signature",
            "is not signed",
            "no self-test",
            f"modelstac test {ONNX} --record",
        ):
            assert said in message
        assert filled.aliases("convlstm-knmi") == {"champion": NEWER}
        filled.set_alias("convlstm-knmi", "champion", ONNX)
        filled.protect_alias("convlstm-knmi", "best", ("self_test",))
        filled.add_verified(ONNX, [{"python": "3.12", "packages": {"torch": "2.15.0"}, "max_absolute_difference": 0.0}])
        filled.set_alias("convlstm-knmi", "best", ONNX)
        with pytest.raises(ConflictError, match="self-test"):
            filled.set_alias("convlstm-knmi", "best", KERAS)
        filled.protect_alias("convlstm-knmi", "best", ())
        filled.set_alias("convlstm-knmi", "best", KERAS)
        for name, required, error in (
            ("nobody", ("scores",), NotFoundError),
            ("convlstm-knmi", ("luck",), InvalidItemError),
        ):
            with pytest.raises(error):
                filled.protect_alias(name, "best", required)

    def test_deprecating_is_evidence_and_no_change(self, filled: Catalog, examples: Examples) -> None:
        assert filled.get(ONNX).properties["deprecated"] is True
        assert filled.deprecate(TORCH).properties["deprecated"] is True
        assert [item.id for item in filled.search(deprecated=True)] == [ONNX, TORCH]
        assert versions(filled.get(TORCH))["successor-version"] == NEWER
        filled.publish(filled.get(TORCH))
        assert not filled.deprecate(TORCH, deprecated=False).properties["deprecated"]
        with pytest.raises(NotFoundError):
            filled.deprecate("nobody")

    def test_evidence_can_be_attached_and_replaced(self, filled: Catalog) -> None:
        for text in ("QQ==", "Qg=="):
            asset: dict[str, Any] = {
                "href": f"data:text/plain;base64,{text}",
                "type": "text/plain",
                "roles": ["signature"],
            }
            asset["file:checksum"], asset["file:size"] = multihash("0" * 64), 1
            before = filled.get(TORCH)
            after = filled.attach(TORCH, "signature", asset)
            assert after.assets["signature"].to_dict() == asset
            assert filled.same_or_refuse(after, before)
        assert filled.search(ids=[TORCH])[0].assets["signature"].href == "data:text/plain;base64,Qg=="
        with pytest.raises(NotFoundError):
            filled.attach("nothing", "signature", asset)

    def test_environments_are_added_to_the_evidence_and_found(self, filled: Catalog) -> None:
        before = filled.get(TORCH)
        there = before.properties.get("interop:verified", [])
        for difference in (3e-3, 3e-6):  # the second in place of the first
            found = {"python": "3.11", "packages": {"torch": "2.15.0"}, "max_absolute_difference": difference}
            after = filled.add_verified(TORCH, [found])
            assert after.properties["interop:verified"] == [*there, found]
            assert filled.same_or_refuse(after, before)
        assert [item.id for item in filled.search(runs_with="torch 2.15", runs_within=1e-5)] == [TORCH]
        assert filled.search(runs_with="torch 2.15", runs_within=1e-6) == []
        stamp = after.properties["updated"]
        assert filled.add_verified(TORCH, [found]).properties["updated"] == stamp
        with pytest.raises(InvalidItemError, match="interop:verified"):
            filled.add_verified(TORCH, [{"packages": {"torch": 2.7}}])
        with pytest.raises(NotFoundError):
            filled.add_verified("nothing", [found])

    def test_deleting_removes_an_item(self, filled: Catalog, examples: Examples) -> None:
        with pytest.raises(ConflictError, match="convlstm-knmi@champion"):
            filled.delete(NEWER)
        filled.set_alias("convlstm-knmi", "champion", None)
        filled.delete(NEWER)
        assert filled.find(NEWER) is None
        assert NEWER not in list(filled.ids())
        assert filled.search(parameters=">=5e6") == []
        assert filled.search(text="1.1.0") == []
        for name in (UNET, "unet-2.1.0-torch"):
            filled.delete(name)
        assert filled.search(collections="unet") == []
        assert filled.collection("unet").id == "unet"
        with pytest.raises(NotFoundError):
            filled.delete(NEWER)
        # The same bytes belong to others too, and another content may have the id now.
        assert read_item(filled.get(TORCH)).id == TORCH
        assert filled.publish(examples.item(version="1.1.0", parameters=9)).properties["mlm:total_parameters"] == 9


def versions(item: pystac.Item) -> dict[str, str]:
    """Return the ids that an item's version links lead to, by relation."""
    last = re.compile(r".*/([^/]+?)(\.json)?")
    found = {}
    for link in item.links:
        if link.rel in VERSION_RELS and (match := last.fullmatch(str(link.get_href(transform_href=False)))):
            found[str(link.rel)] = match[1]
    return found
