"""ONNX: a ``ModelProto``, saved as it is, with its weights in it; a classifier's texts and mappings become arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.facts.onnx_graph import CLASSICAL
from modelstac.registry.publishing.objects.saved import Arrays, Saved

BANDS_FIRST = True
_PASSED = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that leave labels as they are."""
_CLASSES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def input_names(model: Any, given: Collection[str] = ()) -> Sequence[str] | None:  # noqa: ARG001 - the file tells
    """Leave it to the file."""
    return None


def save(model: Any, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:  # noqa: ARG001
    """Save a model that has all its weights.

    Raises
    ------
    InvalidItemError
        If it is no model by ONNX' own check.
    """
    path = folder / "model.onnx"
    if _lies_elsewhere(model):
        raise InvalidItemError("the ONNX model has weights in other files: load them with onnx.load(path) first")
    try:
        onnx.checker.check_model(model)
        onnx.save(model, path)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidItemError(f"the ONNX model is none by ONNX' own check: {reason}: export it anew") from error
    return read(path, folder)


def read(path: Path, into: Path) -> Saved:
    """Give a file; of a classifier that gives texts or a mapping a row one that gives arrays, and what its labels are.

    Parameters
    ----------
    path
        The file.
    into
        Where another one is written.
    """
    model = onnx.load(path, load_external_data=False)
    made = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    labels = {value.name: _labels(value.name, made, constants) for value in model.graph.output}
    found = {name: given for name, given in labels.items() if given}
    if not found or _lies_elsewhere(model):
        return Saved(path)
    several = {tuple(given) for given in found.values()}
    notes, dims = [], {}
    for value in model.graph.output:
        given = found.get(value.name)
        if value.type.HasField("sequence_type") and given and _unzip(model, made[value.name], value, len(given)):
            notes.append(f"{value.name!r}, a mapping a row, is published as an array of one column a class")
        lengths = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(lengths) == 1 or lengths[1:] in [[len(one)] for one in several]:
            dims[value.name] = ("batch", "class")[: len(lengths)]
    if number_texts(model, found):
        notes.append("labels that are texts are published as the number of their class, from 0")
    if notes:
        path = into / "arrays.onnx"
        onnx.save(model, path)
    known: dict[str, Any] = {"task": ("classification",)}
    if len(dims) == len(model.graph.output):
        known["output_dims"] = dims
    if len(several) > 1:
        return Saved(path, {**known, "classes": {n: _classes(given) for n, given in found.items()}}, notes=tuple(notes))
    classes = _classes(several.pop())
    pairs = [(one["value"], one["name"]) for one in classes]
    return Saved(path, {**known, "classes": classes}, notes=tuple(notes), labels=pairs)


def _lies_elsewhere(model: Any) -> bool:
    return any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer)


def _classes(labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Give labels as classes: texts by their number."""
    return [{"value": n if isinstance(one, str) else one, "name": str(one)} for n, one in enumerate(labels)]


def _labels(name: str, made: Mapping[str, Any], constants: Mapping[str, Any]) -> list[Any]:
    """Return the labels that an output has, in the order of the scores; none where its graph does not say."""
    while (node := made.get(name)) is not None and node.op_type in _PASSED:
        name = node.input[0]
    if node is None:
        return []
    fields = {field.name: helper.get_attribute_value(field) for field in node.attribute}
    if node.op_type == "ArrayFeatureExtractor" and node.input[0] in constants:
        found = numpy_helper.to_array(constants[node.input[0]]).ravel().tolist()
    elif node.op_type == "ZipMap" or (node.op_type.endswith("Classifier") and name == node.output[0]):
        found = next((list(fields[key]) for key in _CLASSES if fields.get(key)), [])
    else:
        return []
    labels = [one.decode() if isinstance(one, bytes) else one for one in found]
    return labels if all(isinstance(one, int | str) for one in labels) else []


def _unzip(model: Any, node: Any, value: Any, count: int) -> bool:
    """Give the array that a mapping a row is made of; tell whether it can be had."""
    [array] = node.input
    if not any(array in other.output for other in model.graph.node):
        return False
    model.graph.node.remove(node)
    rename(model, array, value.name)
    [first, *_] = model.graph.input[0].type.tensor_type.shape.dim
    value.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [None, count]))
    value.type.tensor_type.shape.dim[0].CopyFrom(first)
    return True


def number_texts(model: Any, labels: Mapping[str, Sequence[Any]]) -> bool:
    """Give labels that are texts by their number among the classes of their output: arrays hold numbers.

    Returns
    -------
    bool
        Whether there are any.
    """
    old = any(opset.domain == CLASSICAL and opset.version < 2 for opset in model.opset_import)
    texts = [value for value in model.graph.output if value.type.tensor_type.elem_type == TensorProto.STRING]
    texts = [value for value in texts if value.name in labels]
    for output in texts:
        keys = list(map(str, labels[output.name]))
        fields = {"classes_strings": keys} if old else {"keys_strings": keys, "values_int64s": list(range(len(keys)))}
        text = f"{output.name}_text"
        rename(model, output.name, text)
        encoder = helper.make_node("LabelEncoder", [text], [output.name], domain=CLASSICAL, **fields)
        model.graph.node.append(encoder)
        output.type.tensor_type.elem_type = TensorProto.INT64
    return bool(texts)


def rename(model: Any, name: str, other: str) -> None:
    """Call a value otherwise, wherever it is made and taken."""
    for node in model.graph.node:
        for names in (node.output, node.input):
            names[:] = [other if one == name else one for one in names]
