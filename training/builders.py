"""Networks of other libraries, by what an item says of them: entry points such as ``modelstac.training.builders:timm``.

Which function of a library builds a network, and what it may be told, is a table below: sizes, and names of networks of
its own. What would fetch weights or read a file is refused; the weights are the item's. A library is imported when
somebody trusts this module (``trust="entrypoint:modelstac.training.builders"``), as no policy does unasked.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import MissingPackageError, SpecError
from modelstac.catalog.search.ranges import nearest

if TYPE_CHECKING:
    import torch

_WORD = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)  # no path, no address: nothing that is looked up elsewhere
_DETECTOR = re.compile(r"yolo(v8|11|12)([nslmx])", re.ASCII)
_SIZES = (
    "in_chans",
    "num_classes",
    "img_size",
    "patch_size",
    "embed_dim",
    "depth",
    "depths",
    "num_heads",
    "window_size",
)


@dataclass(frozen=True)
class Library:
    """How a library builds a network.

    Parameters
    ----------
    module, function
        What builds one.
    name
        The argument that names the network.
    known
        Other arguments that may be given: numbers, truths, words, and lists of them.
    fixed
        Arguments that are always given, so that no weights are fetched.
    names
        What a name must look like.
    """

    module: str
    function: str
    name: str
    known: frozenset[str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    names: re.Pattern[str] = _WORD


LIBRARIES: Mapping[str, Library] = MappingProxyType(
    {
        "timm": Library(
            *("timm", "create_model", "model_name"),
            frozenset({*_SIZES, "global_pool", "features_only", "out_indices", "output_stride", "dynamic_img_size"}),
            {"pretrained": False},
        ),
        "segmentation_models_pytorch": Library(
            *("segmentation_models_pytorch", "create_model", "arch"),
            frozenset(
                {"encoder_name", "encoder_depth", "encoder_output_stride", "in_channels", "classes", "activation"}
            )
            | {"decoder_channels", "decoder_attention_type", "decoder_use_norm", "decoder_use_batchnorm", "upsampling"}
            | {"decoder_interpolation", "decoder_pyramid_channels", "decoder_segmentation_channels"}
            | {"decoder_merge_policy", "decoder_atrous_rates", "decoder_aspp_separable", "psp_out_channels"},
            {"encoder_weights": None},
        ),
        "torchgeo": Library(
            *("torchgeo.models", "get_model", "name"),
            frozenset({*_SIZES, "global_pool", "features_only", "classes", "in_channels"}),
            {"weights": None},
            # Those of timm, torchvision and segmentation-models alone: others fetch code or weights as they are built.
            re.compile(r"resnet\d+|swin_(v2_)?[tsb]|vit_(small|base|large|huge)_patch16_224|unet", re.ASCII),
        ),
        "ultralytics": Library(
            *("ultralytics.nn.tasks", "DetectionModel", "cfg"),
            frozenset({"ch", "nc"}),
            names=re.compile(rf"{_DETECTOR.pattern}(\.yaml)?", re.ASCII),
        ),
    }
)


def timm(spec: Mapping[str, Any]) -> torch.nn.Module:
    """Build what ``timm.create_model`` calls ``model_name``."""
    return _built("timm", spec)


def segmentation_models_pytorch(spec: Mapping[str, Any]) -> torch.nn.Module:
    """Build what ``segmentation_models_pytorch.create_model`` calls ``arch``, such as ``unet``."""
    return _built("segmentation_models_pytorch", spec)


def torchgeo(spec: Mapping[str, Any]) -> torch.nn.Module:
    """Build what ``torchgeo.models.get_model`` calls ``name``: a ResNet, Swin, ViT or U-Net."""
    return _built("torchgeo", spec, **({"encoder_weights": None} if spec.get("name") == "unet" else {}))


def ultralytics(spec: Mapping[str, Any]) -> torch.nn.Module:
    """Build the detector that ultralytics calls ``cfg``, such as ``yolov8n``, of ``ch`` bands and ``nc`` classes.

    Beside boxes it returns what only its training needs. Here it gives boxes and scores alone, (batch, 4 + ``nc``,
    boxes), and its weights have the names that ultralytics gives them.
    """
    os.environ.setdefault("YOLO_OFFLINE", "true")  # it would look for a network as it is imported
    given = dict(spec)
    name = given.get("cfg")
    if isinstance(name, str) and (said := _DETECTOR.fullmatch(name)):
        given["cfg"] = f"yolo{said[1]}{said[2]}.yaml"
    network = _built("ultralytics", given, verbose=False)
    kind = type(network)

    class Boxes(kind):  # type: ignore[misc, valid-type]
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = kind.forward(self, image)[0]
            return found

    network.__class__ = Boxes
    return network


def _built(library: str, spec: Mapping[str, Any], **more: Any) -> torch.nn.Module:
    known = LIBRARIES[library]
    given = dict(spec)
    name = given.pop(known.name, None)
    if not isinstance(name, str) or not known.names.fullmatch(name):
        raise SpecError(f"{library} builds networks of its own by {known.name}=, which is {name!r}: name one of them")
    for argument, value in given.items():
        if argument not in known.known:
            raise SpecError(
                f"{library} is not told {argument!r}{nearest(argument, known.known)}: build the network by a function "
                "of your own"
            )
        if not _plain(value):
            raise SpecError(f"{library} is told numbers and words alone, and {argument} is {value!r}")
    try:
        build = getattr(importlib.import_module(known.module), known.function)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"the network {name!r} is one of {library}, and {error.name!r} is not installed: pip install "
            f"{library.replace('_', '-')}"
        ) from error
    module: torch.nn.Module = build(**{known.name: name}, **given, **known.fixed, **more)
    return module


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and bool(_WORD.fullmatch(value)))
    )
