"""Operators by name that may draw random numbers or keep a state, in formats whose graph is not followed here."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from modelstac.registry.inspecting import saved_model as tf
from modelstac.registry.inspecting.wire import messages, texts

_OF_TENSORFLOW = re.compile(r"(Stateless)?Random\w+|Multinomial|TruncatedNormal|Assign\w*VariableOp|StatefulUniform\w*")
_OF_OPENVINO = re.compile(rb'<layer [^>]*name="([^"]*)"[^>]*type="(RandomUniform|Multinomial|Assign|ReadValue)"')
_SAVING = re.compile(r"__inference__traced_(save|restore)_\d+")


def read(data: bytes, form: str) -> list[str]:
    """Name them, each once."""
    found = {"saved-model": _saved_model, "openvino": _openvino}.get(form)
    return [] if found is None else list(dict.fromkeys(found(data)))


def _saved_model(data: bytes) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = memoryview(archive.read(tf.GRAPH_MEMBER))
    for function in messages([content], tf.META_GRAPHS, tf.GRAPH, tf.LIBRARY, tf.FUNCTIONS):
        if not any(map(_SAVING.fullmatch, texts([function], tf.SIGNATURE, tf.NAME))):
            for node in messages([function], tf.FUNCTION_NODES):
                for operator in filter(_OF_TENSORFLOW.fullmatch, texts([node], tf.OPERATOR)):
                    yield f"{operator} in the node {texts([node], tf.NAME)[-1]!r}"


def _openvino(data: bytes) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name, operator in _OF_OPENVINO.findall(archive.read("model.xml")):
            yield f"{operator.decode()} in the node {name.decode()!r}"
