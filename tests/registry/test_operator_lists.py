"""What TensorFlow and ONNX may be asked to run, held against their own definitions, release by release."""

from __future__ import annotations

import onnx
import pytest

from modelstac.registry.inspecting.onnx_growth import GROWING, KEEPING
from modelstac.registry.inspecting.saved_model import OPERATORS
from modelstac.registry.trust.policy import DEFAULT_POLICY

# State of a model's own: variables, a generator of numbers, and calls of functions that are looked into as well.
STATEFUL = {
    *("AssignAddVariableOp", "AssignVariableOp", "ReadVariableOp", "ResourceGather", "VarHandleOp"),
    *("VarIsInitializedOp", "Case", "If", "StatefulPartitionedCall", "While"),
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal"),
}
PLACES = ("file", "path", "library", "url", "shared")


def test_operators_of_tensorflow_take_and_give_no_text() -> None:
    pytest.importorskip("tensorflow")
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import op_def_registry

    known = {name: op_def_registry.get(name) for name in OPERATORS}
    assert sorted(name for name, found in known.items() if found is None) == []
    assert {name for name, found in known.items() if found.is_stateful} == STATEFUL
    texts = {
        name
        for name, found in known.items()
        for argument in (*found.input_arg, *found.output_arg)
        if argument.type == types_pb2.DT_STRING
    }
    assert texts == set()
    named = {(name, a.name) for name, found in known.items() for a in found.attr if a.name.startswith(PLACES)}
    assert {place for _, place in named} <= {"shared_name"}  # by which a variable is found again in its process


def test_no_operator_that_onnx_defines_names_a_file() -> None:
    schemas = [s for s in onnx.defs.get_all_schemas() if s.domain in DEFAULT_POLICY.operator_domains]
    assert len(schemas) > 150
    assert [(s.name, a) for s in schemas for a in s.attributes if a.startswith(PLACES)] == []


def test_what_may_grow_is_of_onnx() -> None:
    names = {schema.name for schema in onnx.defs.get_all_schemas()}
    assert sorted((GROWING.keys() | KEEPING) - names) == []
