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

import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
import pytest

from modelstac.catalog.errors import DataError, IntegrityError, ModelStacError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.loading import load
from modelstac.registry.running.model import Model
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    from modelstac.registry.running.signature import TensorSignature

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Example = tuple[pystac.Item, Array | Mapping[str, Array], Array | Mapping[str, Array]]

THREADS, CALLS = 8, 60
PATIENCE = 60  # seconds for a forked process


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

    def test_any_number_of_threads_may_use_one_model(self, model: Model, inputs: Arrays) -> None:
        def given(thread: int, call: int) -> Arrays:
            factor = 1 + (thread * CALLS + call) / (THREADS * CALLS)
            one = {name: (array * factor).astype(array.dtype) for name, array in inputs.items()}
            # Twice as many at times, where the file takes any batch: what is made for one shape is none for another.
            return _twice(one, model.signature.inputs) if free and call % 3 == 2 else one

        def work(thread: int) -> list[tuple[Arrays, Arrays]]:
            ways = (model.run, model.run, model.run, model.run_exactly)
            return [(one := given(thread, call), ways[call % 4](one)) for call in range(CALLS)]

        sizes = [tensor.axes["batch"] for tensor in model.signature.inputs if "batch" in tensor.axes]
        free = bool(sizes) and not any(size.is_fixed for size in sizes)
        with ThreadPoolExecutor(THREADS) as pool:
            found = [pair for answers in pool.map(work, range(THREADS)) for pair in answers]
        for one, answer in found:
            self._assert_close(answer, model.run(one))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that this is what may hang
    def test_a_forked_process_answers_or_says_that_it_cannot(
        self, model: Model, example: Example, policy: TrustPolicy, inputs: Arrays
    ) -> None:
        model.run(inputs)
        for action in (lambda: model.run(inputs), lambda: load(example[0], policy=policy).run(inputs)):
            assert forked(action) in {"answered", "CannotRunError"}

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


def forked(action: Callable[[], object]) -> str:
    """Do something in a forked process, and tell what came of it; one that hangs is ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "answered"
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - told to the parent; nothing of this process may go on here
            said = type(error).__name__
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        ready, _, _ = select.select([told], [], [], PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return told.read() if ready else "hangs"


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
