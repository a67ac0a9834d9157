"""The evidence that a conversion is published with: parity, a picture of it, and timings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError, DataError, MissingPackageError
from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Timing
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.messages import Note, Report
from modelstac.exporters.proof.cases import USUAL, Case, make_cases
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.proof.examples import make_example
from modelstac.exporters.proof.parity import compare
from modelstac.exporters.proof.report import ParityReport
from modelstac.exporters.proof.tolerances import Tolerance
from modelstac.exporters.sizes import sized
from modelstac.exporters.workers import RemoteModel, Workers, measured_latency
from modelstac.registry.probing.grids import grids
from modelstac.registry.probing.sizes import measure_sizes
from modelstac.registry.running.examples import Example, write_example
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Arrays, Signature

PARITY_ASSET, PICTURE_ASSET = "parity", "parity-picture"
TURNS = 3


@dataclass(frozen=True)
class Proof:
    """What was measured of a conversion.

    Parameters
    ----------
    parity, picture
        How far it is from its source, and a picture of that.
    example
        To be published with it.
    latencies, shapes
        Of source and result in seconds, for inputs of these shapes.
    sizes
        Lengths of its open axes: those of the source, on which both were compared.
    halo
        That of the source, which computes the same on all grids that were compared.
    names
        What it calls the outputs of its source.
    """

    parity: ParityReport
    picture: bytes | None
    example: Example
    latencies: tuple[float, float]
    shapes: dict[str, tuple[int, ...]]
    sizes: dict[str, dict[str, Size]]
    halo: dict[str, dict[str, Any]] | None
    names: dict[str, str]


def prove(
    source: pystac.Item,
    converted: pystac.Item,
    workers: Workers,
    *,
    windows: Sequence[Case],
    tolerance: Tolerance,
    seed: int,
    report: Report,
) -> Proof:
    """Compare the source with the file as anybody will load it: by the registry, in the runtime of its format.

    Raises
    ------
    ConversionError
        When the two cannot be compared.
    DataError
        When they do not take the windows.
    """
    with workers.open(source, report=report) as model, workers.open(converted, report=report) as result:
        sides = Counterparts.of(model.signature, result.signature)
        known = sized(model, report=report)
        takes = _taken(converted, result, known, workers, report)
        cases = make_cases(known, takes, seed=seed, windows=windows)
        parity = compare(model, result, cases=cases, tolerance=tolerance, report=report)
        timed = next(case for case in cases if case.name == USUAL)
        latencies = _in_turns(model, result, timed.inputs, sides) if parity.passed else (0.0, 0.0)
        example = make_example(source, model, result, cases)
    picture = _picture(parity, report) if parity.passed else None
    names = {ours.name: theirs.name for ours, theirs in sides.outputs}
    sizes, halo = kept_sizes(known, takes), kept_halo(model.description.halo, sides)
    return Proof(parity, picture, example, latencies, timed.shapes, sizes, halo, names)


def failure(item_id: str, source: str, parity: ParityReport) -> str:
    """Say why a conversion is not published."""
    worst, allowed = parity.worst, parity.tolerance
    if worst.note:
        return f"{item_id} differs from {source}: {worst.note}: nothing was published"
    which = f" of {worst.output!r}" if len(parity.outputs) > 1 else ""
    if worst.differing_ppm is not None:
        return (
            f"{item_id} differs from {source} in {worst.differing_ppm:.0f} of a million values{which}, by at most "
            f"{worst.max_absolute:g}, in the case {worst.case!r}, more than {allowed.differing_ppm:.0f}: nothing was "
            "published"
        )
    return (
        f"{item_id} differs from {source} by {worst.max_absolute:.1e} ({worst.max_relative:.1e} of the largest "
        f"value){which} in the case {worst.case!r}, more than {allowed.absolute:.0e} "
        f"({allowed.relative:.0e}): nothing was published"
    )


def with_evidence(
    converted: ModelDescription,
    source: str,
    proof: Proof,
    folder: Path,
    *,
    seconds: float,
    facts: Mapping[str, Any],
) -> ModelDescription:
    """Add parity, its picture, the example and the timings to a description; files are written into a folder."""
    timing = Timing(
        conversion_seconds=seconds,
        latency_seconds=proof.latencies[1],
        source_latency_seconds=proof.latencies[0],
        shape=next(iter(proof.shapes.values())),
        shapes=proof.shapes if len(proof.shapes) > 1 else None,
    )
    content: dict[str, Any] = {"source": source, "target": converted.id, **facts, "seconds": seconds}
    content |= {"timing": timing.to_json()} | proof.parity.to_dict()
    files = [
        (PARITY_ASSET, "parity.json", json.dumps(content, indent=2).encode() + b"\n", "application/json", "metadata")
    ]
    if proof.picture is not None:
        files.append((PICTURE_ASSET, "parity.png", proof.picture, "image/png", "overview"))
    titles = {PARITY_ASSET: "Parity with the source", PICTURE_ASSET: "Difference from the source by lead time"}
    assets = write_example(folder, *proof.example)
    for key, name, data, media_type, role in files:
        path = folder / name
        with explained(f"write {path}"):
            path.write_bytes(data)
        assets[key] = ExtraAsset(path=path, media_type=media_type, roles=(role,), title=titles[key])
    parity = proof.parity.summary(source, proof.names)
    known = {"sizes": proof.sizes, "halo": proof.halo}
    return converted.model_copy(update={"parity": parity, "timing": timing, "assets": assets} | known)


def _taken(
    converted: pystac.Item, result: Model | RemoteModel, source: Signature, workers: Workers, report: Report
) -> Signature:
    """Give the signature of a result with the lengths that it takes.

    Those of its item, unless it fails on the least that the source takes: a tracer may need two steps where the source
    needs one. Then they are measured, and a note says so.
    """
    sides = Counterparts.of(source, result.signature)
    least = next(grids(sides.shared())).shapes
    zeros = {ours.name: np.zeros(least[ours.name], ours.dtype) for ours, _ in sides.inputs}
    try:
        result.run(sides.to_target(zeros))
    except DataError as error:
        bare = converted.clone()
        bare.properties.pop("interop:sizes", None)
        with workers.open(bare, report=report) as unbounded:
            found = measure_sizes(unbounded).signature(unbounded.signature)
        for tensor, measured in zip(result.signature.inputs, found.inputs, strict=True):
            for dim, size in measured.axes.items():
                if size.is_fixed and not tensor.axes[dim].is_fixed:
                    raise ConversionError(
                        f"{converted.id} takes {dim} {size} of {tensor.name!r} only and says it takes any: {error}"
                    ) from error
        inputs = ", ".join(f"{tensor.name} {tensor}" for tensor in found.inputs)
        report(Note(f"{converted.id} takes less than its source, as measured: {inputs}; {error}"))
        return found
    return result.signature


def kept_sizes(source: Signature, target: Signature) -> dict[str, dict[str, Size]]:
    """Give the lengths on which a conversion was proved, of the axes that it leaves open.

    Inputs have the lengths that both take. Outputs have those of the source, as these follow from the inputs.
    """
    sides = Counterparts.of(source, target)
    pairs = [
        *((ours, theirs) for ours, (_, theirs) in zip(sides.shared().inputs, sides.inputs, strict=True)),
        *sides.outputs,
    ]
    found = {
        theirs.name: {
            dim: ours.axes[dim]
            for dim, size in theirs.axes.items()
            if not size.is_fixed and not ours.axes[dim].is_fixed  # the one length that was tried is not the only one
        }
        for ours, theirs in pairs
    }
    return {name: axes for name, axes in found.items() if axes}


def kept_halo(halo: dict[str, dict[str, Any]] | None, sides: Counterparts) -> dict[str, dict[str, Any]] | None:
    """Give the halo of a source to its conversion, by its names of the inputs."""
    names = {ours.name: theirs.name for ours, theirs in sides.inputs}
    return None if halo is None else {names.get(name, name): axes for name, axes in halo.items()}


def _in_turns(
    source: Model | RemoteModel, converted: Model | RemoteModel, inputs: Arrays, sides: Counterparts
) -> tuple[float, float]:
    """Give the median latency of both, timed in turns, so that a busy machine slows both."""
    relaid = sides.to_target(inputs)
    pairs = [
        (measured_latency(source, inputs, runs=1), measured_latency(converted, relaid, runs=1)) for _ in range(TURNS)
    ]
    return float(np.median([a for a, _ in pairs])), float(np.median([b for _, b in pairs]))


def _picture(parity: ParityReport, report: Report) -> bytes | None:
    try:
        from modelstac.exporters.proof.parity_picture import draw_parity
    except MissingPackageError as error:
        report(Note(f"the parity report has no picture: {error}"))
        return None
    return draw_parity(parity)
