"""In what two models differ: item, weights, layer and frame; ConvLSTM, U-Net and models of anybody's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from modelstac.catalog import open_catalog
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.cli import main
from modelstac.exporters.diff import Comparison, aligned, compare_weights, diff
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.layers import OUTPUT, Layer, match
from modelstac.registry.loading import load
from modelstac.training.architectures import unet_torch
from modelstac.training.data import Preparation
from modelstac.training.data.synthetic import generate
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train
from modelstac.training.unet import UNetSpec
from modelstac.training.variants.torch import save_module

# Once something here has imported Keras, its models run here; TensorFlow 2.19 does not know numpy 2's argument copy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
LAYERS = ["norm_0", "leaky_1", OUTPUT]
"""What is known of a loop in ONNX; Keras and PyTorch also show what comes out of the cells."""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, sources):
    """A network, and one with another recurrent kernel in its second layer, which works from the second frame on."""
    catalog = open_catalog(tmp_path_factory.mktemp("layers") / "catalog", create=True)
    sources.publish_torch(catalog, tmp_path_factory.mktemp("first"))
    changed = sources.trained_looking_weights(sources.SPEC)
    changed["convlstm_1/recurrent_kernel"] = changed["convlstm_1/recurrent_kernel"] * 1.01
    sources.publish_torch(catalog, tmp_path_factory.mktemp("second"), weights=changed, version="1.1.0")
    return catalog


@pytest.mark.parametrize(
    "job", [{}, {"options": {"unroll": 4}}, {"target": "keras-torch"}], ids=["loop", "unrolled", "keras"]
)
def test_a_conversion_agrees_layer_by_layer(catalog, workers, job):
    made = export(ExportJob("rain-1.0.0-torch", **({"target": "onnx"} | job)), catalog, workers=workers)
    found = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    more = {"keras-torch": ["convlstm_0", "norm_0", "convlstm_1", "leaky_1", OUTPUT]}
    assert [row.layer for row in found.layers] == more.get(job.get("target"), LAYERS)
    assert found.passed
    assert all(row.relative < 1e-5 for row in found.layers)
    assert found.layers[-2].shape[-1] == 3
    assert len(found.weights) == 12
    assert all(row.largest == 0 for row in found.weights)
    assert not found.layers_note + found.weights_note
    assert ("format", "torch", made.properties["interop:format"]) in {
        (row.field, row.first, row.second) for row in found.fields
    }


def test_a_difference_is_traced_to_its_layer_and_frame(catalog, workers):
    made = export(ExportJob("rain-1.1.0-torch"), catalog, workers=workers)
    found = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert [row.passed for row in found.layers] == [True, False, False]
    assert found.begins is found.layers[1]
    assert found.begins.first_frame == 2
    assert found.layers[0].first_frame is None
    changed = [row for row in found.weights if row.largest]
    assert [row.name for row in changed] == ["convlstm_1/recurrent_kernel"]
    assert changed[0].relative == pytest.approx(0.01, rel=1e-3)


def test_reduced_precision_is_traced_too(catalog, workers):
    made = export(ExportJob("rain-1.0.0-torch", precision="int8"), catalog, workers=workers)
    found = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert not found.layers[-1].passed
    assert found.layers[-1].layer == OUTPUT
    assert ("precision", "fp32", "int8") in {(row.field, row.first, row.second) for row in found.fields}


def test_of_a_compiled_format_the_output_alone_is_compared_and_why_is_said(catalog, workers):
    made = export(ExportJob("rain-1.0.0-torch", target="openvino"), catalog, workers=workers)
    found = diff(catalog.get("rain-1.0.0-torch"), made, workers)
    assert [(row.layer, row.passed) for row in found.layers] == [(OUTPUT, True)]
    assert found.layers_note == "layers are not compared: the runtime of the second does not show what its layers give"
    assert found.weights_note == "the format of the second does not give its weights back"


def test_the_command_says_where_it_begins(catalog):
    command = ["diff", "rain-1.0.0-torch", "rain-1.1.0-torch", "--catalog", catalog.href]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1, done.output
    lines = done.stdout.splitlines()
    assert lines[-1] == "the difference begins at convlstm_1, from frame 2 on"
    assert "weights: 11 of 12 tensors are equal" in lines
    found = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert [row["layer"] for row in found["layers"]] == ["convlstm_0", "norm_0", "convlstm_1", "leaky_1", OUTPUT]
    assert found["passed"] is False
    assert CliRunner().invoke(main, [*command, "--tolerance", "10"]).exit_code == 0


def test_models_that_take_other_inputs_are_still_told_apart(catalog, unets):
    both = open_catalog(catalog.href)
    both.publish(next(item for item in unets.items() if item.id == "unet-1.0.0-torch"))
    done = CliRunner().invoke(main, ["diff", "rain-1.0.0-torch", "unet-1.0.0-torch", "--catalog", catalog.href])
    assert done.exit_code == 1, done.output
    assert "architecture" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("the difference begins at output of the model")


# A U-Net, in every format that shows its layers.

CONVOLUTIONS = [
    *("down_0_0", "down_0_1", "down_1_0", "down_1_1", "up_0_0", "up_0_1"),
    *("motion_x", "motion_y", "change_0", "change_1"),
]


@pytest.fixture(scope="module")
def unets(tmp_path_factory):
    """A U-Net, and one in which the motion along x is another."""
    folder = tmp_path_factory.mktemp("unets")
    generate(folder / "rain", 20, seed=1, shape=(32, 32))
    spec = UNetSpec((3, 4), coarsen=2, reach=1, frames_in=2, frames_out=3, height=32, width=32)
    preparation = Preparation(rows=None, columns=None, transform="log")
    job = TrainJob("torch", str(folder / "rain"), spec, FitSpec(epochs=1), preparation, name="unet", first_test=12)
    found = open_catalog(folder / "catalog", create=True)
    item = train(job, found)
    module = load(item).native
    weights = unet_torch.get_weights(module)
    weights["motion_x/bias"] = weights["motion_x/bias"] + np.float32([1, 0, -1])
    unet_torch.set_weights(module, weights)
    save_module(module, spec, folder / "model.safetensors")
    description = read_item(item)
    changes = {"version": "1.1.0", "artifact": folder / "model.safetensors", "assets": {}, "job": None}
    found.publish(write_item(description.model_copy(update=changes | {"checksum": None, "size": None})))
    return found


@pytest.mark.parametrize(
    ("target", "via"),
    [("keras-tensorflow", None), ("keras-torch", None), ("torch-export", None), ("onnx", "torch-export")],
)
def test_a_unet_agrees_layer_by_layer(unets, workers, target, via):
    made = export(ExportJob("unet-1.0.0-torch", target, via), unets, workers=workers)
    found = diff(unets.get("unet-1.0.0-torch"), made, workers)
    assert [row.layer for row in found.layers] == [*CONVOLUTIONS, OUTPUT]
    assert found.passed
    assert len(found.weights) == 20
    assert all(row.largest == 0 for row in found.weights)


def test_names_of_keras_are_found_in_a_graph_of_onnx(unets, workers):
    source = export(ExportJob("unet-1.0.0-torch", "keras-tensorflow"), unets, workers=workers)
    made = export(ExportJob(source.id, "onnx"), unets, workers=workers)
    found = diff(source, made, workers)
    assert {row.layer for row in found.layers} == {*CONVOLUTIONS, OUTPUT}
    assert found.passed
    other = export(ExportJob("unet-1.0.0-torch", "onnx", "torch-export"), unets, workers=workers)
    assert {row.layer for row in diff(other, made, workers).layers} == {*CONVOLUTIONS, OUTPUT}


@pytest.mark.parametrize("target", ["keras-tensorflow", "torch-export"])
def test_a_difference_in_a_unet_is_traced_to_its_layer(unets, workers, target):
    made = export(ExportJob("unet-1.1.0-torch", target), unets, workers=workers)
    found = diff(unets.get("unet-1.0.0-torch"), made, workers)
    assert found.begins is not None
    assert found.begins.layer == "motion_x"
    apart = {row.layer for row in found.layers if not row.passed}
    assert apart == {"motion_x", "change_0", "change_1", OUTPUT}
    assert [row.name for row in found.weights if row.largest] == ["motion_x/bias"]


def test_two_backends_of_keras_are_compared_after_every_layer(unets, workers):
    jobs = (ExportJob("unet-1.0.0-torch", f"keras-{name}") for name in ("tensorflow", "torch"))
    one, other = (export(job, unets, workers=workers) for job in jobs)
    found = diff(one, other, workers)
    assert found.passed
    assert {"softmax", "concatenate", *CONVOLUTIONS} <= {row.layer for row in found.layers}
    assert [row.field for row in found.fields] == ["backend"]


# What a match rests on.


def test_layers_are_matched_by_name_and_those_that_a_tool_counted_by_place():
    one = [Layer("conv2d", "Conv2D", named=False), Layer("head", "Dense")]
    counted_on = [Layer("conv2d_4", "Conv2D", named=False), Layer("head", "Dense")]
    assert [there.name for _, there in match(one, counted_on, alike=True)[0]] == ["conv2d_4", "head"]
    assert [here.name for here, _ in match(one, counted_on, alike=False)[0]] == ["head"]
    longer = [Layer("conv2d_9", "Conv2D", named=False), *counted_on, Layer("conv2d", "Conv2D", named=False)]
    assert [here.name for here, _ in match(one, longer, alike=True)[0]] == ["head"], "a counted name means nothing"
    swapped = [Layer("head", "Conv2D"), Layer("x", "Dense")]
    assert match(one, swapped, alike=True)[1] == "" or match(one[1:], swapped, alike=True)[1]
    assert match(one[:1], longer[:1], alike=False) == ([], "no layer of one has the name of a layer of the other")


@pytest.mark.parametrize(
    ("shape", "order"),
    [((2, 3, 4, 5), (0, 3, 1, 2)), ((2, 3, 4, 5, 6), (1, 0, 4, 2, 3)), ((2, 4, 5), (0, 2, 1))],
)
def test_axes_are_turned_to_those_of_the_counterpart(shape, order):
    ours = np.random.default_rng(0).random(shape)
    np.testing.assert_array_equal(aligned(ours.transpose(order), ours), ours)


def test_the_nearest_order_is_taken_where_several_fit():
    ours = np.random.default_rng(0).random((1, 4, 4, 4))
    np.testing.assert_array_equal(aligned(ours.transpose(0, 3, 1, 2), ours), ours)


def test_time_and_batch_may_be_one_axis():
    ours = np.random.default_rng(0).random((2, 3, 4, 5, 6))
    merged = ours.transpose(1, 0, 4, 2, 3).reshape(6, 6, 4, 5)
    np.testing.assert_array_equal(aligned(merged, ours), ours)


def test_weights_without_a_counterpart_are_named():
    a = np.zeros(2, np.float32)
    rows, note = compare_weights({"w": a, "old": a}, {"w": a + np.float32(1)})
    assert [(row.name, row.largest) for row in rows] == [("w", 1.0)]
    assert note == "1 tensors are in one only, such as old in the first"
    assert compare_weights({"w": a}, {"w": np.zeros(3)})[0][0].largest is None


def test_what_cannot_be_compared_has_not_passed():
    assert not Comparison((), (), "", (), "nothing that they compute can be compared: …").passed
