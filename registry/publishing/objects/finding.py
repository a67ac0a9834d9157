"""Which framework an object is of: no framework is imported that did not make it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from typing import Any, cast

from modelstac.catalog.errors import SpecError, UntrustedError
from modelstac.catalog.later import imported, libraries
from modelstac.registry.publishing.objects.saved import Kind
from modelstac.registry.runtimes.backends import spare_triton

TAKEN = (
    "a keras.Model, a torch.nn.Module, an exported program, a pipeline of scikit-learn, a model of XGBoost or "
    "LightGBM, an onnx.ModelProto, or the path of a file"
)
# Module and classes by attribute, and the module here that saves them; the more particular first.
_CLASSES = (
    ("keras", ("Model",), "keras"),
    ("torch", ("nn.Module", "export.ExportedProgram"), "torch"),
    ("onnx", ("ModelProto",), "onnx"),
    ("xgboost", ("Booster", "XGBModel"), "classical"),
    ("lightgbm", ("Booster", "LGBMModel"), "classical"),
    ("sklearn.base", ("BaseEstimator",), "classical"),
)
_PLACES = ("model", "module_", "lightning_module")


def find(model: Any) -> Kind | None:
    """Return what saves an object; None for a path.

    Raises
    ------
    SpecError
        If nothing here can, with what is taken instead.
    """
    if isinstance(model, str | PathLike):
        return None
    if isinstance(model, type):
        raise SpecError(f"{model.__name__} is a class: give a model of it, {model.__name__}(…)")
    kind = next((kind for module, names, kind in _CLASSES if isinstance(model, _classes(module, names))), None)
    if kind in {None, "classical"} and (place := _place(model)) is not None:
        raise SpecError(f"{type(model).__name__} holds the model that it trains: give that, {place}")
    if kind is None:
        raise _unknown(model)
    if kind == "classical" and not hasattr(model, "predict"):
        raise SpecError(f"{type(model).__name__} predicts nothing: give a pipeline that ends in a model")
    spare_triton()
    return cast(Kind, importlib.import_module(f"modelstac.registry.publishing.objects.{kind}"))


def _classes(module: str, names: Sequence[str]) -> tuple[type, ...]:
    loaded = imported(module)
    return tuple(found for name in names if (found := _attribute(loaded, name)) is not None)


def _attribute(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _place(model: Any) -> str | None:
    """Say where the module or Keras' model is in what trains it: a learner, a trainer, a net of skorch."""
    kinds = (*_classes("torch", ("nn.Module",)), *_classes("keras", ("Model",)))
    for name in _PLACES:
        with suppress(Exception):  # whatever somebody's property raises
            if isinstance(getattr(model, name, None), kinds):
                return f".{name}"
    return None


def _unknown(model: Any) -> SpecError | UntrustedError:
    kind = type(model)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(model, bytes):
        return UntrustedError(
            "bytes are no model that is known here: write them to a file with its suffix, and give its path"
        )
    if isinstance(model, dict) and model and all(hasattr(value, "shape") for value in model.values()):
        return SpecError(
            f"a dictionary of {len(model)} weights is no function: put them into their module, and give that"
        )
    if "tensorflow" in libraries(model):
        return SpecError(
            f"{name} is a graph of TensorFlow: write it by tf.saved_model.save(MODULE, FOLDER), and give the folder"
        )
    if callable(model) and not hasattr(model, "predict"):
        return SpecError(f"{name} is a function of Python, which no file holds: give {TAKEN}")
    return SpecError(f"{name} is no model that can be published: give {TAKEN}")
