"""Models of several inputs and outputs are proved output by output before they are published."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import openvino
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ConversionError, DataError, InvalidItemError, NotFoundError, ParityError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.sizes import BY_DATA, Size
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Note
from modelstac.cli import main
from modelstac.exporters.converters import to_openvino
from modelstac.exporters.converters.programs import onnx as torch_to_onnx
from modelstac.exporters.diff import diff
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.layers import OUTPUT
from modelstac.exporters.routes import ROUTES, Edge
from modelstac.exporters.workers import read_arrays, write_arrays
from modelstac.registry.loading import load
from modelstac.registry.running.examples import example_keys, read_example

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what PyTorch's tracer calls speaks of its own future
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
HALO = {"s1:0": {"height": 3, "width": 3}, "class": {"height": 3, "width": "global"}}


@pytest.fixture(scope="module")
def several():
    import importlib.util

    path = Path(__file__).with_name("proved_models.py")
    spec = importlib.util.spec_from_file_location("proved_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.networks()


@pytest.fixture(scope="module")
def published(several, tmp_path_factory):
    """A catalog of the networks in PyTorch."""
    folder = tmp_path_factory.mktemp("torch")
    catalog = open_catalog(folder / "catalog", create=True)
    several.publish_torch(catalog, folder)
    odd = read_item(catalog.get("odd-1.0.0-torch-export"))
    catalog.publish(write_item(odd.model_copy(update={"version": "2.0.0", "halo": HALO})))
    return catalog


@pytest.fixture(scope="module")
def exported(published, workers):
    """The same as ONNX, proved."""
    names = ("join-1.0.0", "split-1.0.0", "odd-2.0.0")
    return {name: export(ExportJob(f"{name}-torch-export", "onnx"), published, workers=workers) for name in names}


def instead(convert, source="torch-export", target="onnx"):
    return ROUTES.register(Edge(source, target, convert, packages=("onnxscript",)), replace=True)


def test_parity_is_measured_for_each_output_and_summarised_by_the_worst(exported):
    item = exported["split-1.0.0"]
    validate(item)
    schema = json.loads(files("modelstac.catalog.items.schemas").joinpath("interop.json").read_bytes())
    jsonschema.validate(item.to_dict(transform_hrefs=False), schema)
    parity = read_item(item).parity
    assert list(parity.outputs) == ["mask", "height_m", "above"]
    height, mask, above = (parity.outputs[name] for name in ("height_m", "mask", "above"))
    assert 0 < height.max_absolute_difference == parity.max_absolute_difference
    assert (height.differing_ppm, parity.differing_ppm_tolerance) == (None, 100)
    assert parity.differing_ppm == max(mask.differing_ppm, above.differing_ppm) <= 100
    assert mask.values == above.values == height.values > 5_000
    report = json.loads(Path(item.assets["parity"].href).read_text())
    assert list(report["outputs"]) == list(parity.outputs)
    assert report["outputs"]["mask"]["total"]["differing_ppm"] == mask.differing_ppm


def test_every_open_axis_is_tried_alone_and_with_all_others(exported):
    report = json.loads(Path(exported["join-1.0.0"].assets["parity"].href).read_text())
    shapes = {case["case"]: case["shapes"] for case in report["cases"]}
    # Radar has twice the resolution, and grows with the optical images.
    assert shapes["random, least"] == {"s2": [1, 3, 1, 1], "s1": [1, 2, 2, 2], "orbit": [1], "clear": [1, 1, 2, 2]}
    assert shapes["random, height far"]["s1"] == [1, 2, 74, 2]
    assert shapes["random, width one step more"]["clear"] == [1, 1, 2, 4]
    assert shapes["random, all far"]["s2"][2:] == [37, 37]
    assert {shape[0] for shape in shapes["random, batch far"].values()} == {6}


def test_sizes_and_halo_of_the_source_go_with_what_was_proved_equal(exported, published):
    found, source = read_item(exported["odd-2.0.0"]), read_item(published.get("odd-2.0.0-torch-export"))
    assert found.halo == HALO
    for name, axes in source.sizes.items():
        assert found.sizes[name] == axes | {"batch": Size()}
    assert found.closed == {}
    timing = found.timing
    assert timing.shapes == {"s1:0": (1, 2, 24, 20), "class": (1, 2, 24, 20)}
    assert timing.shape == timing.shapes["s1:0"]


def test_real_data_are_given_by_name(published, workers):
    rng = np.random.default_rng(1)
    windows = {name: rng.random((3, 2, 8, 12), np.float32) for name in ("s1:0", "class")}
    job = ExportJob("odd-1.0.0-torch-export", "openvino")
    with pytest.raises(DataError, match="real windows has no 'class', which the model takes"):
        export(job, published, windows={"s1:0": windows["s1:0"]}, workers=workers)
    report = json.loads(
        Path(export(job, published, windows=windows, workers=workers).assets["parity"].href).read_text()
    )
    assert report["cases"][-1]["case"] == "real windows"
    assert report["outputs"]["2m"]["cases"][-1]["values"] == 3 * 8 * 12


def test_sizes_that_nobody_stated_are_measured_and_published(published, workers):
    odd = read_item(published.get("odd-1.0.0-torch-export"))
    unknown = published.publish(write_item(odd.model_copy(update={"version": "3.0.0", "sizes": {}})))
    found = read_item(export(ExportJob(unknown.id, "onnx"), published, workers=workers))
    assert found.sizes["s1:0"]["height"].step == 4
    assert found.sizes["class"]["width"].at_least == 4


def test_the_example_has_a_file_for_each_tensor_and_is_replayed(exported):
    item = exported["odd-2.0.0"]
    keys = {key for key in item.assets if key.startswith("example")}
    outputs = {"example-output-vegetation-segmentation", "example-output-2m"}
    assert keys == {"example-input-s1-0", "example-input-class"} | outputs
    inputs, outputs = read_example(item)
    assert list(inputs) == ["s1:0", "class"]
    with load(item) as model:
        found = model.self_test()
        assert found.passed
        assert found.output in found.outputs.keys() == {"vegetation-segmentation", "2m"}
        assert f"in {found.output!r}, the worst of 2 outputs" in str(found)
        shown = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert shown["outputs"]["2m"]["shape"] == [1, 1, 24, 20]
        card = model.card()
    assert "s1:0: float32 (batch any, channel 2, height from 4 in steps of 4, width" in card
    assert "vegetation-segmentation: at most " in card
    assert "asset           example-input-class: " in card


def test_an_example_of_labels_that_are_others_fails(exported, published, tmp_path):
    item = published.get(exported["split-1.0.0"].id)
    path = tmp_path / "mask.npy"
    np.save(path, np.load(item.assets["example-output-mask"].href) + 1)
    description = read_item(item)
    changed = {
        "example-output-mask": description.assets["example-output-mask"].model_copy(
            update={"path": path, "checksum": None, "size": None}
        )
    }
    item = write_item(description.model_copy(update={"assets": {**description.assets, **changed}}))
    with load(item) as model:
        found = model.self_test()
    assert not found.passed
    assert (found.output, found.differing_ppm, found.max_absolute) == ("mask", 1e6, 1)
    assert "FAILED, the example differs in 'mask', the worst of 3 outputs, in 1000000 of a million" in str(found)


def test_names_that_are_no_file_names_have_assets_all_the_same():
    keys = example_keys("example-input", ["a/b", "a b", "../..", "Å", "x", "X", "s1:0"])
    assert list(keys.values()) == [
        *("example-input-1", "example-input-2", "example-input-3", "example-input-4"),
        *("example-input-5", "example-input-6", "example-input-s1-0"),
    ]
    assert example_keys("example-input", ["s1:0"]) == {"s1:0": "example-input"}


def test_an_example_that_lacks_all_outputs_is_none(exported):
    item = exported["odd-2.0.0"].clone()
    for key in ("example-output-2m", "example-output-vegetation-segmentation"):
        del item.assets[key]
    with pytest.raises(NotFoundError, match="without an example"):
        read_example(item)


def test_a_converter_that_exchanges_two_outputs_is_found(published, workers):
    def exchanged(model, folder, options):
        made = torch_to_onnx.convert(model, folder, options)
        graph = onnx.load(made.artifact)
        first, second = (output.name for output in graph.graph.output)
        swap = {first: second, second: first}
        for node in graph.graph.node:
            node.output[:] = [swap.get(name, name) for name in node.output]
        onnx.save(graph, made.artifact)
        return made

    before = sorted(published.ids())
    with pytest.raises(ParityError, match=r"differs from odd-1.*of '(2m|vegetation-segmentation)' in the case"):
        export(ExportJob("odd-1.0.0-torch-export", "onnx"), published, routes=instead(exchanged), workers=workers)
    assert sorted(published.ids()) == before


def test_a_converter_that_renames_or_reorders_is_refused(published, workers):
    def convert(change):
        def converter(model, folder, options):
            made = torch_to_onnx.convert(model, folder, options)
            return dataclasses.replace(made, outputs=change(made.outputs))

        return instead(converter)

    job = ExportJob("odd-1.0.0-torch-export", "onnx")
    with pytest.raises(ConversionError, match="has the outputs 2m, vegetation-segmentation, its source vegetation-seg"):
        export(job, published, routes=convert(lambda outputs: outputs[::-1]), workers=workers)
    renamed = convert(lambda outputs: (outputs[0].model_copy(update={"name": "z"}), outputs[1]))
    with pytest.raises((ConversionError, InvalidItemError), match=r"outputs vegetation-segmentation, 2m, .* z, 2m"):
        export(job, published, routes=renamed, workers=workers)


# Axes that are closed.


def fixing(made, lengths, *, admitted):
    """Fix axes of all inputs of an ONNX file, and say so or not."""
    graph = onnx.load(made.artifact)
    for entry, value in zip(made.inputs, graph.graph.input, strict=True):
        for axis, dim in zip(entry.input.dim_order, value.type.tensor_type.shape.dim, strict=True):
            if axis in lengths:
                dim.dim_value = lengths[axis]
    onnx.save(graph, made.artifact)
    if not admitted:
        return made
    inputs = tuple(
        entry.model_copy(
            update={
                "input": entry.input.model_copy(
                    update={
                        "shape": tuple(
                            lengths.get(axis, length)
                            for axis, length in zip(entry.input.dim_order, entry.input.shape, strict=True)
                        )
                    }
                )
            }
        )
        for entry in made.inputs
    )
    return dataclasses.replace(made, inputs=inputs)


def test_an_axis_that_is_closed_in_silence_is_refused(published, workers):
    job = ExportJob("odd-1.0.0-torch-export", "onnx")
    for admitted, message in (
        (True, "batch 2 of .* only.*--fixed"),
        (False, "takes batch 2 of 's1:0' only and says it takes any"),
    ):
        routes = instead(
            lambda model, folder, options, admitted=admitted: fixing(
                torch_to_onnx.convert(model, folder, options), {"batch": 2}, admitted=admitted
            )
        )
        with pytest.raises(ConversionError, match=message) as caught:
            export(job, published, routes=routes, workers=workers)
        assert "\n" not in str(caught.value)


def test_an_axis_is_closed_where_it_was_asked_for_and_the_item_says_so(published, workers):
    routes = instead(
        lambda model, folder, options: fixing(torch_to_onnx.convert(model, folder, {}), {"batch": 2}, admitted=True)
    )
    heard = []
    job = ExportJob("odd-1.0.0-torch-export", "onnx", options={"fixed": {"batch": 2}})
    item = export(job, published, routes=routes, report=heard.append, workers=workers)
    validate(item)
    assert item.id == "odd-1.0.0-onnx-fixed-batch-2-from-torch-export"
    assert item.properties["interop:closed"] == {"s1:0": {"batch": 2}, "class": {"batch": 2}}
    found = read_item(item)
    assert found.closed == item.properties["interop:closed"]
    assert "batch" not in found.sizes["class"]
    assert found.sizes["class"]["height"] == Size(4, 4, symbol="height")
    said = [message.text for message in heard if isinstance(message, Note)]
    assert f"{item.id} takes batch 2 of 's1:0', batch 2 of 'class' only, which its source leaves open" in said


def test_what_leaves_an_axis_open_that_was_to_be_fixed_is_refused(published, workers):
    job = ExportJob("split-1.0.0-torch-export", "onnx", options={"fixed": {"batch": 2}})
    with pytest.raises(ConversionError, match=r"was to take batch 2 of .* only, and its file takes other lengths, too"):
        export(job, published, workers=workers)
    assert not any(item_id.startswith("split-1.0.0-onnx-fixed") for item_id in published.ids())


def test_the_command_line_passes_what_may_be_fixed_and_prints_each_output(published):
    command = ["export", "split-1.0.0-torch-export", "--to", "openvino", "--catalog", published.href]
    wrong = CliRunner().invoke(main, [*command, "--fixed", "batch"])
    assert wrong.exit_code == 2
    assert "maps axes to lengths, such as time=6,batch=2, not 'batch'" in wrong.output
    none = CliRunner().invoke(main, [*command, "--fixed", "depth=3"])
    assert none.exit_code != 0
    assert "no axis 'depth' to fix" in none.output
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "  mask: 0 of a million values differ" in done.output.splitlines()
    assert any(line.startswith("  height_m: at most ") for line in done.output.splitlines())
    replayed = CliRunner().invoke(main, ["test", "split-1.0.0-openvino-from-torch-export", "--catalog", published.href])
    assert replayed.exit_code == 0, replayed.output
    assert "the worst of 3 outputs" in replayed.output


# Where two differ, by output.


def test_outputs_are_compared_one_by_one_after_the_layers(exported, published, workers):
    found = diff(published.get("odd-2.0.0-torch-export"), exported["odd-2.0.0"], workers)
    split = diff(published.get("split-1.0.0-torch-export"), exported["split-1.0.0"], workers)
    assert found.passed
    outputs = [row for row in found.layers if row.is_output]
    assert [row.layer for row in outputs] == [f"{OUTPUT}, vegetation-segmentation", f"{OUTPUT}, 2m"]
    assert {"first", "second", "a", "b"} <= {row.layer for row in found.layers}
    assert {row.layer: row.differing_ppm for row in split.layers if row.is_output}[f"{OUTPUT}, mask"] == 0


def test_arrays_go_to_another_process_by_name_and_in_order(tmp_path):
    arrays = {"s1:0": np.arange(3), "a/b": np.ones((2, 2), bool), "x": np.float32(1)}
    names = write_arrays(tmp_path / "given.npz", arrays)
    found = read_arrays(tmp_path / "given.npz", names)
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], arrays[name]) and found[name].dtype == arrays[name].dtype for name in names)
    np.savez(tmp_path / "pickled.npz", **{"0": np.array([print], object)})
    with pytest.raises(ValueError, match="pickle"):
        read_arrays(tmp_path / "pickled.npz", ["x"])


# A detector, whose boxes are as many as the data have.


@pytest.fixture
def detector(several, tmp_path):
    """A detector of bright pixels as ONNX: where they are, how bright, and the brightness of all."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["h", "w"])]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.INT64, ["n", 2]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 1]),
    ]
    nodes = [
        helper.make_node("Greater", ["x", "least"], ["bright"]),
        helper.make_node("NonZero", ["bright"], ["places"]),
        helper.make_node("Transpose", ["places"], ["boxes"], perm=[1, 0]),
        helper.make_node("GatherND", ["x", "boxes"], ["scores"]),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
    ]
    least = onnx.numpy_helper.from_array(np.float32(0.9), "least")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [least])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "d.onnx")
    known = several.describe("split", tmp_path / "d.onnx", "onnx", channels_last=False)
    results = {"boxes": ((-1, 2), ("box", "corner"), "int64"), "scores": ((-1,), ("box",), "float32")}
    results["mean"] = ((1, 1), ("row", "column"), "float32")
    description = ModelDescription(
        **{name: getattr(known, name) for name in ModelDescription.model_fields}
        | {
            "name": "detector",
            "inputs": (ModelInput(name="x", input=InputStructure.of((-1, -1), ("height", "width"), "float32")),),
            "outputs": tuple(
                ModelOutput(name=name, tasks=("object-detection",), result=ResultStructure.of(*layout))
                for name, layout in results.items()
            ),
            "sizes": {"x": {"height": Size(), "width": Size()}, "boxes": {"box": BY_DATA}, "scores": {"box": BY_DATA}},
        }
    )
    catalog = open_catalog(tmp_path / "catalog", create=True)
    return catalog, catalog.publish(write_item(description))


def test_a_detector_is_converted_and_its_boxes_are_compared(detector, workers):
    catalog, source = detector
    item = export(ExportJob(source.id, "openvino"), catalog, workers=workers)
    found = read_item(item)
    assert found.sizes["boxes"] == {"box": BY_DATA}
    assert found.parity.outputs["boxes"].differing_ppm == 0
    assert found.parity.outputs["scores"].values > 100
    report = json.loads(Path(item.assets["parity"].href).read_text())
    by_case = {case["case"]: case["values"] for case in report["outputs"]["boxes"]["cases"]}
    assert by_case["zeros"] == 0
    with load(item) as model:
        assert model.self_test().passed
        assert [len(array) for array in model.predict(np.zeros((4, 5), np.float32)).values()] == [0, 0, 1]


def test_a_detector_that_finds_others_is_refused_in_one_line(detector, workers):
    catalog, source = detector

    def duller(model, folder, _):
        graph = onnx.load_from_string(Path(source.assets["model"].href).read_bytes())
        graph.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.float32(0.8), "least"))
        read = openvino.Core().read_model(graph.SerializeToString())
        return to_openvino.written(model, read, folder, {}, tool="openvino.Core.read_model")

    with pytest.raises(
        ParityError, match=r"the source gives '(boxes|scores)' with \d+ along 'box' and the conversion"
    ) as caught:
        export(ExportJob(source.id, "openvino"), catalog, routes=instead(duller, "onnx", "openvino"), workers=workers)
    assert "\n" not in str(caught.value)


def test_keras_of_several_inputs_and_outputs_is_proved_in_every_format(several, keras_process, tmp_path):
    program = Path(__file__).with_name("proved_models.py")
    printed = keras_process.run("tensorflow", tmp_path / "catalog", tmp_path, program=program)
    found = json.loads(printed.splitlines()[-1])
    assert {key: result for key, result in found.items() if not result.get("agree")} == {}
    catalog = open_catalog(tmp_path / "catalog")
    for key, result in found.items():
        description = read_item(catalog.get(result["id"]))
        network = key.split()[0]
        names = [name for name, *_ in several.SIGNATURES[network][1]]
        assert [output.name for output in description.outputs] == names
        assert list(description.parity.outputs or {"change": None}) == names
        assert description.parity.passed
        assert description.parity.cases >= 12
