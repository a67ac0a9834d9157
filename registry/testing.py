"""The contract of a runtime as a suite of tests, for ours and for those that others add by entry point.

Inherit :class:`RuntimeContract` in a module of tests and give it a fixture ``example``: the item of a real model of
your format whose file is local, an input, and the output that it should give::

    class TestMine(RuntimeContract):
        @pytest.fixture
        def example(self, tmp_path):
            ...
            return item, inputs, outputs

Inputs and outputs are arrays, or dictionaries of them by the names of the item where there are several.
``policy`` may be given too, where the format needs an entry point that is not allowed by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import pytest

from modelstac.catalog.errors import DataError, IntegrityError, ModelStacError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.load import load
from modelstac.registry.running.model import Model
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    from modelstac.registry.running.signature import TensorSignature

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Example = tuple[pystac.Item, Array | Mapping[str, Array], Array | Mapping[str, Array]]


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

    @pytest.fixture
    def inputs(self, model: Model, example: Example) -> Arrays:
        return _by_name(example[1], model.signature.inputs)

    @pytest.fixture
    def outputs(self, model: Model, example: Example) -> Arrays:
        return _by_name(example[2], model.signature.outputs)

    def test_it_gives_what_it_should(self, model: Model, example: Example, outputs: Arrays) -> None:
        found = model.predict(example[1])
        assert isinstance(found, dict) is (len(outputs) > 1)
        found = _by_name(found, model.signature.outputs)
        assert all(type(array) is np.ndarray for array in found.values())
        assert [array.dtype for array in found.values()] == [tensor.dtype for tensor in model.signature.outputs]
        self._assert_close(found, outputs)

    def test_outputs_come_by_the_names_of_the_item_in_its_order(
        self, model: Model, example: Example, inputs: Arrays, outputs: Arrays
    ) -> None:
        names = [tensor["name"] for tensor in example[0].properties["mlm:output"]]
        found = model.run(dict(reversed(inputs.items())))  # names say which is which, not an order
        assert list(found) == [name for name in names if name in outputs]
        self._assert_close(found, outputs)

    def test_an_input_of_another_name_is_refused(self, model: Model, inputs: Arrays) -> None:
        array = next(iter(inputs.values()))
        with pytest.raises(DataError, match="no input 'no such input'"):
            model.run({**inputs, "no such input": array})
        with pytest.raises(DataError, match="needs the input"):
            model.run({})

    def test_the_same_input_gives_the_same_output(self, model: Model, inputs: Arrays) -> None:
        first = model.run(inputs)
        kept = {name: array.copy() for name, array in first.items()}
        _assert_equal(model.run(inputs), kept)
        model.run({name: np.zeros_like(array) for name, array in inputs.items()})
        _assert_equal(first, kept)  # the second call does not write where the first one's result is

    def test_the_input_is_only_read(self, model: Model, inputs: Arrays) -> None:
        given = {name: array.copy() for name, array in inputs.items()}
        for array in given.values():
            array.flags.writeable = False
        model.run(given)
        _assert_equal(given, inputs)

    def test_a_batch_is_its_parts(self, model: Model, inputs: Arrays, outputs: Arrays) -> None:
        sizes = [tensor.axes["batch"] for tensor in model.signature.inputs if "batch" in tensor.axes]
        if not sizes or any(size.is_fixed for size in sizes):
            pytest.skip("the file fixes the size of the batch")
        self._assert_close(model.run(_twice(inputs, model.signature.inputs)), _twice(outputs, model.signature.outputs))

    def test_an_input_of_another_rank_is_refused(self, model: Model, inputs: Arrays) -> None:
        for name, array in inputs.items():
            with pytest.raises(DataError):
                model.run({**inputs, name: array[None]})

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

    def _assert_close(self, found: Arrays, expected: Arrays) -> None:
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=self.tolerance, err_msg=name)


def _by_name(values: Any, tensors: Sequence[TensorSignature]) -> Arrays:
    return dict(values) if isinstance(values, Mapping) else {tensors[0].name: values}


def _twice(arrays: Arrays, tensors: Sequence[TensorSignature]) -> Arrays:
    axes = {tensor.name: tensor.dim_order.index("batch") for tensor in tensors if "batch" in tensor.dim_order}
    return {
        name: np.concatenate([array, array], axes[name]) if name in axes else array for name, array in arrays.items()
    }


def _assert_equal(found: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def _file(item: pystac.Item) -> Path:
    return Path(item.assets[model_assets(item)[0].key].href)
