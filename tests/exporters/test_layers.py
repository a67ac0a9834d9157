"""Where two models begin to differ: layer and frame."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from modelstac.catalog import open_catalog
from modelstac.cli import main
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.layers import diff
from modelstac.exporters.workers import Workers

LAYERS = ["layer 1", "layer 2", "output"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, sources):
    """A network, and one with another recurrent kernel in its second layer, which works from the second frame on."""
    catalog = open_catalog(tmp_path_factory.mktemp("layers") / "catalog", create=True)
    sources.publish_torch(catalog, tmp_path_factory.mktemp("first"))
    changed = sources.trained_looking_weights(sources.SPEC)
    changed["convlstm_1/recurrent_kernel"] = changed["convlstm_1/recurrent_kernel"] * 1.01
    sources.publish_torch(catalog, tmp_path_factory.mktemp("second"), weights=changed, version="1.1.0")
    return catalog


@pytest.fixture(scope="module")
def workers():
    with Workers() as found:
        yield found


@pytest.mark.parametrize(
    "job", [{}, {"options": {"unroll": 4}}, {"target": "keras-torch"}], ids=["loop", "unrolled", "keras"]
)
def test_a_conversion_agrees_layer_by_layer(catalog, workers, job):
    made = export(ExportJob("rain-1.0.0-torch", **({"target": "onnx"} | job)), catalog, workers=workers)
    rows = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert [row.layer for row in rows] == LAYERS
    assert all(row.passed and row.relative < 1e-5 for row in rows)
    assert rows[1].shape[-1] == 3


def test_a_difference_is_traced_to_its_layer_and_frame(catalog, workers):
    made = export(ExportJob("rain-1.1.0-torch"), catalog, workers=workers)
    rows = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert [row.passed for row in rows] == [True, False, False]
    assert rows[1].first_frame == 2
    assert rows[0].first_frame is None


def test_reduced_precision_is_traced_too(catalog, workers):
    made = export(ExportJob("rain-1.0.0-torch", precision="int8"), catalog, workers=workers)
    rows = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert not rows[-1].passed
    assert rows[-1].layer == "output"


def test_of_another_format_the_output_alone_is_compared(catalog, workers):
    made = export(ExportJob("rain-1.0.0-torch", target="openvino"), catalog, workers=workers)
    rows = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert [(row.layer, row.passed) for row in rows] == [("output", True)]


def test_the_command_says_where_it_begins(catalog):
    command = ["diff", "rain-1.0.0-torch", "rain-1.1.0-torch", "--catalog", catalog.href]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1, done.output
    assert done.stdout.splitlines()[-1] == "the difference begins at layer 2, from frame 2 on"
    assert [row["layer"] for row in json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)] == LAYERS
    assert CliRunner().invoke(main, [*command, "--tolerance", "10"]).exit_code == 0
