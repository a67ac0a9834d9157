"""What loading gives: a model that takes and gives arrays in the layout that its item declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, overload

from modelstac.catalog.errors import DataError, ModelStacError
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.running.arrays import as_array, is_labelled
from modelstac.registry.running.card import card, card_html

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    import pystac
    import xarray as xr

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.catalog.items.mlm import ModelInput, ModelOutput
    from modelstac.registry.isolated.reopening import Recipe
    from modelstac.registry.running.examples import SelfTest
    from modelstac.registry.runtimes import Predict


NO_OVERLAP: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class TensorSignature:
    """One input or output.

    Parameters
    ----------
    name
        Its name.
    shape
        Sizes in the order of ``dim_order``; -1 is any size.
    dim_order
        Names of the dimensions.
    dtype
        NumPy name of the data type.
    scaling
        ``value_scaling`` of the item, as it stands there; None if it names none.
    """

    name: str
    shape: tuple[int, ...]
    dim_order: tuple[str, ...]
    dtype: str
    scaling: tuple[dict[str, Any], ...] | None = None

    def __str__(self) -> str:
        sizes = ", ".join(f"{d} {'any' if n == -1 else n}" for d, n in zip(self.dim_order, self.shape, strict=True))
        return f"{self.dtype} ({sizes})"

    def check(self, values: Any) -> np.ndarray[Any, Any]:
        """Return the values as a contiguous array of this type and layout; no copy where none is needed.

        Raises
        ------
        DataError
            If they are numbers of another kind, do not fit, have another rank or size, or are not all finite.
        """
        import numpy as np  # not at the top: it would be a quarter of the time that `import modelstac` takes

        array, declared = np.asarray(values), np.dtype(self.dtype)
        if array.dtype.kind != declared.kind and not (array.dtype.kind in "iu" and declared.kind in "iu"):
            raise DataError(
                f"input {self.name!r} is {self}; found an array of {array.dtype}: "
                f"scale it as the item says and convert it with .astype({self.dtype!r})"
            )
        if array.ndim != len(self.shape) or any(
            n not in (-1, found) or found == 0 for n, found in zip(self.shape, array.shape, strict=False)
        ):
            raise DataError(f"input {self.name!r} is {self}; found shape {list(array.shape)}: use that layout")
        given = array
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused below
            array = np.ascontiguousarray(array, dtype=declared)
        if declared.kind in "iu" and not np.array_equal(array, given):
            raise DataError(f"input {self.name!r} is {self}; found {given.dtype} values that do not fit into it")
        if not np.isfinite(array).all():
            bad = array.size - np.count_nonzero(np.isfinite(array))
            raise DataError(
                f"input {self.name!r} is {self} without gaps; found {bad} of {array.size} values NaN or infinite: "
                "fill them (masked pixels with 0)"
            )
        return array


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model."""

    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]

    @classmethod
    def of(cls, description: ModelDescription) -> Signature:
        """Read the signature of an item."""
        return cls(tuple(map(_input, description.inputs)), tuple(map(_output, description.outputs)))


def _input(source: ModelInput) -> TensorSignature:
    layout = source.input
    scaling = source.value_scaling
    return TensorSignature(
        source.name,
        tuple(layout.shape),
        tuple(layout.dim_order),
        layout.data_type,
        None if scaling is None else tuple(step.model_dump(exclude_none=True) for step in scaling),
    )


def _output(source: ModelOutput) -> TensorSignature:
    layout = source.result
    return TensorSignature(source.name, tuple(layout.shape), tuple(layout.dim_order), layout.data_type)


class Model:
    """A model that was loaded and can run.

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
    recipe
        Gives what it was loaded from, for other processes; None if it was made by hand.
    """

    def __init__(self, item: pystac.Item, description: ModelDescription, native: Any, predict: Predict) -> None:
        self.item = item
        self.description = description
        self.signature = Signature.of(description)
        self._native = native
        self._predict: Predict | None = predict
        self.recipe: Callable[[], Recipe] | None = None

    @property
    def native(self) -> Any:
        """The framework's own object."""
        self._running()
        return self._native

    @overload
    def predict(
        self, inputs: xr.DataArray | xr.Dataset, *, overlap: Mapping[str, int] = NO_OVERLAP
    ) -> xr.DataArray: ...

    @overload
    def predict(self, inputs: Any, *, overlap: Mapping[str, int] = NO_OVERLAP) -> np.ndarray[Any, Any]: ...

    def predict(self, inputs: Any, *, overlap: Mapping[str, int] = NO_OVERLAP) -> Any:
        """Run the model.

        Parameters
        ----------
        inputs
            Either an array, or a tensor of PyTorch or TensorFlow: numbers in the layout and of the kind of
            ``signature.inputs[0]``, scaled as the item says, all finite. Or an array or dataset of xarray: physical
            values, which are scaled as the item says, with named dimensions in any order; ``y`` and ``x`` do for
            height and width, and a batch or band of one may be left out.
        overlap
            For blocks of Dask: how many values neighbouring blocks share, by dimension.

        Returns
        -------
        numpy.ndarray or xarray.DataArray
            In the layout of ``signature.outputs[0]``. An array of xarray has the dimensions and coordinates of the
            input, times that follow it where the model forecasts, and physical values where the item says how to get
            them; of blocks of Dask it is computed block by block when its values are asked for.

        Raises
        ------
        DataError
            If the array is not of that layout (names the declared and the found one), or the framework fails on it.
        """
        run = self._running()
        if is_labelled(inputs):
            from modelstac.registry.running.labelled import predict_labelled

            return predict_labelled(self, inputs, overlap)
        array = self.signature.inputs[0].check(as_array(inputs))
        try:
            return run(array)
        except ModelStacError:
            raise
        except Exception as error:  # each framework raises its own, and some of no class but Exception
            reason = " ".join(str(error).split())[:300]
            where = f"{self.item.id!r} ({self.description.framework})"
            raise DataError(f"{where} fails on an array of shape {list(array.shape)}: {reason}") from error

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
        self._native = self._predict = None

    def _running(self) -> Predict:
        if self._predict is None:
            raise ModelStacError(f"model {self.item.id!r} was closed: load it again")
        return self._predict

    def __reduce__(self) -> tuple[Callable[[Recipe], Model], tuple[Recipe]]:
        """Send it to another process as what it was loaded from: it is loaded there by the same policy."""
        from modelstac.registry.isolated.reopening import Reopened

        self._running()
        if self.recipe is None:
            raise ModelStacError(f"model {self.item.id!r} was not made by modelstac.load: load it where it is to run")
        return Reopened, (self.recipe(),)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._predict is None else f"{self.signature.inputs[0]} -> {self.signature.outputs[0]}"
        return f"<Model {self.item.id}: {state}>"
