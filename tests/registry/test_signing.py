"""Signatures by model-signing: made, carried by catalogs, and refused when anything is not what was signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import IntegrityError, NotFoundError, SpecError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.identity import immutable_content
from modelstac.catalog.items.validation import validate
from modelstac.catalog.sync import sync
from modelstac.registry.trust import signing
from modelstac.registry.trust.bundle import verify_files

MakeItem = Callable[..., pystac.Item]
ITEM = "smooth-1.0.0-onnx"


def write_onnx(path: Path, weight: float = 3.0) -> Path:
    layout = ["batch", 4, 1, 6, 5]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, layout) for name in ("frames", "forecast"))
    weights = [numpy_helper.from_array(np.array([weight], np.float32), "w")]
    graph = helper.make_graph([helper.make_node("Mul", ["frames", "w"], ["forecast"])], "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def write_keys(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.Encoding.PEM
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(form, serialization.PrivateFormat.PKCS8, locked))
    public.write_bytes(key.public_key().public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: write_keys(folder, name) for name in ("publisher", "stranger")}


@pytest.fixture(params=["catalog", "catalog.sqlite"])
def catalog(tmp_path: Path, make_item: MakeItem, keys, request):
    catalog = open_catalog(tmp_path / request.param, create=True)
    item = catalog.publish(make_item(write_onnx(tmp_path / "model.onnx"), "onnx"))
    catalog.attach(ITEM, "signature", signing.sign(item, keys["publisher"][0]))
    return catalog


@pytest.fixture
def item(tmp_path: Path, make_item: MakeItem, keys) -> pystac.Item:
    """A signed item of no catalog."""
    item = make_item(write_onnx(tmp_path / "model.onnx"), "onnx")
    item.assets["signature"] = pystac.Asset.from_dict(signing.sign(item, keys["publisher"][0]))
    return item


def test_signed_items_load_from_any_catalog(catalog, keys, frames, tmp_path):
    (_, stranger), (_, publisher) = keys["stranger"], keys["publisher"]
    copy = open_catalog(tmp_path / "copy", create=True)
    sync(catalog, copy)
    for place in (catalog, copy):
        item = place.get(ITEM)
        assert verify_files(item) == 1
        with modelstac.load(ITEM, catalog=place, require_signature=[stranger, publisher]) as model:
            np.testing.assert_array_equal(model.predict(frames), frames * 3)
        validate(item)
    assert catalog.same_or_refuse(catalog.get(ITEM), copy.get(ITEM))


def test_a_signature_made_later_is_copied_too(tmp_path, make_item, keys):
    source, target = (open_catalog(tmp_path / name, create=True) for name in ("source", "target.sqlite"))
    item = source.publish(make_item(write_onnx(tmp_path / "model.onnx"), "onnx"))
    sync(source, target)
    source.attach(ITEM, "signature", signing.sign(item, keys["publisher"][0]))
    sync(source, target)
    signing.verify(target.get(ITEM), [keys["publisher"][1]])


def test_an_item_without_signature(tmp_path, make_item, keys, monkeypatch):
    item = make_item(write_onnx(tmp_path / "model.onnx"), "onnx")
    with pytest.raises(UntrustedError, match="is not signed"):
        modelstac.load(item, require_signature=[keys["publisher"][1]])
    modelstac.load(item).close()
    monkeypatch.setenv("MODELSTAC_REQUIRE_SIGNATURE", str(keys["publisher"][1]))
    with pytest.raises(UntrustedError, match="is not signed"):
        modelstac.load(item)


def test_another_key(item, keys):
    with pytest.raises(UntrustedError, match=r"is signed by none of .*stranger\.pub\.pem"):
        modelstac.load(item, require_signature=[keys["stranger"][1]])
    with pytest.raises(SpecError, match="no public key was named"):
        modelstac.load(item, require_signature=[])
    with pytest.raises(SpecError, match="is no public key"):
        modelstac.load(item, require_signature=[keys["publisher"][0]])
    with pytest.raises(NotFoundError, match="no key"):
        modelstac.load(item, require_signature=["nowhere.pem"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mlm:framework_version", lambda item: item.properties.update({"mlm:framework_version": "9.9.9"})),
        ("mlm:hyperparameters", lambda item: item.properties["mlm:hyperparameters"].update(depth=3)),
        ("mlm:memory_size", lambda item: item.properties.update({"mlm:memory_size": 1})),
        ("mlm:tasks", lambda item: item.properties.pop("mlm:tasks")),
        ("geometry", lambda item: item.geometry["coordinates"][0][1].__setitem__(0, 11.0)),
        ("asset model", lambda item: item.assets["model"].extra_fields.update({"mlm:entrypoint": "os:system"})),
        ("asset requirements", lambda item: item.add_asset("requirements", pystac.Asset("x.txt"))),
        ("id", lambda item: setattr(item, "id", "smooth-2.0.0-onnx")),
    ],
)
def test_a_changed_field_is_named(item, keys, name, change):
    change(item)
    with pytest.raises(UntrustedError, match=rf"was changed since it was signed by .*publisher\.pub\.pem: {name};"):
        signing.verify(item, [keys["publisher"][1]])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("collection", lambda item: setattr(item, "collection_id", "other")),
        ("geometry", lambda item: item.geometry["coordinates"][0][1].__setitem__(0, 11.0)),
        ("bbox", lambda item: item.bbox.__setitem__(0, 3.5)),
        ("sources", lambda item: item.add_link(pystac.Link("derived_from", "https://example.com/other.json"))),
        ("asset model", lambda item: item.assets.pop("model")),
    ],
)
def test_a_property_stands_in_place_of_no_part_of_the_item(item, keys, name, change):
    item.properties[name] = json.loads(json.dumps(immutable_content(item)[name]))
    change(item)
    with pytest.raises(UntrustedError, match="was changed since it was signed"):
        signing.verify(item, [keys["publisher"][1]])


def test_what_is_mutable_is_not_signed(item, keys):
    item.properties |= {"deprecated": True, "updated": "2030-01-01T00:00:00Z"}
    item.assets["model"].href = "https://mirror.example/model.onnx"
    signing.verify(item, [keys["publisher"][1]])


def test_environments_added_later_leave_the_signature_valid(catalog, keys):
    environment = {"python": "3.11", "packages": {"onnxruntime": "1.22.1"}, "max_absolute_difference": 1e-7}
    verified = catalog.add_verified(ITEM, [environment])
    assert verified.properties["interop:verified"] == [environment]
    signing.verify(catalog.get(ITEM), [keys["publisher"][1]])


def test_a_changed_file_and_one_whose_checksum_was_changed_too(item, keys, tmp_path):
    path = write_onnx(tmp_path / "model.onnx", weight=4.0)
    with pytest.raises(IntegrityError, match="is not the published file"):
        modelstac.load(item, require_signature=[keys["publisher"][1]])
    fields = {"file:checksum": multihash(sha256(path)), "file:size": path.stat().st_size}
    item.assets["model"].extra_fields |= fields
    modelstac.load(item).close()
    with pytest.raises(UntrustedError, match=r"was changed since it was signed.*asset model"):
        modelstac.load(item, require_signature=[keys["publisher"][1]])


@pytest.mark.parametrize("forge", ["payload", "no base64", "no json", "of another item"])
def test_a_forged_signature(item, keys, forge, make_item, tmp_path):
    href = item.assets["signature"].href
    prefix, _, text = href.partition("base64,")
    bundle = json.loads(base64.b64decode(text))
    if forge == "payload":
        payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        payload["predicate"]["resources"] = payload["predicate"]["resources"][1:]
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    forged = {
        "payload": base64.b64encode(json.dumps(bundle).encode()).decode(),
        "no base64": "***",
        "no json": base64.b64encode(b"\0").decode(),
        "of another item": signing.sign(
            make_item(write_onnx(tmp_path / "other.onnx"), "onnx", version="3.0.0"), keys["publisher"][0]
        )["href"].partition("base64,")[2],
    }[forge]
    item.assets["signature"].href = f"{prefix}base64,{forged}"
    with pytest.raises(UntrustedError, match="smooth-1"):
        signing.verify(item, [keys["publisher"][1]])


def test_what_cannot_be_signed(item, keys, tmp_path):
    with pytest.raises(SpecError, match="is no private key"):
        signing.sign(item, keys["publisher"][1])
    private, public = write_keys(tmp_path, "locked", b"s3cret")
    with pytest.raises(SpecError, match="is no private key to sign with, or its password"):
        signing.sign(item, private, password="wrong")
    item.assets["signature"] = pystac.Asset.from_dict(signing.sign(item, private, password="s3cret"))
    signing.verify(item, [public])
    write_onnx(tmp_path / "model.onnx", weight=4.0)
    with pytest.raises(IntegrityError):
        signing.sign(item, keys["publisher"][0])
