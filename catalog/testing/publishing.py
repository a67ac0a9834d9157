"""What is published, whole or not at all, and listed."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import (
    IntegrityError,
    InvalidItemError,
    ItemExistsError,
    NotFoundError,
    StorageError,
)
from modelstac.catalog.items.description import Source
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.identity import immutable_content
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.testing.examples import TORCH, UNET, Examples
from modelstac.catalog.testing.fixtures import Filled


class Publishing(Filled):
    """Publishing, listing and getting."""

    def test_what_is_published_is_returned(self, catalog: Catalog, examples: Examples) -> None:
        item = examples.item()
        catalog.publish(item)
        found = catalog.get(TORCH)
        assert immutable_content(found) == immutable_content(item)
        assert read_item(found).id == TORCH
        assert {"created", "updated"} <= found.properties.keys()
        assert catalog.find("nobody") is None

    def test_publishing_again_changes_nothing(self, catalog: Catalog, examples: Examples) -> None:
        first = catalog.publish(examples.item())
        again = catalog.publish(examples.item())
        assert again.to_dict(transform_hrefs=False) == first.to_dict(transform_hrefs=False)
        assert catalog.publish(first).id == TORCH
        with pytest.raises(ItemExistsError, match="other content"):
            catalog.publish(examples.item(parameters=7))
        assert [i.properties["mlm:total_parameters"] for i in catalog.items()] == [1234]

    def test_an_invalid_item_is_refused(self, catalog: Catalog, examples: Examples) -> None:
        item = examples.item()
        item.properties["mlm:rmse"] = 0.9
        with pytest.raises(InvalidItemError, match="mlm:rmse"):
            catalog.publish(item)
        with contextlib.suppress(NotFoundError):
            assert catalog.find(TORCH) is None

    def test_an_item_whose_file_is_another_is_refused(self, catalog: Catalog, examples: Examples) -> None:
        catalog.publish(examples.item(version="0.1.0"))
        for fields, error in (
            ({"file:size": 8}, IntegrityError),
            ({"file:checksum": multihash("ab" * 32)}, IntegrityError),
        ):
            item = examples.item()
            item.assets["model"].extra_fields |= fields
            with pytest.raises(error, match=r"model\.bin|SHA-256"):
                catalog.publish(item)
            with pytest.raises(error):
                catalog.publish_many([examples.item(version="0.2.0"), item])
        item = examples.item()
        item.assets["model"].href += ".gone"
        with pytest.raises(StorageError):
            catalog.publish(item)
        assert TORCH not in list(catalog.ids())

    def test_a_collection_covers_just_what_is_in_it(self, catalog: Catalog, examples: Examples) -> None:
        far = examples.item(version="0.1.0", geometry={"type": "Point", "coordinates": [100, 10]})
        catalog.publish(far)
        catalog.delete(far.id)
        catalog.publish(examples.item())
        collection = catalog.collection("convlstm-knmi")
        assert collection.extent.spatial.bboxes == [[0, 49, 10, 55]]
        assert collection.summaries.lists["version"] == ["1.0.0"]

    def test_many_are_published_or_none(self, catalog: Catalog, examples: Examples) -> None:
        catalog.publish(examples.item())
        bad = examples.item(version="3.0.0")
        bad.properties["mlm:tasks"] = ["dancing"]
        for wrong, error in ((bad, InvalidItemError), (examples.item(parameters=7), ItemExistsError)):
            with pytest.raises(error):
                catalog.publish_many([examples.item(version="2.0.0"), wrong])
            assert list(catalog.ids()) == [TORCH]
        published = catalog.publish_many([examples.item(), examples.item(version="2.0.0"), examples.item(name="other")])
        assert [item.id for item in published] == [TORCH, "convlstm-knmi-2.0.0-torch", "other-1.0.0-torch"]
        assert sorted(catalog.ids()) == sorted(item.id for item in published)

    def test_a_source_must_be_there(self, catalog: Catalog, examples: Examples) -> None:
        catalog.publish(examples.item())
        orphan = examples.item(version="1.1.0", sources=(Source(item_id="convlstm-knmi-1.0.0-tocrh"),))
        with pytest.raises(NotFoundError, match=f"did you mean '{TORCH}'"):
            catalog.publish(orphan)
        assert list(catalog.ids()) == [TORCH]

    def test_an_unknown_id_names_the_nearest(self, filled: Catalog) -> None:
        with pytest.raises(NotFoundError, match=re.escape(f"did you mean '{UNET}'")):
            filled.get("unet-2.0.0-tocrh")
        with pytest.raises(NotFoundError, match="did you mean 'unet'"):
            filled.collection("unett")

    def test_everything_is_listed(self, filled: Catalog, examples: Examples) -> None:
        expected = sorted(item.id for item in examples.various())
        assert sorted(filled.ids()) == sorted(item.id for item in filled.items()) == expected
        collections = {collection.id: collection for collection in filled.collections()}
        assert collections.keys() == {"convlstm-knmi", "pacific", "unet"}
        assert collections["convlstm-knmi"].extent.spatial.bboxes == [[0, 0, 10, 55]]
        assert set(collections["convlstm-knmi"].summaries.lists["mlm:framework"]) == {"PyTorch", "Keras", "ONNX"}

    def test_many_threads_lose_nothing(self, catalog: Catalog, examples: Examples) -> None:
        wanted = [examples.item(version=f"1.{minor}.0", variant=v) for minor in range(4) for v in ("torch", "other")]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(catalog.publish, wanted))
        assert sorted(catalog.ids()) == sorted(item.id for item in wanted)
        assert len(catalog.search(version=">=1.2")) == 4
