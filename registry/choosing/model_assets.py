"""Which assets of an item are models, and of what type: for items that were made here and for other people's.

An item of ours says it by role and artifact type. Others leave one out, spell the other differently, or have several; a
type that they state is believed as far as it goes (the file itself is looked into later), and only where they state
none does the media type or the file's suffix speak.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import pystac

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.identity import OUR_FIELD
from modelstac.catalog.items.mlm import MODEL_ROLE
from modelstac.registry.trust.policy import PICKLES

# Sources: MLM 1.0 to 1.5, "Artifact Type Enum" and best practices; the functions that write such files.
_BY_WORD = MappingProxyType(
    {
        "keras": ("keras", "keras.model.save", "tf.keras.model.save"),
        "torch": (
            "safetensors",
            "safetensors.torch.save",
            "safetensors.torch.save_model",
            "safetensors.torch.save_file",
            "safetensors.save_file",
            "torch.safetensors",
        ),
        "onnx": (
            *("skl2onnx", "skl2onnx.to_onnx", "skl2onnx.convert_sklearn", "tf2onnx", "tf2onnx.convert", "onnxmltools"),
            *("onnx", "onnx.save", "onnx.save_model", "torch.onnx.export", "torch.onnx.save", "onnx.export"),
        ),
        "torch-export": ("torch.export", "torch.export.save", "torch.export.export", "torch.export.package_pt2", "pt2"),
        "saved-model": ("tf.saved_model.save", "tf.keras.model.export", "keras.model.export", "saved_model"),
        "litert": ("litert", "tflite", "tf.lite.tfliteconverter"),
        "openvino": ("openvino", "openvino.save_model"),
    }
)
_MISSPELLED = re.compile(r"\bsafe[_-]?tensors?\b")
_WORDS = MappingProxyType({word: FORMATS[name].artifact_type for name, words in _BY_WORD.items() for word in words})
_SUFFIXES = MappingProxyType(
    {known.suffix: known.artifact_type for known in FORMATS.values()} | {".safetensor": FORMATS["torch"].artifact_type}
)
# What runs code when it is read, or may.
_UNSAFE = MappingProxyType(
    {
        **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), "torch.save"),
        **dict.fromkeys((".pkl", ".pickle"), "pickle"),
        ".joblib": "joblib",
        **dict.fromkeys((".h5", ".hdf5"), "HDF5"),
    }
)
# What others call these by.
_UNSAFE_WORDS = MappingProxyType(
    {
        **dict.fromkeys(
            ("torch.jit", "torch.jit.script", "torch.jit.trace", "torch.jit.freeze", "torchscript"), "torch.jit.save"
        ),
        **dict.fromkeys(("torch.save", "torch.load", "pytorch", "pth"), "torch.save"),
        **dict.fromkeys(("pickle.dump", "cloudpickle", "cloudpickle.dump", "dill", "dill.dump"), "pickle"),
        **dict.fromkeys(("joblib.dump", "sklearn", "scikit-learn"), "joblib"),
        **dict.fromkeys(("h5", "hdf5", "keras.h5", "h5py", "tf.keras.models.save_model"), "HDF5"),
    }
)
UNSAFE_TYPES = PICKLES | frozenset(_UNSAFE.values())
UNKNOWN = "unknown"
_MEDIA_WORDS = MappingProxyType({"onnx": "onnx", "keras": "keras", "safetensors": "torch"})
_OTHER_ROLES = frozenset({"code", "mlm:source_code", "mlm:training", "mlm:inference", "thumbnail", "overview"})


@dataclass(frozen=True)
class ModelAsset:
    """One model file of an item: key, artifact type, and what is missing or odd in what the item says of it."""

    key: str
    artifact_type: str
    remarks: tuple[str, ...] = ()


def is_foreign(item: pystac.Item) -> bool:
    """Tell whether an item was made by other means than modelstac."""
    return OUR_FIELD not in item.properties


def sides(item: pystac.Item, *, needed: bool = True) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what somebody else's item says of inputs and outputs.

    Parameters
    ----------
    needed
        Whether it must say something of both.

    Raises
    ------
    InvalidItemError
        If it says nothing of one that is needed, or has something else than a list of objects there.
    """
    return _listed(item, "mlm:input", "takes", needed=needed), _listed(item, "mlm:output", "gives", needed=needed)


def _listed(item: pystac.Item, name: str, verb: str, *, needed: bool) -> list[dict[str, Any]]:
    found = item.properties.get(name)
    if found in (None, []) and not needed:
        return []
    if isinstance(found, list) and found and all(isinstance(part, dict) for part in found):
        return found
    has = f"has no {name}" if found in (None, []) else f"has an {name} that is no list of objects"
    advice = "ask its publisher" + (" to write it in a list" if isinstance(found, dict) else "")
    raise InvalidItemError(f"item {item.id!r} {has}, so nobody can tell what the model {verb}: {advice}")


def model_assets(item: pystac.Item) -> list[ModelAsset]:
    """Return the model files of an item.

    Raises
    ------
    InvalidItemError
        If it has none.
    """
    marked = {key: asset for key, asset in item.assets.items() if MODEL_ROLE in (asset.roles or ())}
    if not is_foreign(item):
        found = [ModelAsset(key, str(asset.extra_fields.get("mlm:artifact_type"))) for key, asset in marked.items()]
    elif marked:
        found = [ModelAsset(key, *artifact_type(asset)) for key, asset in marked.items()]
        if all(one.artifact_type == UNKNOWN for one in found):  # such as the page of the model
            found = list(_unmarked(item)) or found
    else:
        found = list(_unmarked(item))
    if not found:
        has = f"its assets are {', '.join(map(repr, item.assets))}" if item.assets else "it has no assets"
        raise InvalidItemError(
            f"item {item.id!r} has no asset with the role {MODEL_ROLE}, so there is nothing to load ({has}): "
            "ask its publisher, or look for another item"
        )
    return found


def _unmarked(item: pystac.Item) -> Iterator[ModelAsset]:
    for key, asset in item.assets.items():
        found, remarks = artifact_type(asset)
        if found == UNKNOWN or _OTHER_ROLES & set(asset.roles or ()):
            continue
        odd = f"no asset with the role {MODEL_ROLE} is a model file: asset {key!r} was taken as one"
        yield ModelAsset(key, found, (odd, *remarks))


def artifact_type(asset: pystac.Asset) -> tuple[str, tuple[str, ...]]:
    """Return the artifact type of a foreign asset as it is called here, and what had to be guessed."""
    stated = asset.extra_fields.get("mlm:artifact_type")
    if isinstance(stated, str) and stated.strip():
        word = _plain(stated)
        if word in _WORDS:
            return _WORDS[word], ()
        if word in _UNSAFE_WORDS:
            return _UNSAFE_WORDS[word], ()
        if stated in UNSAFE_TYPES or word in {kind.casefold() for kind in UNSAFE_TYPES}:
            return stated, ()
        odd = f"its artifact type {stated!r} is none that is known here"
        found = by_file(asset)
        if found in _WORDS.values():  # what is loaded runs no code, whatever it is called
            return str(found), (f"{odd}: it was taken as {found}, by its file",)
        return stated, (odd,)
    return _by_file(asset)


def written(stated: str) -> str | None:
    """Return the artifact type as MLM writes it; None where it is none that is known here."""
    return _WORDS.get(_plain(stated))


def by_file(asset: pystac.Asset) -> str | None:
    """Tell the artifact type of an asset by its file or media type; None where they do not tell."""
    found, _ = _by_file(asset)
    return None if found == UNKNOWN else found


def _plain(stated: str) -> str:
    """Write an artifact type as it is written here: people call functions, add a dot, and drop an s."""
    word = stated.strip().casefold().removesuffix("()").strip(".")
    return _MISSPELLED.sub("safetensors", word)


def _by_file(asset: pystac.Asset) -> tuple[str, tuple[str, ...]]:
    name = file_name(asset.href).casefold()
    for suffix, found in (*_SUFFIXES.items(), *_UNSAFE.items()):
        if name.endswith(suffix):
            return found, (f"it states no mlm:artifact_type: {suffix} was taken as {found}",)
    media_type = (asset.media_type or "").casefold()
    for word, form in _MEDIA_WORDS.items():
        if word in media_type:
            return FORMATS[form].artifact_type, (f"it states no mlm:artifact_type: taken from {asset.media_type!r}",)
    return UNKNOWN, (f"it states no mlm:artifact_type, and {name or 'its href'!r} does not tell",)


def file_name(href: str) -> str:
    """Return the name of the file that an href leads to, without the query of a signed URL."""
    return PurePosixPath(unquote(urlsplit(href).path)).name
