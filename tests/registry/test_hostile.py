"""Every hostile file is refused in one line before any of its code runs, and before a framework sees it."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pystac
import pytest
import torch
from tests.registry import hostile

import modelstac
from modelstac.catalog.errors import IntegrityError, InvalidItemError, ModelStacError, StorageError, UntrustedError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.inspecting.archives import inspect_archive
from modelstac.registry.inspecting.onnx import inspect_graph
from modelstac.registry.inspecting.weights import inspect_safetensors
from modelstac.registry.trust.policy import DEFAULT_POLICY

# zipfile's own; the duplicate is the point
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
REFUSED = (IntegrityError, InvalidItemError, StorageError, UntrustedError)


def test_there_are_enough_of_them() -> None:
    assert len(hostile.HOSTILE) >= 30


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_refused(name: str, tmp_path: Path, make_item: Callable[..., pystac.Item]) -> None:
    form, data, changes = hostile.HOSTILE[name](tmp_path)
    path = tmp_path / f"model{FORMATS[form].suffix}"
    path.write_bytes(data)
    item = make_item(path, form)
    asset = item.assets["model"]
    for field, value in changes.items():
        if field == "href":
            asset.href = value
        elif field == "type":
            asset.media_type = value
        elif value is None:
            del asset.extra_fields[field]
        else:
            asset.extra_fields[field] = value
    before = set(sys.modules)
    with pytest.raises(ModelStacError) as raised:
        modelstac.load(item)
    assert isinstance(raised.value, REFUSED)
    assert "\n" not in str(raised.value)
    assert not hostile.canary(tmp_path).exists()
    assert not {"keras", "onnxruntime", "tensorflow"} & (set(sys.modules) - before)


def test_the_canary_sings_where_the_payload_runs(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(hostile.Payload(tmp_path)))
    assert hostile.canary(tmp_path).is_dir()
    hostile.canary(tmp_path).rmdir()
    (tmp_path / "model.pt").write_bytes(hostile.torch_pickle(tmp_path))
    torch.load(tmp_path / "model.pt", weights_only=False)
    assert hostile.canary(tmp_path).is_dir()


def test_what_the_hostile_files_are_made_of_passes() -> None:
    inspect_archive(hostile.archive(), Path("model.keras"), max_bytes=1 << 30)
    inspect_graph(hostile.innocent(), Path("model.onnx"), domains=DEFAULT_POLICY.operator_domains)
    inspect_safetensors(hostile.safetensors({"a": hostile.tensor(0, 8)}, bytes(8))[1], Path("model.safetensors"))
