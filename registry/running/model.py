"""What loading gives: a model that takes and gives arrays in the layout that its item declares."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from modelstac.catalog import forks
from modelstac.catalog.errors import CannotRunError, DataError, InvalidItemError, ModelStacError
from modelstac.catalog.items.identity import OUR_FIELD
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.running.arrays import as_named, as_numbers, is_labelled
from modelstac.registry.running.bands import listed
from modelstac.registry.running.card import card, card_html
from modelstac.registry.running.memory import give_back, machine_memory
from modelstac.registry.running.signature import Arrays, Signature
from modelstac.registry.runtimes.names import bind
from modelstac.registry.runtimes.opened import Naming

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.examples import SelfTest
    from modelstac.registry.runtimes.opened import Bound, Opened

NO_OVERLAP: Mapping[str, int] = MappingProxyType({})


class Model:
    """A model that was loaded and can run, in any number of threads at once; not in a process forked off this one.

    Parameters
    ----------
    item, description, opened
        What it is.
    memory
        Bytes of memory that it may take where it runs; by default all of this machine.

    Attributes
    ----------
    item
        Its STAC item.
    description
        The same, typed.
    signature
        Inputs and outputs.
    native
        The framework's own object: ``keras.Model``, ``torch.nn.Module``, ``onnxruntime.InferenceSession``.
    ways
        What :meth:`run` and :meth:`run_exactly` are called, where they are two.
    remarks
        What a person should know of how its names and those of its file go together.
    reopen
        What makes the same model in another process, as :mod:`pickle` wants it; None if it was made by hand.
    """

    def __init__(
        self, item: pystac.Item, description: ModelDescription, opened: Opened, *, memory: int | None = None
    ) -> None:
        self.item = item
        self.description = description
        self._pid = os.getpid()
        opened = opened.for_threads()
        try:
            self.signature = Signature.of(description).without_made(description, opened.outputs)
        except InvalidItemError as error:
            raise InvalidItemError(f"item {item.id!r}: {error}") from error
        inputs, outputs = ([tensor.name for tensor in side] for side in (self.signature.inputs, self.signature.outputs))
        # Its publisher's names of an item that was not made here are words of theirs.
        naming = Naming(
            {tensor.name: tensor.name_in_file for tensor in description.inputs},
            {tensor.name: tensor.name_in_file for tensor in description.outputs},
            free=OUR_FIELD not in item.properties,
        )
        self.remarks: list[str] = []
        where = f"the file of {item.id!r}"
        how: dict[str, Any] = {"where": where, "naming": naming}
        self._run: Bound | None = bind(opened, inputs, outputs, **how, remarks=self.remarks)
        self._exactly: Bound | None = self._run
        if opened.exactly is not None:
            self._exactly = bind(replace(opened, run=opened.exactly), inputs, outputs, **how)
        self._memory = memory or machine_memory()
        self.ways = None if opened.exactly is None else opened.ways
        self._native = opened.native
        self._bands = {
            tensor.name: listed(source)
            for tensor, source in zip(self.signature.inputs, description.inputs, strict=False)
        }
        self._only_input = inputs[0] if len(inputs) == 1 else None
        self._only_output = outputs[0] if len(outputs) == 1 else None
        self.reopen: Callable[[], tuple[Any, ...]] | None = None

    @property
    def native(self) -> Any:
        """The framework's own object."""
        self._running()
        return self._native

    def predict(
        self,
        inputs: Any = None,
        /,
        *,
        scaled: bool | Any = None,
        overlap: Mapping[str, int] | Any = NO_OVERLAP,
        **named: Any,
    ) -> Any:
        """Run the model.

        Parameters
        ----------
        inputs
            Of a model with one input, an array, or a tensor of PyTorch or TensorFlow: numbers in the layout and of the
            kind of ``signature.inputs[0]``, scaled already as the item says, all finite. Of a model with several, a
            mapping of such arrays by the names of its inputs. Or arrays of xarray, or a dataset: physical values, which
            are scaled as the item says, with named dimensions in any order; ``y`` and ``x`` do for height and width,
            and a batch or band of one may be left out. What their labels say of bands, times, units, packing, missing
            values and places is used, or refused.
        scaled
            Whether the numbers are what the model reads, and its own numbers are wanted back (True), or physical values
            in and out (False). By default arrays are scaled, and arrays with labels are not. Anything but True, False
            and None is the input of that name.
        overlap
            For blocks of Dask: how many values neighbouring blocks share, by dimension; by default as many as the item
            says that an output depends on (its halo). Anything but a mapping is the input of that name.
        **named
            The same by name: ``predict(s1=a, s2=b)``.

        Returns
        -------
        numpy.ndarray or xarray.DataArray, or dict of them
            One array for a model with one output, in the layout of ``signature.outputs[0]``; for several a dictionary
            by name, in the order of the item. Where an input has labels, arrays of xarray: they have the dimensions and
            coordinates of the inputs, times that follow them where the model forecasts, and physical values where the
            item says how to get them; of blocks of Dask they are computed when their values are asked for.

        Raises
        ------
        DataError
            If an array is not of that layout (names the declared and the found one), names are others than the
            model's, or the framework fails on it.
        CannotRunError
            If its outputs, as the item declares them, are larger than all memory here.
        """
        if not isinstance(overlap, Mapping):
            if all(tensor.name != "overlap" for tensor in self.signature.inputs):
                raise DataError(f"overlap is a mapping by dimension, such as {{'y': 16, 'x': 16}}, not {overlap!r:.80}")
            named, overlap = {"overlap": overlap, **named}, NO_OVERLAP
        if scaled is not None and not isinstance(scaled, bool):
            if all(tensor.name != "scaled" for tensor in self.signature.inputs):
                raise DataError(f"scaled is True or False, not {scaled!r:.80}")
            named, scaled = {"scaled": scaled, **named}, None
        given = self._given(inputs, named)
        if not is_labelled(given):
            given = {name: as_named(values, self._bands.get(name, ()), of=str(name)) for name, values in given.items()}
        if is_labelled(given) or any(map(is_labelled, given.values())):
            from modelstac.registry.running.labelled import predict_labelled

            return predict_labelled(self, given, overlap, scaled=scaled)
        outputs = self._physical(given) if scaled is False else self.run(given)
        return outputs if self._only_output is None else outputs[self._only_output]

    def _physical(self, given: Arrays) -> Arrays:
        """Run it on physical values without labels, in the layout of each input."""
        from modelstac.registry.running.values.physical import runner

        self.signature.check_names(given)
        arrays = {name: as_numbers(values, of=name) for name, values in given.items()}
        return runner(self, arrays, sure=arrays)(arrays)

    def run(self, inputs: Arrays, /, *, finite: bool = True) -> dict[str, np.ndarray[Any, Any]]:
        """Run the model on arrays by the name of their input, and return arrays by the name of their output.

        It is :meth:`predict` without labels, the same for any number of inputs and outputs.

        Parameters
        ----------
        inputs
            Arrays by name.
        finite
            Whether NaN and infinite values are refused. Without, you see what the file itself makes of them, which is
            another thing in every runtime.

        Raises
        ------
        DataError
            As :meth:`predict` does.
        """
        return self._ran(self._running(), inputs, finite=finite)

    def run_exactly(self, inputs: Arrays, /, *, finite: bool = True) -> dict[str, np.ndarray[Any, Any]]:
        """Run the model as :meth:`run` does, but as its framework computes it, without what makes it quick.

        Keras calls its layers on these very arrays, ONNX Runtime leaves its graph as it is. This is what "the model"
        means where something is proved of it; what :meth:`run` gives differs from it by rounding alone.

        Raises
        ------
        DataError
            As :meth:`predict` does.
        """
        self._running()
        return self._ran(cast("Bound", self._exactly), inputs, finite=finite)

    def _ran(self, run: Bound, inputs: Arrays, *, finite: bool) -> dict[str, np.ndarray[Any, Any]]:
        arrays = self.signature.check(inputs, finite=finite)
        if self._memory is not None and (size := self.signature.declared_bytes(arrays)) > self._memory:
            raise CannotRunError(
                f"{self.item.id!r} says that its outputs take {size:,} bytes or more of memory here, and there are "
                f"{self._memory:,}: give fewer samples at a time, or look at what the item declares"
            )
        try:
            found = run(arrays)
        except ModelStacError:
            raise
        except Exception as error:  # each framework raises its own, and some of no class but Exception
            reason = " ".join(str(error).split())[:300]
            where = f"{self.item.id!r} ({self.description.framework})"
            shapes = ", ".join(str(list(array.shape)) for array in arrays.values())
            raise DataError(f"{where} fails on an array of shape {shapes}: {reason}") from error
        self.signature.check_samples(arrays, found, of=self.item.id)
        return found

    def _given(self, inputs: Any, named: Mapping[str, Any]) -> Any:
        """Give inputs by name; a dataset names its variables itself."""
        if inputs is None:
            if not named:
                self.signature.check_names(())
            return named
        if named:
            raise DataError("inputs are given by position and by name: give all of them by name")
        if isinstance(inputs, Mapping):
            return inputs
        if self._only_input is None:
            names = [tensor.name for tensor in self.signature.inputs]
            raise DataError(f"the model has the inputs {', '.join(names)}: give arrays by name, {{{names[0]!r}: …}}")
        return {self._only_input: inputs}

    def self_test(self, *, report: Report = ignore) -> SelfTest:
        """Replay the example input that is published with the item, and compare with the example output.

        Raises
        ------
        NotFoundError
            If the item has no example.
        IntegrityError
            If its files are not the published ones.
        """
        from modelstac.registry.running.examples import self_test

        return self_test(self, report=report)

    def card(self) -> str:
        """Return what the model is, takes and gives, and where it comes from, as lines of text."""
        return card(self.item)

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return card_html(self.item)

    def close(self) -> None:
        """Let go of the framework's object and its memory; the model cannot run any more."""
        if self._run is None:
            return
        self._native = self._run = self._exactly = None
        give_back(self.description.parameters)

    def _running(self) -> Bound:
        if self._run is None:
            raise ModelStacError(f"model {self.item.id!r} was closed: load it again")
        forks.require_same(self._pid, task=f"run model {self.item.id!r}")
        return self._run

    def __reduce__(self) -> tuple[Any, ...]:
        """Send it to another process as what it was loaded from: it is loaded there by the same policy."""
        self._running()
        if self.reopen is None:
            raise ModelStacError(f"model {self.item.id!r} was not made by modelstac.load: load it where it is to run")
        return self.reopen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        inputs, outputs = (
            ", ".join(str(t) if len(side) == 1 else f"{t.name} {t}" for t in side)
            for side in (self.signature.inputs, self.signature.outputs)
        )
        state = "closed" if self._run is None else f"{inputs} -> {outputs}"
        return f"<Model {self.item.id}: {state}>"
