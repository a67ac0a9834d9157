"""What an environment lacks for a format, what it may be given, and how a reason is said."""

from datetime import UTC, datetime

import pystac
import pytest

from modelstac.catalog.errors import CannotRunError, InvalidItemError
from modelstac.matrix.opening import LONGEST, backend_in, lacking, refuse_holes, said
from modelstac.registry.isolated.requirements import parse

OLD = parse("# python 3.11\nkeras==3.10.0\ntensorflow==2.19.1\n", source="e", trusted=["keras==3.10.0"])
TORCH = parse("# python 3.11\nkeras==3.15.1\ntorch==2.13.0\n", source="e")


def an_item(**properties):
    return pystac.Item("theirs", None, None, datetime(2020, 1, 1, tzinfo=UTC), properties)


def test_versions_with_known_holes_get_our_files_only():
    with pytest.raises(CannotRunError, match=r"keras==3.10.0 has known holes, so it gets no files that others made"):
        refuse_holes(an_item(), OLD, ["keras==3.10.0"])
    refuse_holes(an_item(**{"interop:variant": "keras"}), OLD, ["keras==3.10.0"])
    refuse_holes(an_item(), TORCH, [])


def test_keras_files_run_on_the_backend_that_is_there():
    on_tensorflow = ["keras==3.10.0", "tensorflow-cpu==2.19.1", "h5py==3.14.0", "numpy==2.1.3"]
    on_torch = ["keras==3.15.1", "torch==2.13.0", "h5py==3.14.0", "numpy==2.1.3"]
    assert (backend_in(on_tensorflow), backend_in(on_torch)) == ("tensorflow", "torch")
    assert lacking("keras", on_tensorflow) is None
    assert lacking("keras", on_torch) is None
    assert lacking("saved-model", on_torch) == "tensorflow"
    assert lacking("torch", on_torch) == "safetensors"
    assert lacking("onnx", on_tensorflow) == "onnxruntime"


def test_a_reason_is_one_line_without_folders_of_this_machine():
    assert said(InvalidItemError("/home/me/models/model.keras\ncannot be read")) == "model.keras cannot be read"
    long = said(InvalidItemError(f"it begins {'and goes on ' * 100}and ends"))
    assert long.startswith("it begins")
    assert long.endswith("and ends")
    assert len(long) <= LONGEST + 3
