"""What a conversion does once: written to no other effect than its time, which these tests count by calls."""

from __future__ import annotations

import typing
import zipfile
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._export.serde import serialize  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from modelstac.exporters.converters import to_torch_export  # noqa: E402
from modelstac.exporters.converters.programs.program import readied, ready  # noqa: E402
from modelstac.exporters.proof.cases import GAPS, Case  # noqa: E402
from modelstac.exporters.proof.parity import made_for_gaps  # noqa: E402
from modelstac.registry.runtimes import torch_export  # noqa: E402, F401 - what it does when it is imported is tested


@pytest.fixture(scope="module")
def program():
    lengths = ({0: torch.export.Dim("batch")},)
    return torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(4, 3),), dynamic_shapes=lengths)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_a_program_is_written_without_a_rehearsal_and_is_the_same(program, tmp_path):
    torch.export.save(program, tmp_path / "theirs.pt2")
    rehearsal = serialize.canonicalize
    with (
        mock.patch.object(serialize, "canonicalize", wraps=rehearsal) as rehearsed,
        to_torch_export._unrehearsed(),
    ):
        torch.export.save(program, tmp_path / "ours.pt2")
    assert not rehearsed.called
    assert serialize.canonicalize is rehearsal
    theirs, ours = (members(tmp_path / f"{who}.pt2") for who in ("theirs", "ours"))
    changing = {".data/serialization_id"}
    assert {k: v for k, v in ours.items() if k not in changing} == {
        k: v for k, v in theirs.items() if k not in changing
    }


def test_the_types_of_a_class_are_worked_out_once_for_all_programs(program, tmp_path):
    torch.export.save(program, tmp_path / "model.pt2")
    first = torch.export.load(tmp_path / "model.pt2")
    with mock.patch.object(typing, "get_type_hints", wraps=typing.get_type_hints) as asked:
        again = torch.export.load(tmp_path / "model.pt2")
    assert not asked.called
    assert str(again.graph) == str(first.graph)


class Attention(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=x @ x.mT > 1)


@pytest.mark.filterwarnings("ignore")
def test_a_program_is_made_ready_where_the_exporter_takes_it_apart():
    pytest.importorskip("onnxscript")
    program = torch.export.export(Attention(), (torch.rand(2, 5, 4),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    passes = mock.patch.object(ExportedProgram, "run_decompositions", autospec=True)
    apart = ExportedProgram.run_decompositions
    with passes as counted, readied(program):
        counted.side_effect = apart
        made = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False, optimize=False)
    assert counted.call_count == 1
    assert program.run_decompositions.__func__ is apart
    operators = [node.op_type for node in made.model_proto.graph.node]
    assert "Where" in operators  # of a row that is masked, zeros
    again = ready(program).run_decompositions(torch.export.default_decompositions())
    x = torch.zeros(3, 5, 4)
    assert torch.equal(again.module()(x), torch.zeros(3, 5, 4))


class Counting:
    """A model that counts how often it runs."""

    def __init__(self, function):
        self.function, self.runs = function, 0

    def run(self, inputs, *, finite=True):
        self.runs += 1
        return {"y": self.function(inputs["x"])}


@pytest.mark.parametrize(("fill", "runs", "made"), [(0.0, 2, True), (7.0, 1, False)])
def test_a_model_that_does_not_take_gaps_as_zeros_is_asked_no_more(fill, runs, made):
    x = np.array([[1.0, np.nan]], np.float32)
    model = Counting(lambda x: np.nan_to_num(x, nan=fill))
    expected = {"y": model.function(x)}
    assert made_for_gaps(model, Case(GAPS, {"x": x}, beyond="nobody says", gaps=True), expected) is made
    assert model.runs == runs
