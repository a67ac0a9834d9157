"""Which file of a repository is the model: of formats that run no code when they are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from modelstac.catalog.errors import AmbiguousError, NotFoundError, UntrustedError

INDEX = ".safetensors.index.json"
_ORDER = (".keras", ".pt2", ".onnx", ".tflite", ".savedmodel.zip", ".openvino.zip", INDEX, ".safetensors")
_BOOSTED = ("model.ubj", "model.lgb", "model.xgb.json")
_PICKLES = (
    *(".bin", ".pt", ".pth", ".ckpt", ".tar", ".torchscript", ".jit"),
    *(".pkl", ".pickle", ".joblib", ".sav", ".dat", ".h5", ".hdf5"),
)
GRAPH, TOP = "saved_model.pb", "."
"""What is chosen of a repository that is a SavedModel itself, and has other files beside it."""
_OF_SAVED_MODEL = re.compile(r"(saved_model|fingerprint|keras_metadata)\.pb|(variables|assets)/.+")
_PARTS = "-of-"  # of a sharded file: model-00001-of-00003.safetensors


def model_file(names: Sequence[str], wanted: str | None, *, where: str) -> str:
    """Return the name of the model file in a repository.

    Parameters
    ----------
    names
        Of all its files.
    wanted
        That which was asked for; None where it is to be found.
    where
        Of what, for messages.

    Raises
    ------
    NotFoundError
        If there is none.
    AmbiguousError
        If there are several of one format.
    UntrustedError
        If what there is runs code when it is read.
    """
    if wanted is not None:
        if wanted not in names and not any(name.startswith(f"{wanted}/") for name in names):
            raise NotFoundError(f"{where} has no file {wanted!r}: it has {', '.join(names[:8])}")
        if wanted.casefold().endswith(_PICKLES):
            raise _pickled(where, wanted)
        return _folder(wanted) if PurePosixPath(wanted).name == GRAPH else wanted
    graphs = [_folder(name) for name in names if PurePosixPath(name).name == GRAPH]
    for suffix in _ORDER:
        found = [name for name in names if name.casefold().endswith(suffix) and _PARTS not in name]
        if found:
            return _only(found, where)
    if graphs:
        return _only(graphs, where)
    boosted = [name for name in names if PurePosixPath(name).name in _BOOSTED]
    if boosted:
        return boosted[0]
    if pickles := [name for name in names if name.casefold().endswith(_PICKLES)]:
        raise _pickled(where, pickles[0])
    raise NotFoundError(f"{where} has no model file that is known here: it has {', '.join(names[:8]) or 'no files'}")


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _only(found: Sequence[str], where: str) -> str:
    if len(found) > 1:
        shown, named = ", ".join(found[:6]), next(name for name in found if name != TOP)
        raise AmbiguousError(f"{where} has {len(found)} models ({shown}): name one, hf://{where}/{named}")
    return found[0]


def _pickled(where: str, name: str) -> UntrustedError:
    return UntrustedError(
        f"{where} has its model in {name}, which runs code of its publisher's when it is read, and is never loaded "
        "from the Hub: ask for safetensors, ONNX or .pt2, or convert it yourself and publish that"
    )


def parts_of(names: Sequence[str], chosen: str) -> list[str]:
    """Return the files that belong to a model file by their names: parts of weights, a pair, a folder."""
    folder = PurePosixPath(chosen).parent
    if chosen.endswith(INDEX):
        return [n for n in names if PurePosixPath(n).parent == folder and n.endswith(".safetensors") and _PARTS in n]
    if chosen.endswith((".xml",)):
        return [chosen[: -len(".xml")] + ".bin"]
    if chosen == TOP:
        return [n for n in names if _OF_SAVED_MODEL.fullmatch(n)]
    return [n for n in names if n.startswith(f"{chosen}/")]
