"""The contract of a catalog as a suite of tests, for our backends and for those of others.

Inherit :class:`CatalogContract` in a module of tests and give it a fixture ``catalog`` that returns an empty catalog::

    class TestMine(CatalogContract):
        @pytest.fixture
        def catalog(self, tmp_path):
            return MyCatalog(tmp_path / "mine")

What a search should find is told by :func:`modelstac.catalog.matching.matches`, item by item.
"""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from modelstac.catalog.base import Catalog
from modelstac.catalog.digests import multihash
from modelstac.catalog.documents import VERSION_RELS
from modelstac.catalog.errors import (
    ConflictError,
    InvalidItemError,
    InvalidQueryError,
    ItemExistsError,
    NotFoundError,
)
from modelstac.catalog.identity import ALIASES, immutable_content
from modelstac.catalog.items import ExtraAsset, ModelDescription, Parity, Provider, Source
from modelstac.catalog.mlm import Clip, InputStructure, ModelInput, ModelOutput, ResultStructure, Scale
from modelstac.catalog.query import Query

AXES = ("batch", "time", "height", "width", "variables")
SHAPE = (-1, 18, -1, -1, 1)

TORCH = "convlstm-knmi-1.0.0-torch"
NEWER = "convlstm-knmi-1.1.0-torch"
KERAS = "convlstm-knmi-1.0.0-keras-tensorflow"
ONNX = "convlstm-knmi-1.0.0-onnx-from-torch"
UNET = "unet-2.0.0-torch"


def example_fields(artifact: Path, metrics: Path) -> dict[str, Any]:
    """Return the fields of a small description; the catalog never looks into the two files."""
    return {
        "name": "convlstm-knmi",
        "version": "1.0.0",
        "variant": "torch",
        "title": "ConvLSTM rain nowcasting (PyTorch)",
        "description": "Reads 18 radar frames of rain rate and forecasts the next 18.",
        "license": "MIT",
        "model_title": "ConvLSTM rain nowcasting",
        "keywords": ("nowcasting", "radar"),
        "providers": (Provider(name="KNMI", roles=("producer",), url="https://www.knmi.nl"),),
        "geometry": {"type": "Polygon", "coordinates": [[[0, 49], [10, 49], [10, 55], [0, 55], [0, 49]]]},
        "start": datetime(2010, 8, 26),
        "end": datetime(2010, 8, 26, 7, 35),
        "format": "torch",
        "framework_version": "2.13.0+cpu",
        "architecture": "ConvLSTM",
        "tasks": ("regression",),
        "inputs": (
            ModelInput(
                name="frames",
                variables=("rainfall_rate",),
                input=InputStructure(shape=SHAPE, dim_order=AXES, data_type="float32"),
                value_scaling=(Clip(minimum=0, maximum=30.6), Scale(value=30.6)),
            ),
        ),
        "outputs": (
            ModelOutput(
                name="forecast",
                tasks=("regression",),
                variables=("rainfall_rate",),
                result=ResultStructure(shape=SHAPE, dim_order=AXES, data_type="float32"),
            ),
        ),
        "hyperparameters": {"architecture": {"filters": [4, 4]}, "epochs": 2},
        "parameters": 1234,
        "entrypoint": "modelstac.training.architectures.convlstm_torch:build",
        "cube_dimensions": {
            "x": {"type": "spatial", "axis": "x", "extent": [0, 256000], "reference_system": "+proj=stere"},
            "time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", "2010-08-26T07:35:00Z"], "step": "PT5M"},
        },
        "cube_variables": {"rainfall_rate": {"dimensions": ["time", "x"], "variable_type": "data", "unit": "mm/h"}},
        "scores": {"rmse_mm_per_h": 0.9},
        "job": "f" * 64,
        "artifact": artifact,
        "assets": {
            "metrics": ExtraAsset(path=metrics, media_type="application/json", roles=("metadata",), title="Scores"),
        },
    }


class Examples:
    """Items whose files are a few bytes each.

    Parameters
    ----------
    folder
        Where the files are made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._artifact, self._metrics = folder / "model.bin", folder / "metrics.json"
        self._artifact.write_bytes(b"weights")
        self._metrics.write_text('{"rmse": 0.9}\n')

    def item(self, **changes: Any) -> pystac.Item:
        """Return an item; the keyword arguments replace fields of its description."""
        return ModelDescription(**(example_fields(self._artifact, self._metrics) | changes)).to_item()

    def various(self) -> list[pystac.Item]:
        """Return items that differ in everything that can be searched for, in an order that can be published."""
        parity = Parity(
            source=TORCH,
            max_absolute_difference=2e-7,
            max_relative_difference=1e-5,
            root_mean_square_difference=1e-8,
            cases=8,
            absolute_tolerance=1e-5,
            relative_tolerance=1e-4,
            passed=True,
        )
        keras = {"format": "keras", "framework_version": "3.15.1", "entrypoint": None}
        onnx = {
            "format": "onnx",
            "framework_version": "1.22.0",
            "entrypoint": None,
            "sources": (Source(item_id=TORCH),),
        }
        square = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [0, 4], [0, 0]]]}
        items = [
            self.item(),
            self.item(version="1.1.0", framework_version="2.7.1", parameters=5_000_000),
            self.item(version="1.10.0", framework_version="2.7.1-rc1", geometry=square),
            self.item(variant="keras-tensorflow", backend="tensorflow", backend_version="2.19.1", **keras),
            self.item(variant="keras-torch", backend="torch", backend_version="2.13.0", **keras),
            self.item(variant="onnx-from-torch", parity=parity, **onnx),
            self.item(name="unet", version="2.0.0", architecture="U-Net", tasks=("segmentation",), keywords=("Über",)),
            self.item(
                name="unet",
                version="2.1.0",
                framework_version="3.0.0",
                geometry={"type": "Point", "coordinates": [100, 10]},
                start=datetime(2011, 1, 1),
                end=datetime(2011, 12, 31, 23, 59, 59, 500_000),
                title="50% 'quoted' \"words\"",
            ),
            self.item(
                name="pacific",
                geometry={
                    "type": "MultiPolygon",
                    "coordinates": [
                        [[[170, -10], [180, -10], [180, 10], [170, 10], [170, -10]]],
                        [[[-180, -10], [-170, -10], [-170, 10], [-180, 10], [-180, -10]]],
                    ],
                },
                bbox=(170, -10, -170, 10),
            ),
        ]
        environment = {"python": "3.11.7", "packages": {"torch": "2.13.0", "numpy": "2.1.3"}}
        items[0].properties["interop:verified"] = [{"python": "3.12.1", "packages": {"torch": "2.6.0"}}, environment]
        items[3].properties["interop:verified"] = [{"python": "3.11.7", "packages": {"keras": "3.15.1"}}]
        return items


SEARCHES: tuple[dict[str, Any], ...] = (
    {},
    {"ids": (TORCH, "nobody")},
    {"collections": "unet"},
    {"collections": ("unet", "pacific"), "framework": "PyTorch"},
    {"framework": "pytorch"},
    {"framework": "PyTorch", "framework_version": ">=2.7,<3"},
    {"framework_version": "2.7.1"},
    {"framework_version": "~=2.7"},
    {"framework_version": "!=2.13.0"},
    {"framework_version": ">2.13.0"},
    {"backend": "tensorflow", "backend_version": ">=2.19"},
    {"backend": "torch"},
    {"backend_version": "<2.14"},
    {"format": "onnx"},
    {"architecture": "convlstm"},
    {"name": "unet", "version": ">2.0"},
    {"version": "1.1"},
    {"version": ">=1.1"},
    {"task": "segmentation"},
    {"task": "Regression"},
    {"alias": "champion"},
    {"deprecated": True},
    {"deprecated": False},
    {"parameters": ">=5e6"},
    {"parameters": ">1000,<2_000"},
    {"parity": 1e-6},
    {"parity": 1e-9},
    {"runs_with": "torch>=2.7"},
    {"runs_with": ("torch", "python<3.12")},
    {"runs_with": ("torch>=2.7", "python>=3.12")},
    {"bbox": (99, 9, 101, 11)},
    {"bbox": (10, 55, 20, 60)},
    {"bbox": (175, 0, -175, 1)},
    {"bbox": (-175, 0, -174, 1)},
    {"bbox": (3.5, 3.5, 4, 4)},
    {"bbox": (0, 0, -100, 4, 4, 100)},
    {"intersects": {"type": "Point", "coordinates": [3.5, 3.5]}},
    {"intersects": {"type": "LineString", "coordinates": [[1, 1], [5, 50]]}},
    {
        "intersects": {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Point", "coordinates": [100, 10]},
                {"type": "Point", "coordinates": [3.5, 3.5]},
            ],
        }
    },
    {"datetime": "2010-08-26"},
    {"datetime": "2010-08-26T07:35:00Z/.."},
    {"datetime": "../2010-08-25"},
    {"datetime": "2010-08-26t07:35:00z"},
    {"datetime": "2011-12-31T23:59:59.4Z/2012-01-01"},
    {"text": "nowcasting"},
    {"text": "PYTORCH Rain"},
    {"text": "über"},
    {"text": "et 2."},
    {"text": "50% 'quoted' \"words\""},
    {"text": "rain OR segmentation"},
    {"text": "über, quoted"},
    {"text": "keras tensorflow, nothing such"},
    {"text": ","},
    {"text": '"'},
    {"text": "["},
    {"filter": "eo:cloud_cover < 10 OR mission IS NULL AND version = '1.1.0'"},
    {"filter": "\"mlm:framework\" = 'PyTorch' AND version LIKE '1.%'"},
    {"filter": "mlm:framework = 'pytorch'"},
    {"filter": "casei(mlm:framework) = casei('PYTORCH')"},
    {"filter": "NOT interop:backend = 'torch'"},
    {"filter": "interop:backend IS NULL AND mlm:total_parameters < 2000"},
    {"filter": "interop:parity.max_absolute_difference <= 1e-6"},
    {"filter": "interop:scores.rmse_mm_per_h BETWEEN 0.5 AND 1"},
    {"filter": "version IN ('1.1.0', '2.0.0')"},
    {"filter": "a_contains(mlm:tasks, ('segmentation'))"},
    {"filter": "s_intersects(geometry, POINT(100 10))"},
    {"filter": "s_within(geometry, BBOX(-1, -1, 5, 5))"},
    {"filter": "t_intersects(INTERVAL(start_datetime, end_datetime), INTERVAL('2011-06-01T00:00:00Z', '..'))"},
    {"filter": "mlm:total_parameters * 2 > 9000000"},
    {"filter": {"op": "like", "args": [{"property": "id"}, "%from%"]}},
    {"filter": "interop:format = 'torch'", "framework_version": ">=2.7", "text": "rain", "bbox": (0, 40, 20, 60)},
)

BAD_SEARCHES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"framework": "PyTroch"}, "did you mean 'PyTorch'"),
    ({"task": "regresion"}, "did you mean 'regression'"),
    ({"filter": "mlm:framework = "}, "no CQL2"),
    ({"filter": "nonsense(id) = 1"}, "nonsense"),
    ({"filter": "password = 'x'"}, "'password' cannot be searched"),
    ({"filter": {"op": "=", "args": [{"property": "x') OR 1=1 --"}, 1]}}, "cannot be searched"),
    ({"filter": "(" * 500 + "version = '1'" + ")" * 500}, "nested"),
    ({"sortby": "nothing"}, "'nothing' cannot be searched"),
    ({"sortby": "-mlm:x' --"}, "cannot be searched"),
    ({"token": "nonsense"}, "token"),
    ({"token": "WzFd"}, "token"),
)

SORTS: tuple[tuple[str, ...], ...] = (
    ("-id",),
    ("version", "-id"),
    ("-mlm:framework_version",),
    ("interop:backend", "mlm:total_parameters"),
    ("-interop:parity.max_absolute_difference", "-version"),
    ("collection", "-datetime"),
)


class CatalogContract:
    """What every backend does in the same way."""

    @pytest.fixture
    def catalog(self) -> Catalog:
        raise NotImplementedError("a fixture 'catalog' that returns an empty catalog is needed")

    @pytest.fixture
    def examples(self, tmp_path: Path) -> Examples:
        return Examples(tmp_path / "made")

    @pytest.fixture
    def filled(self, catalog: Catalog, examples: Examples) -> Catalog:
        catalog.publish_many(examples.various())
        catalog.set_alias("convlstm-knmi", "champion", NEWER)
        catalog.deprecate(ONNX)
        return catalog

    def test_what_is_published_is_returned(self, catalog: Catalog, examples: Examples) -> None:
        item = examples.item()
        catalog.publish(item)
        found = catalog.get(TORCH)
        assert immutable_content(found) == immutable_content(item)
        assert ModelDescription.from_item(found).id == TORCH
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

    def test_search_finds_what_matches(self, filled: Catalog) -> None:
        items = sorted(filled.items(), key=lambda item: item.id)
        nothing = 0
        for fields in SEARCHES:
            query = Query(**fields)
            expected = [item.id for item in items if query.matches(item)]
            page = filled.page(query, count=True)
            assert [document["id"] for document in page.documents] == expected, fields
            assert page.matched == len(expected), fields
            nothing += not expected
        assert nothing <= 10, "the searches should find something"

    def test_a_bad_search_is_refused(self, filled: Catalog) -> None:
        for fields, message in BAD_SEARCHES:
            with pytest.raises(InvalidQueryError, match=re.escape(message)):
                filled.search(**fields)

    def test_a_framework_that_only_this_catalog_knows(self, catalog: Catalog, examples: Examples) -> None:
        with pytest.raises(InvalidQueryError):
            catalog.search(architecture="ConvLSTM", backend="tensorflo")
        catalog.publish(examples.item())
        assert [item.id for item in catalog.search(framework="PyTorch")] == [TORCH]

    def test_pages_in_any_order_are_the_whole(self, filled: Catalog) -> None:
        for sortby in SORTS:
            whole = [document["id"] for document in filled.page(Query(sortby=sortby)).documents]
            assert len(whole) == len(set(whole)) == len(list(filled.ids()))
            paged: list[str] = []
            token = None
            while True:
                page = filled.page(Query(sortby=sortby, limit=2, token=token), count=True)
                assert page.matched == len(whole)
                paged += [document["id"] for document in page.documents]
                if (token := page.next) is None:
                    break
                assert len(page.documents) == 2
            assert paged == whole

    def test_the_order_is_that_of_versions_and_missing_comes_last(self, filled: Catalog) -> None:
        found = filled.search(name="convlstm-knmi", format="torch", sortby="-version")
        assert [item.properties["version"] for item in found] == ["1.10.0", "1.1.0", "1.0.0"]
        for sign in ("", "-"):
            backends = [i.properties.get("interop:backend") for i in filled.search(sortby=f"{sign}interop:backend")]
            assert backends[:2] == sorted(["tensorflow", "torch"], reverse=bool(sign))
            assert set(backends[2:]) == {None}

    def test_a_token_belongs_to_its_search(self, filled: Catalog) -> None:
        token = filled.page(Query(limit=2)).next
        assert token is not None
        assert filled.page(Query(limit=3, token=token)).documents
        with pytest.raises(InvalidQueryError, match="another search"):
            filled.search(framework="PyTorch", token=token)
        with pytest.raises(InvalidQueryError, match="token"):
            filled.search(token=token[:-3])

    def test_pages_hold_what_was_asked_for(self, filled: Catalog) -> None:
        (some,) = filled.page(Query(ids=(TORCH,), fields=("mlm:framework", "properties.version"))).documents
        assert some == {
            "id": TORCH,
            "collection": "convlstm-knmi",
            "properties": {"mlm:framework": "PyTorch", "version": "1.0.0"},
        }
        (less,) = filled.page(Query(ids=(TORCH,), fields=("-assets", "-mlm:input"))).documents
        assert "assets" not in less
        assert "mlm:input" not in less["properties"]
        assert "mlm:output" in less["properties"]
        assert filled.search(ids=TORCH, fields=("title",))[0].properties["title"].startswith("ConvLSTM")

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
        assert ModelDescription.from_item(filled.get(TORCH)).id == TORCH
        assert filled.publish(examples.item(version="1.1.0", parameters=9)).properties["mlm:total_parameters"] == 9

    def test_many_threads_lose_nothing(self, catalog: Catalog, examples: Examples) -> None:
        wanted = [examples.item(version=f"1.{minor}.0", variant=v) for minor in range(4) for v in ("torch", "other")]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(catalog.publish, wanted))
        assert sorted(catalog.ids()) == sorted(item.id for item in wanted)
        assert len(catalog.search(version=">=1.2")) == 4


def versions(item: pystac.Item) -> dict[str, str]:
    """Return the ids that an item's version links lead to, by relation."""
    last = re.compile(r".*/([^/]+?)(\.json)?")
    found = {}
    for link in item.links:
        if link.rel in VERSION_RELS and (match := last.fullmatch(str(link.get_href(transform_href=False)))):
            found[str(link.rel)] = match[1]
    return found
