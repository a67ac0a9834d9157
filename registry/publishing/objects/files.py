"""Models in files: a folder or a pair of files becomes one archive."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from modelstac.catalog.errors import InvalidItemError, NotFoundError, SpecError, StorageError
from modelstac.catalog.items.description import ExtraAsset
from modelstac.catalog.later import needing
from modelstac.registry.facts import ALONE
from modelstac.registry.facts.onnx_graph import CLASSICAL, GRAPH, NODE, nodes, operator
from modelstac.registry.inspecting.external import ROLE, files_beside
from modelstac.registry.inspecting.folders import pack
from modelstac.registry.inspecting.onnx import external_files
from modelstac.registry.inspecting.shards import INDEX, merge
from modelstac.registry.inspecting.wire import messages
from modelstac.registry.publishing.objects.saved import Saved

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription


def find_file(path: Path, into: Path) -> Saved:
    """Give a model file; the folder of a SavedModel, and the pair of files of an OpenVINO model, as one archive.

    Parameters
    ----------
    path
        The file, the folder, or one of the pair.
    into
        Where an archive is written.

    Raises
    ------
    NotFoundError, StorageError
        If a file is not there, or cannot be read.
    InvalidItemError
        If the folder is none of a SavedModel.
    """
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise InvalidItemError(f"{path} is a folder without saved_model.pb: give a model file, or a SavedModel")
        return Saved(_packed(path, into / "model.savedmodel.zip"))
    if path.suffix.lower() == ".onnx" and _classifies(path):
        with needing(f"reading the labels of {path.name}"):
            from modelstac.registry.publishing.objects import onnx
        try:
            return onnx.read(path, into)
        except Exception:  # noqa: BLE001 - of any class: what is wrong with a file is said where it is looked into
            return Saved(path)
    if path.suffix.lower() not in {".xml", ".bin"}:
        return Saved(path)
    pair = into / "openvino"
    try:
        pair.mkdir()
        for suffix in (".xml", ".bin"):
            shutil.copyfile(path.with_suffix(suffix), pair / f"model{suffix}")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {error.filename}: an OpenVINO model is a pair, .xml and .bin") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    return Saved(_packed(pair, into / "model.openvino.zip"))


def _classifies(path: Path) -> bool:
    """Tell whether a graph has operators of trees, linear models and their like."""
    try:
        found = nodes(messages([memoryview(path.read_bytes())], GRAPH, NODE))
        return any(operator(node)[0] == CLASSICAL for node in found)
    except (OSError, ValueError, LookupError):  # said where it is read for what it is
        return False


def check_alone(path: Path) -> None:
    """Refuse a model file that only its framework reads, or that is translated to be published.

    Raises
    ------
    NotFoundError
        If it is not there.
    SpecError
        If it is such a file, with what is none.
    """
    if not path.exists():
        raise NotFoundError(f"no model file {path}: check the path")
    pair = path.suffix.lower() in {".xml", ".bin"} and path.with_suffix(".xml").is_file()
    if path.is_dir() or not (pair or path.name.lower().endswith(ALONE)):
        known = ", ".join(ALONE)
        raise SpecError(
            f"{path.name} is read by its framework alone: leave out --unproved, or give a file that says all by itself "
            f"({known}, or OpenVINO's .xml and .bin)"
        )


def merged(path: Path, into: Path) -> Path:
    """Give a model file; of weights in several parts, by their index, one file of them all."""
    if not path.name.endswith(INDEX):
        return path
    target = into / "model.safetensors"
    merge(path, target)
    return target


def with_files_beside(description: ModelDescription) -> ModelDescription:
    """List the files that a graph of ONNX keeps weights in, each of which is published with it.

    Raises
    ------
    NotFoundError, UntrustedError
        If one is not there, or is a link.
    """
    path = Path(description.artifact)
    if description.format != "onnx":
        return description
    assets = dict(description.assets)
    for number, place in enumerate(files_beside(path, external_files(path.read_bytes())).values(), 1):
        text = "Weights of the model: the graph names this file, and needs it beside it."
        assets[f"weights-{number}"] = ExtraAsset(
            path=place,
            media_type="application/octet-stream",
            roles=(ROLE, "data"),
            title=f"Weights ({place.name})",
            description=text,
        )
    return description.model_copy(update={"assets": assets})


def _packed(folder: Path, archive: Path) -> Path:
    try:
        pack(folder, archive)
    except OSError as error:
        raise StorageError.doing(f"pack {folder}", error) from error
    return archive
