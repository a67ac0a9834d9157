"""Operators of an exported program that draw random numbers, take a batch's statistics, or write a state that is read.

Only those count that an output depends on: a counter of batches that nothing reads is none.

Source: ATen's native_functions.yaml, torch/_export/serde/schema.py.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from modelstac.registry.inspecting.folders import words
from modelstac.registry.inspecting.torch_export import PROGRAM

RANDOM = words(
    """bernoulli binomial cauchy exponential fractional_max_pool2d fractional_max_pool3d geometric log_normal
    multinomial normal normal_functional poisson rand rand_like randint randint_like randn randn_like random randperm
    _sample_dirichlet _standard_gamma uniform"""
)
STATISTICS = "batch_norm"
UPDATES = "_batch_norm_with_update"
VIEWS = words(
    """alias as_strided detach diagonal expand flatten movedim narrow permute reshape select slice split squeeze
    swapaxes t transpose unbind unflatten unsqueeze view view_as"""
)
OVERWRITES = frozenset({"copy", "copy_", "fill", "fill_", "zero_"})
"""What they leave does not depend on what was there."""
_IN_PLACE = re.compile(r"torch\.ops\.aten\.\w*[^\W_]_\.\w+")


def read(data: bytes) -> list[str]:
    """Name operators, with the module that calls them, and buffers."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/{PROGRAM}"))
        module = json.loads(archive.read(name))["graph_module"]
    return list(dict.fromkeys(_Flow(module["signature"]).through(module["graph"])))


class _Flow:
    """Follows through a graph what each value depends on beside the inputs."""

    def __init__(self, signature: dict[str, Any]) -> None:
        kinds = ("buffer", "tensor_constant")
        specs = [spec[kind] for spec in signature["input_specs"] for kind in kinds if kind in spec]
        self._buffers = {spec["arg"]["name"]: spec.get("buffer_name", spec["arg"]["name"]) for spec in specs}
        self._depends: dict[str, set[str]] = {value: {value} for value in self._buffers}
        self._base: dict[str, str] = {}
        given = signature["output_specs"]
        changed = [spec["buffer_mutation"]["buffer_name"] for spec in given if "buffer_mutation" in spec]
        self._written = {value for value, name in self._buffers.items() if name in changed}
        self._results = [spec["user_output"]["arg"] for spec in given if "user_output" in spec]

    def through(self, graph: dict[str, Any]) -> Iterator[str]:
        for node in graph["nodes"]:
            self._pass(node)
        found = {cause for value in _names(self._results) for cause in self._depends.get(value, ())}
        texts = [text for text in self._order(graph) if text in found]
        yield from texts
        for value in sorted(found & self._written):
            yield f"the program changes its own {self._buffers[value]!r} in each call, and computes its outputs from it"

    def _order(self, graph: dict[str, Any]) -> Iterator[str]:
        yield from (text for node in graph["nodes"] for text in _causes(node))

    def _pass(self, node: dict[str, Any]) -> None:
        operator = _operator(node)
        given, made = list(_names(node["inputs"])), list(_names(node["outputs"]))
        used = given[1:] if operator in OVERWRITES else given
        causes = {cause for value in used for cause in self._depends.get(value, ())} | set(_causes(node))
        if _IN_PLACE.fullmatch(str(node["target"])) and given:
            place = self._base.get(given[0], given[0])
            whole = operator in OVERWRITES and place == given[0]
            for value in [v for v in (place, *self._depends) if self._base.get(v, v) == place]:
                self._depends[value] = set(causes) if whole else self._depends.get(value, set()) | causes
            if place in self._buffers:
                self._written.add(place)
            self._base |= dict.fromkeys(made, place)
        elif operator in VIEWS and given:
            self._base |= dict.fromkeys(made, self._base.get(given[0], given[0]))
        self._depends |= {value: set(causes) for value in made}


def _operator(node: dict[str, Any]) -> str:
    parts = str(node["target"]).split(".")
    return parts[3] if len(parts) > 3 else parts[-1]  # torch.ops.aten.add_.Tensor


def _causes(node: dict[str, Any]) -> Iterator[str]:
    """Say what an operator draws or takes from elsewhere, and those of graphs that it calls."""
    if what := _what(_operator(node), {given["name"]: given["arg"] for given in node["inputs"]}):
        # "L__self__,,Net;L__self___head,head,torch.nn.Dropout": the module that called it, innermost last
        stack = node.get("metadata", {}).get("nn_module_stack", "").split(";")[-1].split(",")
        place = f" in {stack[1]!r} ({stack[2].rpartition('.')[2]})" if len(stack) == 3 and stack[1] else ""
        yield f"{str(node['target']).removeprefix('torch.ops.')}{place} {what}"
    for value in _values(node["inputs"]):
        if isinstance(value, dict) and isinstance(value.get("nodes"), list):
            for inner in value["nodes"]:
                yield from _causes(inner)


def _what(operator: str, given: dict[str, Any]) -> str:
    plain = operator.rstrip("_")
    training = any(given.get(name) == {"as_bool": True} for name in ("train", "training"))
    rates = [given.get(name, {}).get("as_float", 0) for name in ("p", "dropout", "dropout_p")]
    if plain in RANDOM or (plain.startswith("rrelu") and training):
        return "draws random numbers"
    if any(rates) and (training or "dropout_p" in given):
        return "drops values at random, as in training"
    kept = "as_tensor" in given.get("running_mean", {})
    if (STATISTICS in plain and training and kept) or plain.startswith(UPDATES):
        return "normalises by the statistics of each batch, as in training"
    return ""


def _names(value: Any) -> Iterator[str]:
    """Yield the names of tensors and numbers in arguments, also of those of graphs in them."""
    for inner in _values(value):
        if isinstance(inner, dict):
            for kind in ("as_tensor", "as_name"):
                found = inner.get(kind)
                if isinstance(found, dict) and isinstance(found.get("name"), str):
                    yield found["name"]
                elif isinstance(found, str):
                    yield found
            for many in (inner.get("as_tensors"), inner.get("as_optional_tensors")):
                for one in many if isinstance(many, list) else ():
                    if isinstance(one, dict) and isinstance(one.get("name"), str):
                        yield one["name"]


def _values(value: Any) -> Iterator[Any]:
    """Yield a value of JSON and all that it holds, in the order in which it is written."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
