"""The hand-written graph equals the three implementations, at any batch, time and grid."""

from __future__ import annotations

import itertools
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.exporters.converters import convlstm_onnx
from modelstac.exporters.converters.onnx_graph import operators
from modelstac.training.architectures import convlstm_torch
from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.weights import initial_weights

CHANNELS_LAST = ("batch", "time", "height", "width", "variables")
CHANNELS_THIRD = ("batch", "time", "variables", "height", "width")
SHAPES = [(1, 1, 5, 7), (2, 4, 9, 11), (3, 7, 16, 8), (1, 5, 1, 1)]

SPECS = {
    f"{cell}-{recurrent}-{'norm' if norm else 'plain'}": ConvLSTMSpec(
        # Different filters and kernels, one filter count twice, so that shapes are shared and not.
        filters=(4, 3, 4, 5),
        kernels=(5, 3, 3, 1),
        cell_activation=cell,
        recurrent_activation=recurrent,
        batch_norm=norm,
        leaky_slope=0.07,
        frames=frames,
        height=height,
        width=width,
    )
    for (cell, recurrent, norm), (_, frames, height, width) in zip(
        itertools.product(("linear", "tanh", "leaky_relu"), ("sigmoid", "hard_sigmoid"), (True, False)),
        itertools.cycle([(1, 4, 9, 11), (1, 6, 16, 8), (1, 1, 5, 7), (1, 3, 6, 10)]),
        strict=False,
    )
}

# Every activation, at three sizes: Keras is slow to start and to run.
KERAS_SPECS = dict(list(SPECS.items())[n] for n in (0, 6, 11))


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {convlstm_onnx.INPUT: x})[0]


def random_frames(batch, time, height, width):
    return np.random.default_rng(3).random((batch, time, 1, height, width), np.float32)


@pytest.mark.parametrize("case", SPECS)
def test_equals_torch_at_every_size(case, make_weights):
    spec = SPECS[case]
    weights = make_weights(spec)
    net = convlstm_torch.build(spec).eval()
    convlstm_torch.set_weights(net, weights)
    model = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_THIRD)
    convlstm_onnx.check(model)
    for shape in SHAPES:
        x = random_frames(*shape)
        with torch.inference_mode():
            expected = net(torch.from_numpy(x)).numpy()
        assert expected.std() > 1e-3 or expected.size == 5  # a constant network would agree whatever it computes
        np.testing.assert_allclose(run(model, x), expected, rtol=0, atol=1e-6, err_msg=str(shape))


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_equals_keras_with_the_weights_that_keras_gives(backend, tmp_path, make_weights, keras_process):
    given = {}
    for number, (case, spec) in enumerate(KERAS_SPECS.items()):
        given[f"{case}|spec"] = json.dumps(spec.to_dict())
        given[f"{case}|x"] = np.moveaxis(random_frames(1 + number % 3, spec.frames, spec.height, spec.width), 2, -1)
        given.update({f"{case}|weights|{name}": value for name, value in make_weights(spec, number).items()})
    np.savez(tmp_path / "given.npz", **given)
    keras_process.run(backend, tmp_path / "given.npz", tmp_path / "found.npz")
    with np.load(tmp_path / "found.npz") as found:
        assert found["backend"] == backend
        for case, spec in KERAS_SPECS.items():
            prefix = f"{case}|back|"
            weights = {name.removeprefix(prefix): found[name] for name in found.files if name.startswith(prefix)}
            model = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_LAST)
            expected = found[f"{case}|inference"]
            assert expected.std() > 1e-3
            np.testing.assert_allclose(run(model, given[f"{case}|x"]), expected, rtol=0, atol=1e-6, err_msg=case)


def test_both_layouts_and_any_other_give_the_same_numbers(make_weights):
    spec = SPECS["tanh-sigmoid-norm"]
    weights = make_weights(spec)
    x = random_frames(2, 4, 9, 11)
    expected = run(convlstm_onnx.build(spec, weights, dim_order=CHANNELS_THIRD), x)
    for dim_order in (CHANNELS_LAST, ("variables", "time", "batch", "width", "height")):
        axes = [CHANNELS_THIRD.index(name) for name in dim_order]
        model = convlstm_onnx.build(spec, weights, dim_order=dim_order)
        convlstm_onnx.check(model)
        np.testing.assert_array_equal(run(model, x.transpose(axes)), expected.transpose(axes))


def test_the_reference_network_on_a_small_grid(make_weights):
    spec = PRESETS["reference"]
    weights = make_weights(spec)
    net = convlstm_torch.build(spec).eval()
    convlstm_torch.set_weights(net, weights)
    x = random_frames(1, 4, 12, 10)
    with torch.inference_mode():
        expected = net(torch.from_numpy(x)).numpy()
    assert expected.std() > 1e-3
    model = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_THIRD)
    np.testing.assert_allclose(run(model, x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", SPECS)
def test_is_compact_and_self_contained(case, make_weights):
    spec = SPECS[case]
    model = convlstm_onnx.build(spec, make_weights(spec), dim_order=CHANNELS_LAST)
    assert len(model.graph.node) <= 60
    scans = [node for node in model.graph.node if node.op_type == "Scan"]
    bodies = [attribute.g for node in scans for attribute in node.attribute if attribute.name == "body"]
    assert len(bodies) == spec.layers
    for layer, body in enumerate(bodies):
        # A step has two convolutions, whose kernels lie where the runtime packs them once.
        assert [node.op_type for node in body.node].count("Conv") == 2
        held = {tensor.name for tensor in body.initializer}
        assert {f"convlstm_{layer}/{part}" for part in ("kernel", "recurrent_kernel", "bias")} <= held
    tensors = [tensor for graph in (model.graph, *bodies) for tensor in graph.initializer]
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in tensors)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", convlstm_onnx.OPSET)]


def test_input_and_output_name_every_dimension(make_weights):
    spec = SPECS["tanh-sigmoid-norm"]
    model = convlstm_onnx.build(spec, make_weights(spec), dim_order=CHANNELS_LAST)
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == ["batch", "time", "height", "width", 1]


@pytest.mark.parametrize("case", SPECS)
def test_weights_come_back_unchanged_from_the_file(case, tmp_path, make_weights):
    spec = SPECS[case]
    weights = make_weights(spec)
    onnx.save(convlstm_onnx.build(spec, weights, dim_order=CHANNELS_LAST), tmp_path / "model.onnx")
    spec_back, back = convlstm_onnx.read(onnx.load(tmp_path / "model.onnx"))
    assert spec_back == spec
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


@pytest.mark.parametrize("case", SPECS)
def test_unrolled_it_is_the_same_at_a_fixed_number_of_frames(case, make_weights):
    spec = SPECS[case]
    weights = make_weights(spec)
    for frames in (1, 4):
        model = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_THIRD, unroll=frames)
        convlstm_onnx.check(model)
        assert "Scan" not in operators(model.graph)
        assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == frames
        x = random_frames(2, frames, 9, 11)
        loop = convlstm_onnx.build(spec, weights, dim_order=CHANNELS_THIRD)
        np.testing.assert_allclose(run(model, x), run(loop, x), rtol=0, atol=1e-6)
    assert convlstm_onnx.read(model)[0] == spec
    assert all(np.array_equal(back, weights[name]) for name, back in convlstm_onnx.read(model)[1].items())


def test_another_graph_cannot_be_read_back():
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    other = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]), producer_name="pytorch")
    with pytest.raises(ConversionError, match="written by pytorch"):
        convlstm_onnx.read(other)


def test_a_graph_without_one_of_its_weights_cannot_be_read_back(make_weights):
    spec = SPECS["tanh-sigmoid-norm"]
    model = convlstm_onnx.build(spec, make_weights(spec), dim_order=CHANNELS_LAST)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "output/bias"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(ConversionError, match="lack 'output/bias'"):
        convlstm_onnx.read(model)
    with pytest.raises(ConversionError, match=r"invalid: .*output/bias"):
        convlstm_onnx.check(model)


def test_refuses_what_does_not_fit():
    spec = SPECS["tanh-sigmoid-norm"]
    weights = initial_weights(spec, 0)
    with pytest.raises(SpecError, match="batch, time"):
        convlstm_onnx.build(spec, weights, dim_order=("batch", "time", "channel", "height", "width"))
    del weights["norm_1/beta"]
    with pytest.raises(SpecError, match="lack 'norm_1/beta'"):
        convlstm_onnx.build(spec, weights, dim_order=CHANNELS_LAST)
