"""Every route of the thesis and more with the layers and filters of the ``reference`` preset, on a small grid.

``python -m benchmarks routes``: three sources with the same weights, each converted to every format, the thesis's
routes through ONNX besides, all compared by the export jobs that users run. Ends with an error if a route fails.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from modelstac.catalog import Catalog, open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.layouts import CHANNELS_THIRD
from modelstac.exporters.routes import NODES
from modelstac.exporters.workers import Workers
from modelstac.report import Table
from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.weights import initial_weights

SPEC = dataclasses.replace(PRESETS["reference"], frames=3, height=12, width=10)
NAME = "reference-1.0.0-"
SOURCES = {"torch": "torch", "keras-tensorflow": "keras-tensorflow-from-torch", "keras-torch": "keras-torch-from-torch"}
THROUGH = [
    ("keras-torch", "saved-model", "onnx"),
    ("keras-torch", "torch", "onnx"),
    ("torch", "saved-model", "onnx"),
    ("keras-tensorflow", "onnx", "saved-model"),
]
HEADS = ("route", "difference", "relative", "seconds", "kB", "verdict")


def publish_source(catalog: Catalog, folder: Path, spec: ConvLSTMSpec = SPEC) -> None:
    """Publish the network in PyTorch, with weights that move its output."""
    import torch
    from safetensors.torch import save_file

    from modelstac.catalog.items.versions import semver
    from modelstac.training.architectures import convlstm_torch

    weights = initial_weights(spec, 0)
    weights["output/kernel"] *= 1000  # untrained, the network hardly moves its output
    net = convlstm_torch.build(spec)
    convlstm_torch.set_weights(net, weights)
    save_file(net.state_dict(), folder / "model.safetensors")
    layout = {"shape": (-1, -1, 1, -1, -1), "dim_order": CHANNELS_THIRD, "data_type": "float32"}
    rain = ("rainfall_rate",)
    description = ModelDescription(
        name="reference",
        version="1.0.0",
        variant="torch",
        title="The reference network",
        description="The layers and filters of Giese (2025), untrained.",
        license="MIT",
        geometry={"type": "Point", "coordinates": [5.2, 52.1]},
        start=datetime(2010, 8, 26, tzinfo=UTC),
        end=datetime(2010, 8, 26, tzinfo=UTC),
        format="torch",
        framework_version=semver(str(torch.__version__)),
        architecture="ConvLSTM",
        tasks=("regression",),
        inputs=(ModelInput(name="frames", variables=rain, input=InputStructure(**layout)),),
        outputs=(
            ModelOutput(name="forecast", variables=rain, tasks=("regression",), result=ResultStructure(**layout)),
        ),
        hyperparameters={"architecture": spec.to_dict()},
        parameters=spec.parameters,
        entrypoint="modelstac.training.architectures.convlstm_torch:build",
        cube_dimensions={"time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", None]}},
        cube_variables={"rainfall_rate": {"dimensions": ["time"], "type": "data", "unit": "mm h-1"}},
        artifact=folder / "model.safetensors",
    )
    catalog.publish(write_item(description))


def jobs() -> Iterator[ExportJob]:
    """Yield every job, those that make the Keras sources first."""
    for source, variant in SOURCES.items():
        for target in NODES:
            if target != source:
                yield ExportJob(NAME + variant, target)
    for source, target, via in THROUGH:
        yield ExportJob(NAME + SOURCES[source], target, via=via)
    for precision in ("fp16", "int8"):
        yield ExportJob(NAME + "torch", precision=precision)
    yield ExportJob(NAME + "torch", options={"unroll": SPEC.frames})


def run(job: ExportJob, catalog: Catalog, workers: Workers) -> tuple[str, ...]:
    """Run one job and give its row."""
    steps = [job.source.removeprefix(NAME), *([job.via] if job.via else []), job.target]
    extra = "" if job.precision == "fp32" else f", {job.precision}"
    title = " → ".join(steps) + extra + (", unrolled" if job.options else "")
    try:
        found = read_item(export(job, catalog, workers=workers))
    except ModelStacError as error:
        return (title, "–", "–", "–", "–", f"FAILED: {error}")
    assert found.parity is not None
    assert found.timing is not None
    return (
        title,
        f"{found.parity.max_absolute_difference:.1e}",
        f"{found.parity.max_relative_difference:.1e}",
        f"{found.timing.conversion_seconds:.2f}",
        f"{(found.size or 0) / 1000:,.0f}",
        f"within {found.parity.absolute_tolerance:.0e}",
    )


def main() -> None:
    caption = f"{SPEC.parameters:,} parameters; {SPEC.frames} frames of {SPEC.height} x {SPEC.width}"
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name, Workers() as workers:
        catalog = open_catalog(Path(name) / "catalog", create=True)
        publish_source(catalog, Path(name))
        rows = []
        for job in jobs():
            rows.append(run(job, catalog, workers))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    print(f"\nEvery route at the depth and filters of the reference preset: {caption}\n")
    print(Table("Routes", caption, HEADS, rows).to_text())
    if failed := sum(row[-1].startswith("FAILED") for row in rows):
        sys.exit(f"{failed} of {len(rows)} routes failed")


if __name__ == "__main__":
    main()
