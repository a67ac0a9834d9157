"""What runs code of its publisher's: refused unless trusted by name, then logged, elsewhere, and never a fallback."""

from __future__ import annotations

import logging
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pystac
import pytest
import torch
from onnx import helper
from tests.registry import hostile
from torch import nn

import modelstac
from modelstac.catalog.errors import MissingPackageError, ModelStacError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256

MakeItem = Callable[..., pystac.Item]
Python = Callable[..., dict[str, object]]


class Sung(nn.Sequential):
    """A module whose pickle makes a folder, the canary, and notes who unpickled it."""

    def __reduce__(self) -> tuple[object, ...]:
        code = f"__import__('pathlib').Path({self.canary!r}).write_text(str(__import__('os').getpid()))"
        return eval, (f"({code}, __import__('torch').nn.Conv3d(4, 4, 1))[1]",)


@pytest.fixture
def pickled(tmp_path: Path, make_item: MakeItem) -> pystac.Item:
    """Somebody's item with a pickle as its one model."""
    net = Sung()
    net.canary = str(hostile.canary(tmp_path))
    torch.save(net, tmp_path / "model.pt")
    item = make_item(tmp_path / "model.pt", "torch", entrypoint=None)
    del item.properties["interop:variant"]  # not made here
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.save"
    return item


def test_pickle_runs_only_when_trusted_and_in_another_process(
    pickled: pystac.Item, tmp_path: Path, frames: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    canary = hostile.canary(tmp_path)
    for trust in ((), "lambda", ("entrypoint:torch", "operators:evil", "custom:torch")):
        with pytest.raises(UntrustedError, match="load this file alone with asset='model', trust='pickle'"):
            modelstac.load(pickled, trust=trust)
    assert not canary.exists()
    caplog.clear()
    with modelstac.load(pickled, trust="pickle") as model:
        assert model.predict(frames).shape == frames.shape
        assert int(canary.read_text()) != os.getpid()
        with pytest.raises(ModelStacError, match="another process"):
            _ = model.native
    (said,) = [r.getMessage() for r in caplog.records if "runs code of its publisher" in r.getMessage()]
    assert pickled.id in said
    assert sha256(tmp_path / "model.pt") in said
    assert all(r.levelno == logging.WARNING for r in caplog.records)


def test_pickle_is_no_fallback(pickled: pystac.Item, tmp_path: Path, frames: np.ndarray) -> None:
    """An ONNX file beside it is taken, and where that is refused the pickle is not taken instead, unless named."""
    (tmp_path / "evil.onnx").write_bytes(hostile.graph(helper.make_node("Run", ["frames"], ["y"], domain="evil")))
    fields = {"mlm:artifact_type": "onnx", "file:checksum": multihash(sha256(tmp_path / "evil.onnx"))}
    pickled.add_asset("graph", pystac.Asset(str(tmp_path / "evil.onnx"), roles=["mlm:model"], extra_fields=fields))
    with pytest.raises(UntrustedError, match="operators that ONNX does not define"):
        modelstac.load(pickled, trust="pickle")
    with pytest.raises(ModelStacError):
        modelstac.load(pickled, trust="pickle", format="saved-model")
    assert not hostile.canary(tmp_path).exists()
    with modelstac.load(pickled, trust="pickle", asset="model") as model:
        assert model.predict(frames).shape == frames.shape


def test_weights_in_a_pickle_need_an_entry_point_that_is_trusted_too(tmp_path: Path, make_item: MakeItem) -> None:
    from modelstac.training.architectures import convlstm_torch
    from modelstac.training.spec import ConvLSTMSpec

    spec = ConvLSTMSpec(filters=(2,), kernels=(3,), frames=4, height=6, width=5)
    torch.save({"state_dict": convlstm_torch.build(spec).state_dict()}, tmp_path / "model.pth")
    entrypoint = "modelstac.training.architectures.convlstm_torch:build"
    item = make_item(
        tmp_path / "model.pth", "torch", entrypoint=entrypoint, hyperparameters={"architecture": spec.to_dict()}
    )
    del item.properties["interop:variant"]
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.save"
    with modelstac.load(item, trust="pickle") as model:
        assert model.predict(np.zeros((1, 4, 1, 6, 5), "float32")).shape == (1, 4, 1, 6, 5)
    item.assets["model"].extra_fields["mlm:entrypoint"] = "os:system"
    with pytest.raises(UntrustedError, match="os:system"):
        modelstac.load(item, trust="pickle")


def test_torchscript_runs_when_trusted(tmp_path: Path, make_item: MakeItem, frames: np.ndarray) -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(nn.Conv3d(4, 4, 1)), tmp_path / "model.pt")
    item = make_item(tmp_path / "model.pt", "torch", entrypoint=None)
    del item.properties["interop:variant"]
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.jit.save"
    with modelstac.load(item, trust="pickle") as model:
        assert model.predict(frames).shape == frames.shape


def test_lambda_and_custom_layers_of_keras(on_keras: Python, tmp_path: Path, make_item: MakeItem) -> None:
    """A Lambda layer runs elsewhere; a layer of an installed package here; neither unless it is trusted."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "own_layers.py").write_text(
        textwrap.dedent("""
        import keras
        class Twice(keras.layers.Layer):
            def call(self, x):
                return x * 2
        """)
    )
    (tmp_path / "model.keras").write_bytes(b"")
    item = make_item(
        tmp_path / "model.keras",
        "keras",
        ("batch", "time", "height", "width", "variables"),
        backend="torch",
        backend_version="2.13.0",
    )
    item.save_object(dest_href=str(tmp_path / "item.json"), include_self_link=False)
    code = """
        import logging, os, sys, keras, numpy as np, modelstac, pystac
        from pathlib import Path
        from modelstac.catalog.errors import UntrustedError
        from modelstac.catalog.items.digests import multihash, sha256

        folder = Path(sys.argv[1])
        sys.path.insert(0, str(folder / "site"))
        import own_layers

        def publish(layer):
            keras.Sequential([keras.Input((4, 6, 5, 1)), layer]).save(folder / "model.keras")
            item = pystac.Item.from_file(folder / "item.json")
            path = folder / "model.keras"
            item.assets["model"].href = str(path)
            item.assets["model"].extra_fields |= {
                "file:checksum": multihash(sha256(path)), "file:size": path.stat().st_size}
            return item

        def refused(item, *trust):
            try:
                modelstac.load(item, trust=trust)
            except UntrustedError as error:
                return str(error)

        said = []
        class Said(logging.Handler):
            def emit(self, record):
                said.append(record.getMessage())
        logging.getLogger("modelstac").addHandler(Said())
        canary = folder / "canary"
        x = np.ones((2, 4, 6, 5, 1), "float32")

        # What Python writes, __import__ and all, is in the file; it runs when the layer is called.
        item = publish(keras.layers.Lambda(
            lambda x: (__import__("pathlib").Path(CANARY).write_text(str(__import__("os").getpid())), x * 3)[1]
        ))
        canary.unlink(missing_ok=True)
        first = [refused(item), refused(item, "pickle"), refused(item, "custom:keras.layers"), canary.exists()]
        model = modelstac.load(item, trust="lambda")
        tripled = float(model.predict(x).max())
        elsewhere = int(canary.read_text()) != os.getpid()
        model.close()

        item = publish(own_layers.Twice())
        second = [refused(item), refused(item, "lambda"), refused(item, "custom:own")]
        doubled = float(modelstac.load(item, trust="custom:own_layers").predict(x).max())
        answer(first=first, second=second, tripled=tripled, doubled=doubled, elsewhere=elsewhere, said=said)
        """
    code = code.replace("CANARY", repr(str(tmp_path / "canary")))
    found = on_keras("torch", code, tmp_path, MODELSTAC_CACHE=str(tmp_path / "cache"))
    *refusals, sung = found["first"]
    assert not sung
    assert all("load it with trust='lambda'" in text for text in refusals)
    assert all("own_layers.Twice" in text for text in found["second"])
    assert (found["tripled"], found["doubled"], found["elsewhere"]) == (3, 2, True)
    assert sum("runs code of its publisher" in text for text in found["said"]) == 1


def test_custom_layers_that_are_not_installed_are_named() -> None:
    from modelstac.registry.runtimes.custom_objects import custom_objects
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    data = hostile.archive(hostile.layer("not_installed.layers", "Nowhere", {}))
    with pytest.raises(MissingPackageError, match="not_installed"):
        custom_objects(data, DEFAULT_POLICY.trusting("custom:not_installed"), item_id="x")
    data = hostile.archive(hostile.layer("pathlib", "mkdir", {}))
    with pytest.raises(ModelStacError, match=r"pathlib\.mkdir"):
        custom_objects(data, DEFAULT_POLICY.trusting("custom:pathlib"), item_id="x")
