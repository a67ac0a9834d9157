"""A file that kept the rules once is not looked into again, as long as file and rules are the same."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pystac
import pytest
from tests.registry import hostile

import modelstac
from modelstac.catalog.errors import UntrustedError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.files.cache import Cache
from modelstac.registry.files.fetch import fetch
from modelstac.registry.files.stamps import SETTLED
from modelstac.registry.inspecting.inspection import _rules, inspect
from modelstac.registry.trust.policy import DEFAULT_POLICY

ONNX = FORMATS["onnx"].artifact_type
TRUSTING = DEFAULT_POLICY.trusting("operators:evil")


@pytest.fixture
def custom(tmp_path: Path, make_item: Callable[..., pystac.Item]) -> pystac.Item:
    """A graph with an operator of somebody's own, written long enough ago to be stamped."""
    path = tmp_path / "model.onnx"
    path.write_bytes(hostile.HOSTILE["onnx_custom_operator"](tmp_path)[1])
    item = make_item(path, "onnx")
    time.sleep(SETTLED / 1e9 + 0.05)
    return item


def read(item: pystac.Item) -> Artifact:
    return fetch(item, "model", max_bytes=DEFAULT_POLICY.max_bytes)


def test_what_passed_is_remembered_for_the_same_policy_alone(custom: pystac.Item) -> None:
    inspect(read(custom), ONNX, TRUSTING)
    again = read(custom)
    assert again.stamp is not None
    assert len(again.stamp.passed) == 1
    with pytest.raises(UntrustedError, match="operators that ONNX does not define"):
        modelstac.load(custom)
    assert read(custom).stamp == again.stamp  # what was refused is not noted
    # That it is believed shows where somebody lies: the verdict of the default rules, written by hand.
    again.stamp.remember(_rules(ONNX, DEFAULT_POLICY))
    inspect(read(custom), ONNX, DEFAULT_POLICY)


def test_a_stamp_that_somebody_else_could_have_written_is_none(custom: pystac.Item) -> None:
    inspect(read(custom), ONNX, TRUSTING)
    place = Cache().local_stamp(Path(custom.assets["model"].href))
    assert read(custom).stamp.passed
    place.chmod(0o664)
    assert not read(custom).stamp.passed  # made anew from the bytes
    assert place.stat().st_mode & 0o777 == 0o644
    if os.geteuid() == 0:
        inspect(read(custom), ONNX, TRUSTING)
        os.chown(place, 65534, 65534)
        assert not read(custom).stamp.passed


def test_a_file_that_was_exchanged_loses_what_was_noted(custom: pystac.Item) -> None:
    inspect(read(custom), ONNX, TRUSTING)
    path = Path(custom.assets["model"].href)
    before = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read(custom).stamp is None
