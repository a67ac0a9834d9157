"""An export job publishes a proven conversion once, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import (
    ConversionError,
    IntegrityError,
    ItemExistsError,
    NotFoundError,
    ParityError,
    SpecError,
)
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import validate
from modelstac.catalog.messages import Note
from modelstac.exporters.converters import convlstm_onnx, to_onnx
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.routes import ROUTES, Edge
from modelstac.registry.loading import load

EXPORTED = "rain-1.0.0-onnx-from-torch"


@pytest.fixture
def catalog(tmp_path, sources):
    found = open_catalog(tmp_path / "catalog", create=True)
    sources.publish_torch(found, tmp_path)
    return found


@pytest.fixture
def job():
    return ExportJob(source="rain-1.0.0-torch")


def files(catalog):
    """Every file of a catalog with its content."""
    root = Path(catalog.href)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def instead(converter):
    """Give routes with this converter from PyTorch to ONNX."""
    return ROUTES.register(Edge("torch", "onnx", converter, architecture="ConvLSTM"), replace=True)


def convert_with(change):
    """Give routes with a converter that does what ours does, and then changes the weights of the graph."""

    def convert(model, folder, options):
        conversion = to_onnx.rebuild(model, folder, options)
        spec, weights = convlstm_onnx.read(onnx.load(conversion.artifact))
        change(weights)
        dim_order = conversion.inputs[0].input.dim_order
        onnx.save(convlstm_onnx.build(spec, weights, dim_order=dim_order), conversion.artifact)
        return conversion

    return instead(convert)


def test_the_item_says_what_it_is_and_where_it_comes_from(catalog, job):
    item = export(job, catalog)
    assert item.id == EXPORTED == catalog.get(EXPORTED).id
    validate(item)
    found = read_item(item)
    assert (found.format, found.framework) == ("onnx", "ONNX")
    assert found.framework_version == onnx.__version__
    assert (found.entrypoint, found.backend, found.scores) == (None, None, None)
    assert found.inputs[0].input.shape == (-1, -1, 1, -1, -1)
    assert found.outputs[0].result.dim_order == ("batch", "time", "variables", "height", "width")
    assert found.hyperparameters["onnx"]["opset"] == 20
    assert [step.tool for step in found.route] == ["modelstac.exporters.converters.convlstm_onnx"]
    assert [source.item_id for source in found.sources] == [job.source]
    assert found.job == job.digest
    assert item.get_links("derived_from")


def test_the_example_is_the_output_of_the_source(catalog, job):
    with load(export(job, catalog)) as model:
        found = model.self_test()
    assert found.passed
    assert found.absolute_tolerance == 1e-5
    assert found.max_absolute > 0  # of the source, and so not what this runtime gives to the last bit


def test_the_parity_report_is_an_asset_and_agrees_with_the_summary(catalog, job):
    windows = np.random.default_rng(1).random((2, 4, 1, 10, 13), np.float32)
    item = export(job, catalog, windows=windows)
    report = json.loads(Path(item.assets["parity"].href).read_text())
    names = [case["case"] for case in report["cases"]]
    assert names[-1] == "real windows"
    for axis in ("time of frames", "height of frames", "width of frames", "batch", "all"):
        assert {f"random, {axis} one step more", f"random, {axis} far"} <= set(names)
    assert len(names) == len(set(names)) == 22
    summary = read_item(item).parity
    assert summary.cases == len(report["cases"])
    assert summary.judged_cases == sum(case["judged"] for case in report["cases"]) >= 18
    assert summary.source == report["source"] == job.source
    assert summary.max_absolute_difference == report["total"]["max_absolute"] <= 1e-5
    assert summary.max_absolute_difference == max(c["max_absolute"] for c in report["cases"] if c["judged"]) > 0
    assert summary.passed is report["passed"] is True


@pytest.mark.usefixtures("_package_index")
def test_it_runs_isolated_with_exactly_the_packages_that_made_it(catalog, job, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "environments"))
    item = export(job, catalog)
    asset = item.assets["requirements"]
    assert asset.extra_fields["file:checksum"].startswith("1220")
    pins = {f"{name}=={version(name)}" for name in ("numpy", "onnxruntime")}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert set(Path(asset.href).read_text().splitlines()) == {f"# python {python}", *pins}
    x = np.random.default_rng(2).random((1, 4, 1, 6, 7), np.float32)
    with load(item, isolated=True) as isolated, load(item) as here:
        assert set(isolated.environment.asked) == pins <= set(isolated.environment.packages)
        assert isolated.environment.python == python
        np.testing.assert_allclose(isolated.predict(x), here.predict(x), rtol=0, atol=1e-7)


def test_the_published_graph_equals_its_source_at_sizes_never_compared(catalog, job):
    export(job, catalog)
    x = np.random.default_rng(2).random((3, 7, 1, 6, 21), np.float32)
    with load(job.source, catalog=catalog) as source, load(EXPORTED, catalog=catalog) as target:
        np.testing.assert_allclose(target.predict(x), source.predict(x), rtol=0, atol=1e-6)


def test_an_unrolled_graph_is_another_item_and_fixes_the_frames(catalog, job):
    looped = read_item(export(job, catalog))
    item = export(dataclasses.replace(job, options={"unroll": 4}), catalog)
    assert item.id == "rain-1.0.0-onnx-unrolled-4-from-torch"
    found = read_item(item)
    assert found.inputs[0].input.shape == (-1, 4, 1, -1, -1)
    assert found.hyperparameters["onnx"]["nodes"] > 60 >= looped.hyperparameters["onnx"]["nodes"]
    assert found.size > looped.size
    reduced = export(dataclasses.replace(job, options={"unroll": 4}, precision="fp16"), catalog)
    assert reduced.id == "rain-1.0.0-onnx-fp16-unrolled-4-from-torch"


def test_a_job_that_ran_before_does_nothing(catalog, job):
    first = export(job, catalog)
    before = files(catalog)

    def never(*_):
        raise AssertionError("converted again")

    heard = []
    again = export(
        ExportJob.from_json(job.to_json()),
        catalog,
        routes=instead(never),
        report=heard.append,
    )
    assert again.to_dict() == first.to_dict()
    assert files(catalog) == before
    assert [message for message in heard if isinstance(message, Note) and EXPORTED in message.text]


@pytest.mark.parametrize(
    ("name", "amount"), [("convlstm_0/recurrent_kernel", 1e-2), ("output/bias", 1e-3), ("norm_0/beta", np.nan)]
)
def test_a_damaged_conversion_is_not_published(catalog, job, workers, name, amount):
    def damage(weights):
        weights[name].flat[0] += amount

    before = files(catalog)
    apart = "by .*" if np.isfinite(amount) else r": \d+ of \d+ values are NaN or infinite in one alone.*"
    match = rf"onnx-from-torch differs from rain-1\.0\.0-torch ?{apart} nothing was published"
    with pytest.raises(ParityError, match=match):
        export(job, catalog, routes=convert_with(damage), workers=workers)
    assert files(catalog) == before
    assert catalog.find(EXPORTED) is None
    assert export(job, catalog).id == EXPORTED


def test_a_harmless_change_of_the_same_kind_is_published(catalog, job):
    """The damage above is found because it is large enough, not because the converter is another one."""

    def nudge(weights):
        weights["output/bias"] += 1.2e-5

    parity = read_item(export(job, catalog, routes=convert_with(nudge))).parity
    assert 2e-6 < parity.max_absolute_difference <= 1e-5


def test_a_converter_that_fails_leaves_nothing(catalog, job, workers):
    def fail(model, folder, options):
        (folder / "model.onnx").write_bytes(b"half")
        raise ConversionError("no")

    before = files(catalog)
    with pytest.raises(ConversionError, match="no"):
        export(job, catalog, routes=instead(fail), workers=workers)
    assert files(catalog) == before


def test_warnings_of_the_tools_are_part_of_the_route(catalog, job):
    def convert(model, folder, options):
        import warnings

        warnings.warn("fell back to the old exporter", UserWarning, stacklevel=1)
        return to_onnx.rebuild(model, folder, options)

    item = export(job, catalog, routes=instead(convert))
    assert read_item(item).route[-1].warnings == ("UserWarning: fell back to the old exporter",)


def test_another_job_for_the_same_item_is_refused(catalog, job):
    export(job, catalog)
    before = files(catalog)
    with pytest.raises(ItemExistsError, match="made by another job"):
        export(dataclasses.replace(job, seed=1), catalog)
    assert files(catalog) == before


def test_a_source_that_was_tampered_with_is_not_converted(catalog, job):
    artifact = Path(catalog.get(job.source).assets["model"].href)
    content = bytearray(artifact.read_bytes())
    content[-1] ^= 1
    artifact.chmod(0o644)
    artifact.write_bytes(content)
    with pytest.raises(IntegrityError):
        export(job, catalog)
    assert catalog.find(EXPORTED) is None


def test_what_cannot_be_converted_is_refused_in_one_line(catalog, job, tmp_path, sources):
    sources.publish_torch(catalog, tmp_path, name="other", architecture="ResNet")
    for wrong, error, message in [
        (ExportJob(source="rain-1.0.0-torhc"), NotFoundError, "rain-1.0.0-torch"),
        (
            ExportJob("other-1.0.0-torch", "saved-model"),
            ConversionError,
            "ResNet: it can become torch-export",
        ),
        (ExportJob(source=job.source, target="torch"), ConversionError, "is torch already"),
        (ExportJob(source=job.source, options={"depth": 6}), SpecError, "no option 'depth'"),
        (ExportJob(source=job.source, options={"unroll": 0}), SpecError, "positive number of frames, not 0"),
        (ExportJob(source=job.source, target="litert", options={"unroll": 6}), SpecError, "no option 'unroll'"),
    ]:
        with pytest.raises(error, match=message) as caught:
            export(wrong, catalog)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_keras_on_either_backend_is_exported_and_a_lie_is_found(backend, tmp_path, sources, keras_process):
    printed = keras_process.run(backend, tmp_path / "catalog", program=Path(sources.__file__))
    found = json.loads(printed.splitlines()[-1])
    exported = f"rain-1.0.0-onnx-from-keras-{backend}"
    assert found[f"rain-1.0.0-keras-{backend}"] == exported
    assert found[f"liar-1.0.0-keras-{backend}"].startswith("ParityError: ")
    refused = f"InvalidItemError: item 'liar-1.0.0-keras-{backend}' states a ConvLSTM that its file is not: "
    assert found.pop("liar by a tool").startswith(refused)
    catalog = open_catalog(tmp_path / "catalog")
    assert sorted(catalog.ids()) == sorted([*found, exported])
    item = catalog.get(exported)
    assert isinstance(item, pystac.Item)
    description = read_item(item)
    assert description.parity.passed
    assert description.parity.max_absolute_difference <= 1e-5
    assert description.inputs[0].input.shape == (-1, -1, -1, -1, 1)
    with load(exported, catalog=catalog) as model:
        assert model.predict(np.zeros((2, 3, 5, 6, 1), np.float32)).shape == (2, 3, 5, 6, 1)


def test_a_job_is_its_json(job):
    again = ExportJob.from_json(job.to_json())
    assert again == job
    assert again.digest == job.digest
    digests = {job.digest, dataclasses.replace(job, seed=1).digest, dataclasses.replace(job, options={"a": 1}).digest}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSON object"),
        ("[]", "known fields: source"),
        ("{}", "known fields: source"),
        ('{"source": "a", "sed": 1}', "no field 'sed'"),
        ('{"source": ""}', "by item id"),
        ('{"source": "a", "target": "onxx"}', "unknown format 'onxx'"),
        ('{"source": "a", "precision": "fp33"}', "unknown precision"),
        ('{"source": "a", "precision": "int8", "target": "litert"}', "of ONNX graphs only"),
        ('{"source": "a", "data": 3}', "folder of radar frames"),
        ('{"source": "a", "seed": -1}', "seed"),
        ('{"source": "a", "options": 3}', "options"),
    ],
)
def test_a_job_without_sense_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        ExportJob.from_json(text)


def test_the_table_of_converters_is_frozen_and_guards_its_entries():
    with pytest.raises(SpecError, match="already"):
        ROUTES.register(Edge("torch", "onnx", to_onnx.rebuild, architecture="ConvLSTM"))
    edge = Edge("litert", "onnx", to_onnx.rebuild)
    assert edge in ROUTES.register(edge)
    assert edge not in ROUTES
    with pytest.raises(SpecError, match="unknown format 'pickle'"):
        ROUTES.register(Edge("litert", "pickle", to_onnx.rebuild))
