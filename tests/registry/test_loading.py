"""Load by item id: all three formats, made by the real frameworks and run by them."""

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

import modelstac
from modelstac.catalog import Catalog, open_catalog
from modelstac.catalog.errors import (
    CatalogError,
    DataError,
    InvalidItemError,
    ModelStacError,
    NotFoundError,
    UntrustedError,
)
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.catalog.messages import Finished, Message, Started
from modelstac.registry import TrustPolicy
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import TensorSignature
from modelstac.registry.runtimes.opened import Opened
from modelstac.training.architectures import convlstm_torch
from modelstac.training.spec import ConvLSTMSpec

MakeItem = Callable[..., pystac.Item]
TRUSTING = TrustPolicy().allowing("smooth_models")


def write_onnx(path: Path, weight: float = 3.0, **shape: object) -> Path:
    layout = ["batch", 4, 1, 6, 5]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, layout) for name in ("frames", "forecast"))
    weights = [numpy_helper.from_array(np.array([weight], np.float32), "w")]
    graph = helper.make_graph([helper.make_node("Mul", ["frames", "w"], ["forecast"])], "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def write_torch(path: Path) -> nn.Conv3d:
    torch.manual_seed(1)
    conv = nn.Conv3d(1, 1, 3, padding=1)
    save_file({f"conv.{name}": tensor for name, tensor in conv.state_dict().items()}, path)
    return conv


@pytest.fixture
def catalog(tmp_path: Path, make_item: MakeItem) -> Catalog:
    """A catalog with one ONNX item, ``smooth-1.0.0-onnx``."""
    catalog = open_catalog(tmp_path / "catalog", create=True)
    catalog.publish(make_item(write_onnx(tmp_path / "model.onnx"), "onnx"))
    return catalog


def test_onnx_by_id(catalog: Catalog, frames: np.ndarray) -> None:
    messages: list[Message] = []
    model = modelstac.load("smooth-1.0.0-onnx", catalog=catalog, report=messages.append)
    np.testing.assert_array_equal(model.predict(frames), frames * 3)
    assert model.native.get_inputs()[0].name == "frames"
    assert model.item.id == "smooth-1.0.0-onnx"
    assert str(model.signature.inputs[0]) == "float32 (batch any, time 4, variables 1, height 6, width 5)"
    assert messages == [Started("load smooth-1.0.0-onnx"), Finished("load smooth-1.0.0-onnx")]


def test_catalog_by_path_and_by_environment(
    catalog: Catalog, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path = modelstac.load("smooth-1.0.0-onnx", catalog=catalog.href)
    monkeypatch.setenv("MODELSTAC_CATALOG", catalog.href)
    by_environment = modelstac.load("smooth-1.0.0-onnx")
    np.testing.assert_array_equal(by_path.predict(frames), by_environment.predict(frames))


def test_no_catalog_named_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELSTAC_CATALOG", raising=False)
    with pytest.raises(CatalogError, match="MODELSTAC_CATALOG"):
        modelstac.load("smooth-1.0.0-onnx")


def test_path_that_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="nowhere"):
        modelstac.load("smooth-1.0.0-onnx", catalog=tmp_path / "nowhere")


def test_unknown_id_suggests_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean 'smooth-1\.0\.0-onnx'"):
        modelstac.load("smoth-1.0.0-onx", catalog=catalog)


def test_torch_by_id(tmp_path: Path, make_item: MakeItem, architecture: str, frames: np.ndarray) -> None:
    conv = write_torch(tmp_path / "model.safetensors")
    catalog = open_catalog(tmp_path / "catalog", create=True)
    catalog.publish(make_item(tmp_path / "model.safetensors", "torch", entrypoint=architecture))
    with modelstac.load("smooth-1.0.0-torch", catalog=catalog, policy=TRUSTING) as model:
        with torch.inference_mode():
            expected = conv(torch.from_numpy(frames).transpose(1, 2)).transpose(1, 2).numpy()
        np.testing.assert_allclose(model.predict(frames), expected, atol=1e-7)
        assert not model.native.training
        frozen = frames.copy()
        frozen.flags.writeable = False
        np.testing.assert_array_equal(model.predict(frozen), model.predict(frames))


def test_our_own_architecture_needs_no_policy(tmp_path: Path, make_item: MakeItem, frames: np.ndarray) -> None:
    spec = ConvLSTMSpec(filters=(3, 2), kernels=(3, 1), frames=4, height=6, width=5)
    torch.manual_seed(1)
    network = convlstm_torch.build(spec).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    item = make_item(
        tmp_path / "model.safetensors",
        "torch",
        entrypoint="modelstac.training.architectures.convlstm_torch:build",
        hyperparameters={"architecture": spec.to_dict()},
    )
    model = modelstac.load(item)
    with torch.inference_mode():
        np.testing.assert_allclose(model.predict(frames), network(torch.from_numpy(frames)).numpy(), atol=1e-7)


def test_torch_buffer_that_is_not_saved(
    tmp_path: Path, make_item: MakeItem, architecture: str, frames: np.ndarray
) -> None:
    write_torch(tmp_path / "model.safetensors")
    plain, doubled = (
        modelstac.load(
            make_item(
                tmp_path / "model.safetensors",
                "torch",
                entrypoint=architecture,
                hyperparameters={"architecture": {"channels": 1, "table": table}},
            ),
            policy=TRUSTING,
        )
        for table in (False, True)
    )
    np.testing.assert_allclose(doubled.predict(frames), 2 * plain.predict(frames), atol=1e-7)


def test_torch_entry_point_outside_the_allow_list_is_refused(
    tmp_path: Path, make_item: MakeItem, architecture: str
) -> None:
    write_torch(tmp_path / "model.safetensors")
    item = make_item(tmp_path / "model.safetensors", "torch", entrypoint=architecture)
    with pytest.raises(UntrustedError, match="smooth_models:build"):
        modelstac.load(item)
    assert modelstac.load(item, trust="entrypoint:smooth_models").native


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("conv.bias"), "conv.bias.*absent"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra.*should be absent"),
        (lambda state: state.update({"conv.bias": torch.zeros(2)}), r"conv.bias.*\[1\].*\[2\]"),
        (lambda state: state.update({"conv.bias": torch.zeros(1, dtype=torch.float16)}), "float16"),
    ],
)
def test_torch_weights_must_fit_exactly(
    tmp_path: Path, make_item: MakeItem, architecture: str, change: Callable[..., object], named: str
) -> None:
    state = {f"conv.{name}": tensor for name, tensor in nn.Conv3d(1, 1, 3).state_dict().items()}
    change(state)
    save_file(state, tmp_path / "model.safetensors")
    item = make_item(tmp_path / "model.safetensors", "torch", entrypoint=architecture)
    with pytest.raises(InvalidItemError, match=named):
        modelstac.load(item, policy=TRUSTING)


def test_torch_architecture_that_claims_too_much_costs_no_memory(
    tmp_path: Path, make_item: MakeItem, architecture: str
) -> None:
    write_torch(tmp_path / "model.safetensors")
    item = make_item(  # 27 * 2**40 weights: far more than any machine has
        tmp_path / "model.safetensors",
        "torch",
        entrypoint=architecture,
        hyperparameters={"architecture": {"channels": 1 << 20}},
    )
    with pytest.raises(InvalidItemError, match="does not fit"):
        modelstac.load(item, policy=TRUSTING)


@pytest.mark.parametrize("architecture_fields", [{}, {"channels": "many"}])
def test_torch_specification_without_sense_is_one_line(
    tmp_path: Path, make_item: MakeItem, architecture: str, architecture_fields: dict[str, object]
) -> None:
    write_torch(tmp_path / "model.safetensors")
    item = make_item(
        tmp_path / "model.safetensors",
        "torch",
        entrypoint=architecture,
        hyperparameters={"architecture": architecture_fields},
    )
    with pytest.raises(InvalidItemError, match="could not build") as raised:
        modelstac.load(item, policy=TRUSTING)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_file_of_another_kind_is_one_line(tmp_path: Path, make_item: MakeItem, architecture: str, form: str) -> None:
    (tmp_path / "model.bin").write_bytes(b"neither of the two " * 20)
    item = make_item(tmp_path / "model.bin", form, entrypoint=architecture)
    with pytest.raises(InvalidItemError, match=r"model\.bin") as raised:
        modelstac.load(item, policy=TRUSTING)
    assert "\n" not in str(raised.value)


def test_pickle_is_refused_whatever_it_holds(tmp_path: Path, make_item: MakeItem) -> None:
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(canary),)

    torch.save(Payload(), tmp_path / "model.pt")
    item = make_item(tmp_path / "model.pt", "torch", entrypoint="smooth_models:build")
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.save"
    with pytest.raises((UntrustedError, InvalidItemError)):
        modelstac.load(item, policy=TRUSTING)
    item.assets["model"].extra_fields["mlm:artifact_type"] = "safetensors.torch.save_file"  # the item lies
    with pytest.raises((UntrustedError, InvalidItemError)):
        modelstac.load(item, policy=TRUSTING)
    assert not canary.exists()


def test_external_data_is_refused_before_the_runtime_opens_it(tmp_path: Path, make_item: MakeItem) -> None:
    model = onnx.load(write_onnx(tmp_path / "inline.onnx"))
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.bin", size_threshold=0)
    assert (tmp_path / "model.bin").exists()
    with pytest.raises(UntrustedError, match=r"in another file .*not list"):
        modelstac.load(make_item(tmp_path / "model.onnx", "onnx"))


def test_item_without_a_model_and_with_two(tmp_path: Path, make_item: MakeItem) -> None:
    item = make_item(write_onnx(tmp_path / "model.onnx"), "onnx")
    item.assets["second"] = item.assets["model"].clone()
    with pytest.raises(InvalidItemError, match="2 models"):
        modelstac.load(item)
    item.assets = {}
    with pytest.raises(InvalidItemError, match="nothing to load"):
        modelstac.load(item)


@pytest.mark.parametrize("form", ["keras", "onnx", "torch"])
def test_one_changed_byte_fails_before_any_framework_is_imported(
    tmp_path: Path, make_item: MakeItem, python: Callable[..., dict[str, object]], form: str
) -> None:
    write_onnx(tmp_path / "model.onnx")
    write_torch(tmp_path / "model.safetensors")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("config.json", "{}")
    artifact = tmp_path / f"model{FORMATS[form].suffix}"
    catalog = open_catalog(tmp_path / "catalog", create=True)
    item = catalog.publish(make_item(artifact, form, entrypoint="smooth_models:build"))
    path = Path(item.assets["model"].href)
    published = path.read_bytes()
    middle = len(published) // 2
    path.write_bytes(published[:middle] + bytes([published[middle] ^ 1]) + published[middle + 1 :])
    answer = python(
        """
        from modelstac.catalog.errors import IntegrityError
        import modelstac
        frameworks = {"torch", "keras", "tensorflow", "jax", "onnx", "onnxruntime", "h5py", "safetensors"}
        try:
            modelstac.load(sys.argv[2], catalog=sys.argv[1])
        except IntegrityError as error:
            answer(error=str(error), loaded=sorted(frameworks & set(sys.modules)))
        """,
        catalog.href,
        item.id,
    )
    assert answer["loaded"] == []
    for part in (str(path), hashlib.sha256(published).hexdigest(), hashlib.sha256(path.read_bytes()).hexdigest()):
        assert part in answer["error"]


@pytest.mark.parametrize(("form", "package"), [("keras", "keras"), ("onnx", "onnxruntime"), ("torch", "safetensors")])
def test_missing_framework_names_the_extra(
    tmp_path: Path, make_item: MakeItem, python: Callable[..., dict[str, object]], form: str, package: str
) -> None:
    (tmp_path / "model.bin").write_bytes(b"not reached")
    catalog = open_catalog(tmp_path / "catalog", create=True)
    item = catalog.publish(make_item(tmp_path / "model.bin", form, entrypoint="smooth_models:build"))
    answer = python(
        """
        sys.modules[sys.argv[3]] = None  # what importing it finds where it is not installed
        from modelstac.catalog.errors import MissingPackageError
        import modelstac
        try:
            modelstac.load(sys.argv[2], catalog=sys.argv[1])
        except MissingPackageError as error:
            answer(error=str(error))
        """,
        catalog.href,
        item.id,
        package,
    )
    assert f"pip install 'modelstac[{form}]'" in answer["error"]
    assert package in answer["error"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda x: x[0], "shape [4, 1, 6, 5]"),
        (lambda x: x[..., :4], "shape [2, 4, 1, 6, 4]"),
        (lambda x: x[:0], "shape [0, 4, 1, 6, 5]"),
        (lambda x: np.moveaxis(x, 2, -1), "shape [2, 4, 6, 5, 1]"),
        (lambda x: (x * 255).astype(np.uint8), "uint8"),
        (lambda x: x.astype(complex), "complex128"),
        (lambda x: x.astype(str), "<U"),
        (lambda x: x.astype(object), "object"),
        (lambda x: np.where(x > 0.5, np.nan, x), "NaN"),
        (lambda x: np.where(x > 0.5, np.inf, x), "infinite"),
        (lambda x: np.full(x.shape, 1e300), "240 of 240"),
        (lambda x: [None] * len(x), "object"),
        (lambda x: x.max(), "shape []"),
    ],
)
def test_wrong_arrays_name_what_was_declared_and_what_was_found(
    catalog: Catalog, frames: np.ndarray, change: Callable[..., object], found: str
) -> None:
    model = modelstac.load("smooth-1.0.0-onnx", catalog=catalog)
    with pytest.raises(DataError) as raised:
        model.predict(change(frames))
    assert found in str(raised.value)
    assert "float32 (batch any, time 4, variables 1, height 6, width 5)" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_a_framework_raises_on_an_array_is_one_line(catalog: Catalog, frames: np.ndarray) -> None:
    def fail(_: object) -> dict[str, np.ndarray]:
        raise RuntimeError("convolution\n  does not fit")

    with modelstac.load("smooth-1.0.0-onnx", catalog=catalog) as model:
        broken = Model(model.item, model.description, Opened(None, fail, ("x",), ("y",)))
    with pytest.raises(DataError, match=r"^'smooth-1.0.0-onnx' \(ONNX\) fails .*: convolution does not fit$"):
        broken.predict(frames)


def test_whole_numbers_are_taken_where_they_are_declared() -> None:
    tokens = TensorSignature("tokens", (ANY, Size.fixed(3)), ("batch", "time"), "int32")
    found = tokens.check(np.array([[1, 2, 3]], dtype=np.int64))
    assert (found.dtype, found.tolist()) == (np.int32, [[1, 2, 3]])
    with pytest.raises(DataError, match="found an array of float64"):
        tokens.check([[1.0, 2.0, 3.0]])
    with pytest.raises(DataError, match="values that do not fit into it"):
        tokens.check(np.array([[1, 2, 2**40]]))


def test_other_floats_and_layouts_in_memory_are_taken(catalog: Catalog, frames: np.ndarray) -> None:
    model = modelstac.load("smooth-1.0.0-onnx", catalog=catalog)
    expected = model.predict(frames)
    for same in (frames.astype(np.float64), np.asfortranarray(frames), frames.astype(">f4"), frames.tolist()):
        np.testing.assert_array_equal(model.predict(same), expected)
    assert expected.dtype == np.float32


def test_closed_model_says_so(catalog: Catalog, frames: np.ndarray) -> None:
    with modelstac.load("smooth-1.0.0-onnx", catalog=catalog) as model:
        assert "float32" in repr(model)
    assert "closed" in repr(model)
    with pytest.raises(ModelStacError, match="closed"):
        model.predict(frames)
