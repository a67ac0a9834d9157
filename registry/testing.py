"""The contract of a runtime as a suite of tests, for ours and for those that others add by entry point.

Inherit :class:`RuntimeContract` in a module of tests and give it a fixture ``example``: the item of a real model of
your format whose file is local, an input, and the output that it should give::

    class TestMine(RuntimeContract):
        @pytest.fixture
        def example(self, tmp_path):
            ...
            return item, inputs, outputs

``policy`` may be given too, where the format needs an entry point that is not allowed by default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest

from modelstac.catalog.errors import DataError, IntegrityError, ModelStacError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.load import load
from modelstac.registry.running.model import Model
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

Array = np.ndarray[Any, Any]
Example = tuple[pystac.Item, Array, Array]


class RuntimeContract:
    """What every runtime does."""

    tolerance = 1e-5

    @pytest.fixture
    def example(self) -> Example:
        raise NotImplementedError("give a fixture `example`: item, inputs, outputs")

    @pytest.fixture
    def policy(self) -> TrustPolicy:
        return DEFAULT_POLICY

    @pytest.fixture
    def model(self, example: Example, policy: TrustPolicy) -> Model:
        return load(example[0], policy=policy)

    def test_it_gives_what_it_should(self, model: Model, example: Example) -> None:
        found = model.predict(example[1])
        assert type(found) is np.ndarray
        assert found.dtype == model.signature.outputs[0].dtype
        np.testing.assert_allclose(found, example[2], rtol=0, atol=self.tolerance)

    def test_the_same_input_gives_the_same_output(self, model: Model, example: Example) -> None:
        first = model.predict(example[1])
        kept = first.copy()
        np.testing.assert_array_equal(model.predict(example[1]), kept)
        model.predict(np.zeros_like(example[1]))
        np.testing.assert_array_equal(first, kept)  # the second call does not write where the first one's result is

    def test_the_input_is_only_read(self, model: Model, example: Example) -> None:
        inputs = example[1].copy()
        inputs.flags.writeable = False
        model.predict(inputs)
        np.testing.assert_array_equal(inputs, example[1])

    def test_a_batch_is_its_parts(self, model: Model, example: Example) -> None:
        axis = model.signature.inputs[0].dim_order.index("batch")
        if model.signature.inputs[0].shape[axis] != -1:
            pytest.skip("the file fixes the size of the batch")
        twice = model.predict(np.concatenate([example[1], example[1]], axis))
        np.testing.assert_allclose(twice, np.concatenate([example[2], example[2]], axis), rtol=0, atol=self.tolerance)

    def test_an_input_of_another_rank_is_refused(self, model: Model, example: Example) -> None:
        with pytest.raises(DataError):
            model.predict(example[1][None])

    def test_native_is_the_frameworks_own(self, model: Model) -> None:
        assert model.native is not None
        model.close()
        with pytest.raises(ModelStacError, match="closed"):
            _ = model.native

    def test_one_changed_byte_is_refused(self, example: Example, policy: TrustPolicy) -> None:
        path = _file(example[0])
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(IntegrityError):
            load(example[0], policy=policy)

    @pytest.mark.parametrize("content", [b"", b"no model at all " * 40, None], ids=["empty", "other", "truncated"])
    def test_a_published_file_without_sense_is_one_line(
        self, example: Example, policy: TrustPolicy, content: bytes | None
    ) -> None:
        item = example[0]
        path = _file(item)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
        fields = {"file:checksum": multihash(sha256(path)), "file:size": path.stat().st_size}
        item.assets[model_assets(item)[0].key].extra_fields |= fields
        with pytest.raises((ValueError, UntrustedError)) as raised:  # InvalidItemError is a ValueError
            load(item, policy=policy)
        assert isinstance(raised.value, ModelStacError)
        assert "\n" not in str(raised.value)


def _file(item: pystac.Item) -> Path:
    return Path(item.assets[model_assets(item)[0].key].href)
