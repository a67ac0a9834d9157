"""Which model file is chosen: for this machine, for described ones, and from whatever names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pystac
import pytest
from tests.catalog.test_sync import others, write_catalog
from tests.registry.http_server import serving

import modelstac
from modelstac.catalog import Catalog, Query, open_catalog
from modelstac.catalog.errors import (
    AmbiguousError,
    CannotRunError,
    InvalidItemError,
    InvalidQueryError,
    MachineError,
    MissingPackageError,
    NotFoundError,
    UntrustedError,
)
from modelstac.catalog.items.provenance import Parity, Source
from modelstac.registry.choosing.machine import Machine
from modelstac.registry.choosing.references import named

MakeItem = Callable[..., pystac.Item]
EVERYTHING = {
    "torch": "2.13.0+cpu",
    "safetensors": "0.8.0",
    "keras": "3.15.1",
    "h5py": "3.14",
    "tensorflow": "2.19.1",
    "onnxruntime": "1.32.0",
}
GIGABYTE = 10**9


def machine(*packages: str, **fields: object) -> Machine:
    """Describe a machine that has these packages."""
    return Machine(packages={name: EVERYTHING[name] for name in packages or EVERYTHING}, **fields)


TORCH_ONLY = machine("torch", "safetensors")


@pytest.fixture
def catalog(tmp_path: Path, make_item: MakeItem) -> Catalog:
    """Two versions of one model: 1.0.0 in three frameworks proved equal, 1.1.0 in Keras alone."""
    catalog = open_catalog(tmp_path / "models.sqlite", create=True)
    (tmp_path / "model.bin").write_bytes(b"never read")

    def publish(form: str, variant: str, **fields: object) -> None:
        catalog.publish(make_item(tmp_path / "model.bin", form, **{"variant": variant} | fields))

    keras = {"backend": "tensorflow", "backend_version": "2.19.1", "framework_version": "3.15.1"}
    proof = {"source": "smooth-1.0.0-torch", "cases": 3, "passed": True, "max_absolute_difference": 1e-7}
    proof |= dict.fromkeys(("max_relative_difference", "root_mean_square_difference"), 1e-7)
    proof |= dict.fromkeys(("absolute_tolerance", "relative_tolerance"), 1e-5)
    made = {"parity": Parity(**proof), "sources": (Source(item_id="smooth-1.0.0-torch"),)}
    publish("torch", "torch", framework_version="2.13.0", entrypoint="smooth_models:build")
    publish("onnx", "onnx-from-torch", **made)
    publish("onnx", "onnx-int8-from-torch", **made)
    publish("keras", "keras-tensorflow", **keras)
    publish("keras", "keras-tensorflow", version="1.1.0", **keras)
    catalog.set_alias("smooth", "champion", "smooth-1.0.0-keras-tensorflow")
    return catalog


def chosen(what: object, catalog: Catalog, on: Machine | None = None, **wishes: object) -> tuple[str, str]:
    found = modelstac.resolve(what, catalog=catalog, machine=on or machine(), **wishes)
    return found.item.id, found.chosen.kind


def test_whatever_names_it(catalog: Catalog) -> None:
    assert chosen("smooth-1.0.0-torch", catalog) == ("smooth-1.0.0-torch", "exact")
    assert chosen("smooth@champion", catalog) == ("smooth-1.0.0-keras-tensorflow", "exact")
    assert chosen("smooth>=1,<1.1", catalog) == ("smooth-1.0.0-torch", "exact")
    assert chosen("smooth==1.1.0", catalog) == ("smooth-1.1.0-keras-tensorflow", "exact")
    assert chosen("smooth", catalog) == ("smooth-1.1.0-keras-tensorflow", "exact")
    assert chosen(catalog.get("smooth-1.0.0-torch"), catalog) == ("smooth-1.0.0-torch", "exact")
    assert chosen(Query(framework="pytorch"), catalog) == ("smooth-1.0.0-torch", "exact")


def test_an_older_version_runs_where_the_newest_cannot(catalog: Catalog) -> None:
    found = modelstac.resolve("smooth", catalog=catalog, machine=TORCH_ONLY)
    assert found.item.id == "smooth-1.0.0-torch"
    assert "not smooth-1.1.0-keras-tensorflow: loading 'smooth-1.1.0-keras-tensorflow' needs keras" in found.explain()


def test_a_sibling_that_was_proved_equal_runs_where_the_item_cannot(catalog: Catalog) -> None:
    found = modelstac.resolve("smooth-1.0.0-torch", catalog=catalog, machine=machine("onnxruntime"))
    assert (found.item.id, found.chosen.kind) == ("smooth-1.0.0-onnx-from-torch", "sibling")
    assert found.note is not None
    assert "proved equal" in found.note
    assert chosen("smooth-1.0.0-onnx-from-torch", catalog, TORCH_ONLY) == ("smooth-1.0.0-torch", "sibling")
    with pytest.raises(MissingPackageError, match=r"needs torch, .*modelstac\[torch\]"):
        chosen("smooth-1.0.0-torch", catalog, machine("onnxruntime"), strict=True)
    with pytest.raises(MissingPackageError, match=r"modelstac\[keras\]"):  # nothing was proved equal to it
        chosen("smooth@champion", catalog, TORCH_ONLY)


def test_wishes(catalog: Catalog) -> None:
    assert chosen("smooth>=1,<1.1", catalog, framework="onnx")[0] == "smooth-1.0.0-onnx-from-torch"
    assert chosen("smooth>=1,<1.1", catalog, precision="int8")[0] == "smooth-1.0.0-onnx-int8-from-torch"
    assert chosen("smooth-1.0.0-torch", catalog, precision="int8")[0] == "smooth-1.0.0-onnx-int8-from-torch"
    assert chosen("smooth-1.0.0-torch", catalog, format="onnx")[1] == "sibling"
    assert chosen("smooth<1.1", catalog, backend="tensorflow", backend_version=">=2.19")[1] == "exact"
    with pytest.raises(NotFoundError, match=r"nothing fits framework=torch, format=onnx: .*wish for less"):
        chosen("smooth", catalog, framework="torch", format="onnx")
    with pytest.raises(InvalidQueryError, match="unknown wish 'formt': did you mean 'format'"):
        chosen("smooth", catalog, formt="onnx")
    with pytest.raises(InvalidQueryError, match="unknown precision 'fp61'"):
        chosen("smooth", catalog, precision="fp61")


def test_the_keras_backend_of_the_process_and_what_is_imported_decide(catalog: Catalog) -> None:
    assert chosen("smooth==1.0", catalog, machine(imported=frozenset({"keras"})))[0] == "smooth-1.0.0-keras-tensorflow"
    on_torch = machine(imported=frozenset({"keras"}), keras_backend="torch")
    found = modelstac.resolve("smooth==1.0", catalog=catalog, machine=on_torch)
    assert found.item.id == "smooth-1.0.0-torch"
    assert "smooth-1.0.0-keras-tensorflow: only compatible, made on Keras' tensorflow backend" in found.explain()


@pytest.mark.parametrize(
    ("written", "verified", "kind"),
    [
        ("2.13.0", None, "exact"),
        ("2.13.0+cu126", None, "exact"),
        ("2.7.1", None, "compatible"),
        ("2.7.1", [{"python": "3.11.7", "packages": {"torch": "2.13.0"}}], "verified"),
        ("2.7.1", [{"python": "3.11.7", "packages": {"torch": "2.12.0"}}, "nonsense"], "compatible"),
    ],
)
def test_versions(tmp_path: Path, make_item: MakeItem, written: str, verified: object, kind: str) -> None:
    (tmp_path / "model.bin").write_bytes(b"never read")
    item = make_item(tmp_path / "model.bin", "torch", framework_version=written, entrypoint="a.b:c")
    if verified is not None:
        item.properties["interop:verified"] = verified
    found = modelstac.resolve(item, machine=machine())
    assert found.chosen.kind == kind
    note = "smooth-1.0.0-torch was made with torch 2.7.1, here is 2.13.0+cpu"
    assert found.note == (note if kind == "compatible" else None)
    if kind == "compatible":
        with pytest.raises(CannotRunError, match="strict=True"):
            modelstac.resolve(item, machine=machine(), strict=True)
    else:
        assert modelstac.resolve(item, machine=machine(), strict=True).chosen.kind == kind


@pytest.mark.parametrize(
    ("form", "written", "installed", "said"),
    [
        ("keras", "2.15.0", {"keras": "3.15.1"}, "hard_sigmoid is another formula"),
        ("keras", "3.12.0", {"keras": "3.12.0"}, "keras>=3.13.2"),
        ("torch", "2.5.0", {"torch": "2.5.1"}, "torch>=2.6"),
    ],
)
def test_versions_that_are_known_to_break(
    tmp_path: Path, make_item: MakeItem, *, form: str, written: str, installed: dict[str, str], said: str
) -> None:
    (tmp_path / "model.bin").write_bytes(b"never read")
    item = make_item(tmp_path / "model.bin", form, framework_version=written, entrypoint="a.b:c")
    with pytest.raises(CannotRunError, match=said):
        modelstac.resolve(item, machine=Machine(packages=EVERYTHING | installed))


def test_accelerator_and_memory(tmp_path: Path, make_item: MakeItem) -> None:
    (tmp_path / "model.bin").write_bytes(b"never read")
    item = make_item(tmp_path / "model.bin", "onnx", accelerator="cuda", memory_size=8 * GIGABYTE)
    assert chosen(item, None, machine(memory=9 * GIGABYTE))[1] == "compatible"
    # No environment brings memory or an accelerator.
    with pytest.raises(MachineError, match=r"asset 'model' of item .* needs 8 GB of memory, 2 GB are free.* machine$"):
        chosen(item, None, machine(memory=2 * GIGABYTE))
    item.properties["mlm:accelerator_constrained"] = True
    with pytest.raises(MachineError, match=r"needs the accelerator cuda, here is amd64: use a machine that has it$"):
        chosen(item, None, machine(accelerators=frozenset({"amd64"})))
    assert chosen(item, None, machine(accelerators=frozenset({"cuda"})))[1] == "compatible"
    item.properties = {key: value for key, value in item.properties.items() if not key.startswith("interop:")}
    for spelled in ("cpu", "CPU", "AMD64"):  # as others write
        item.properties["mlm:accelerator"] = spelled
        assert chosen(item, None, machine(accelerators=frozenset({"amd64"})))[1] == "compatible"


def test_every_candidate_says_why_it_lost(catalog: Catalog) -> None:
    found = modelstac.resolve("smooth", catalog=catalog, machine=machine("torch", "safetensors", "onnxruntime"))
    assert found.explain().splitlines() == [
        "smooth-1.0.0-torch: exact, torch 2.13.0+cpu",
        "  not smooth-1.0.0-onnx-from-torch: only compatible, the format carries its own version",
        "  not smooth-1.0.0-onnx-int8-from-torch: only compatible, the format carries its own version",
        "  not smooth-1.0.0-keras-tensorflow: loading 'smooth-1.0.0-keras-tensorflow' needs keras, which is not "
        "installed: pip install 'modelstac[keras]'",
        "  not smooth-1.1.0-keras-tensorflow: loading 'smooth-1.1.0-keras-tensorflow' needs keras, which is not "
        "installed: pip install 'modelstac[keras]'",
    ]
    assert len(found.to_json()["others"]) == 4
    by_id = modelstac.resolve("smooth-1.0.0-torch", catalog=catalog, machine=machine())
    assert "not smooth-1.0.0-onnx-from-torch: only sibling, proved equal" in by_id.explain()


def test_names_that_lead_nowhere(catalog: Catalog) -> None:
    for what, said in {
        "smooth-1.0.0-troch": "did you mean 'smooth-1.0.0-torch'",
        "smoth>=1": "no model 'smoth' .* did you mean 'smooth'",
        "smooth>=2": r"no version of smooth .* lies in '>=2': there are 1\.0\.0, 1\.1\.0",
        "smooth@nobody": "no alias of smooth 'nobody' .*champion",
        "./nothing.json": "check the path",
    }.items():
        with pytest.raises(NotFoundError, match=said) as raised:
            modelstac.resolve(what, catalog=catalog)
        assert "\n" not in str(raised.value)


def test_alias_whose_item_is_gone(tmp_path: Path, make_item: MakeItem) -> None:
    (tmp_path / "model.bin").write_bytes(b"never read")
    catalog = open_catalog(tmp_path / "catalog", create=True)
    catalog.publish(make_item(tmp_path / "model.bin", "onnx"))
    catalog.set_alias("smooth", "champion", "smooth-1.0.0-onnx")
    place = tmp_path / "catalog" / "smooth" / "collection.json"
    place.write_text(place.read_text().replace('"champion": "smooth-1.0.0-onnx"', '"champion": "smooth-0.9.0-onnx"'))
    with pytest.raises(
        NotFoundError, match=r"smooth@champion points to 'smooth-0\.9\.0-onnx', which is not in .*alias"
    ):
        modelstac.resolve("smooth@champion", catalog=catalog)


def test_a_query_that_means_several_models(catalog: Catalog, tmp_path: Path, make_item: MakeItem) -> None:
    catalog.publish(make_item(tmp_path / "model.bin", "onnx", name="rough"))
    with pytest.raises(AmbiguousError, match=r"2 models match framework=ONNX: rough, smooth; name one"):
        modelstac.resolve(Query(framework="ONNX"), catalog=catalog)
    with pytest.raises(NotFoundError, match="matches framework=Keras, version=>=7"):
        modelstac.resolve(Query(framework="Keras", version=">=7"), catalog=catalog)


def test_items_without_a_file_that_can_be_loaded(tmp_path: Path, make_item: MakeItem) -> None:
    (tmp_path / "model.bin").write_bytes(b"never read")
    item = make_item(tmp_path / "model.bin", "onnx")
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.save"
    with pytest.raises(UntrustedError, match=r"'smooth-1.0.0-onnx' holds torch.save \(asset 'model'\), a pickle"):
        modelstac.resolve(item)
    item.assets["model"].roles = ["data"]
    with pytest.raises(InvalidItemError, match=r"'smooth-1\.0\.0-onnx' has no asset with the role mlm:model"):
        modelstac.resolve(item)


def test_items_by_path_url_and_signed_url(catalog: Catalog, tmp_path: Path) -> None:
    document = catalog.get("smooth-1.0.0-torch").to_dict(transform_hrefs=False)
    document["assets"]["model"]["href"] = "./model.bin"
    text = json.dumps(document)
    (tmp_path / "item.json").write_text(text)
    found = modelstac.resolve(str(tmp_path / "item.json"), machine=machine())
    assert (found.item.id, found.item.assets["model"].href) == ("smooth-1.0.0-torch", str(tmp_path / "model.bin"))
    with serving(text.encode()) as server:
        for place in ("static/item.json", "collections/smooth/items/smooth-1.0.0-torch", "item.json?sig=secret&x=/y"):
            found = modelstac.resolve(f"{server.url}/{place}", machine=machine())
            expected = f"{server.url}/{place.partition('?')[0].rpartition('/')[0]}/model.bin".replace(
                "//model", "/model"
            )
            assert found.item.assets["model"].href == expected
        document["assets"]["model"]["href"] = "file:///etc/passwd"
        server.content = json.dumps(document).encode()
        with pytest.raises(UntrustedError, match="names a file of this machine"):
            modelstac.resolve(f"{server.url}/item.json")
        for wrong, said in {b"<html>": "it is no JSON", b'{"type": "Collection"}': "found 'Collection'"}.items():
            server.content = wrong
            with pytest.raises(InvalidItemError, match=said) as raised:
                modelstac.resolve(f"{server.url}/item.json?sig=secret")
            assert "secret" not in str(raised.value)


def test_this_machine(catalog: Catalog) -> None:
    here = Machine.here()
    assert "torch" in here.packages
    assert "no_such_package" not in here.packages
    assert here.packages["torch"].startswith("2.")
    assert modelstac.resolve("smooth-1.0.0-torch", catalog=catalog).chosen.kind in {"exact", "compatible"}


def test_ids_of_others_with_a_slash_or_an_at(tmp_path: Path) -> None:
    ids = ["org/model", "model@main"]
    write_catalog(tmp_path / "others", {"a": [others(number, "a", id=one) for number, one in enumerate(ids)]})
    assert [named(one, tmp_path / "others").id for one in ids] == ids
    with pytest.raises(NotFoundError, match="no item or model 'org/other'"):
        named("org/other", tmp_path / "others")
