"""The evidence that a conversion is published with: parity, a picture of it, and timings."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError, DataError, MissingPackageError, ModelStacError, ParityError
from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Timing
from modelstac.catalog.items.mlm import BAND_AXES, RANGE_FIELD, ModelInput
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.exporters.proof.cases import USUAL, Case, make_cases, usual_inputs, usual_shapes
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.proof.examples import make_example, published_example
from modelstac.exporters.proof.measuring import Difference
from modelstac.exporters.proof.parity import compare
from modelstac.exporters.proof.ranges import Range, Ranges, indices, known_ranges
from modelstac.exporters.proof.report import ParityReport
from modelstac.exporters.proof.tolerances import Tolerance
from modelstac.exporters.sizes import sized
from modelstac.exporters.workers import RemoteModel, Workers, measured_latency
from modelstac.registry.probing.grids import grids
from modelstac.registry.probing.sizes import measure_sizes
from modelstac.registry.running.exact import Exact
from modelstac.registry.running.examples import Example, read_example, write_example
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Arrays, Signature, TensorSignature

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
    ranges
        What its inputs are fed, as ``interop:range`` has it.
    """

    parity: ParityReport
    picture: bytes | None
    example: Example
    latencies: tuple[float, float]
    shapes: dict[str, tuple[int, ...]]
    sizes: dict[str, dict[str, Size]]
    halo: dict[str, dict[str, Any]] | None
    names: dict[str, str]
    ranges: dict[str, list[Any]] = field(default_factory=dict)


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

    The source is what its framework computes on the arrays of each case, not what makes it quick.

    Raises
    ------
    ConversionError
        When the two cannot be compared.
    DataError
        When they do not take the windows.
    ParityError
        When the result is farther from its source than the tolerance. That is known, and no more is run, once a case of
        the usual size or above differs.
    """
    with workers.open(source, report=report) as model, workers.open(converted, report=report) as result:
        sides = Counterparts.of(model.signature, result.signature)
        known = sized(model, report=report)
        takes = _taken(converted, result, known, workers, report)
        fed = ranges_of(model, known, report=report)
        while True:
            real = [*windows, *published_example(model.item, known, takes)]
            cases = make_cases(known, takes, seed=seed, windows=real, ranges=fed, gaps=True)
            settled = partial(_is_settled, _usual(known, takes))
            parity = replace(
                compare(Exact(model), result, cases=cases, tolerance=tolerance, settled=settled, report=report),
                judged_on=judged_on(known, fed),
            )
            larger = None if parity.passed else larger_least(known, takes, parity)
            if larger is None:
                break
            report(Note(f"{converted.id} differs from its source on small grids only: proved on larger ones"))
            known, takes = larger
        if not parity.passed:
            raise ParityError(failure(converted.id, source.id, parity))
        timed = next(case for case in cases if case.name == USUAL)
        latencies = _in_turns(model, result, timed.inputs, sides)
        example = make_example(source, Exact(model), result, cases)
    picture = _picture(parity, report)
    names = {ours.name: theirs.name for ours, theirs in sides.outputs}
    sizes, halo = kept_sizes(known, takes), kept_halo(model.description.halo, sides)
    given = {theirs.name: fed[ours.name].to_json() for ours, theirs in sides.inputs if _is_kept(fed.get(ours.name))}
    return Proof(parity, picture, example, latencies, timed.shapes, sizes, halo, names, given)


def _is_kept(known: Range | None) -> bool:
    """Tell whether a range is to be written into the item of a conversion; classes stand there already."""
    return known is not None and known.stated and not known.classes


def ranges_of(model: Model | RemoteModel, known: Signature, *, report: Report = ignore) -> dict[str, Range]:
    """Say what the inputs of a model are fed; whole numbers of which nothing is known and not all run are 0 and 1.

    Parameters
    ----------
    model
        The source of a conversion.
    known
        Its signature with the lengths that it takes.
    report
        Gets progress, where an example is fetched.
    """
    try:
        example = read_example(model.item, report=report)[0]
    except ModelStacError:
        example = None
    inputs = {one.name: one for one in model.description.inputs}
    fed = known_ranges(model.item, [inputs[t.name] for t in model.signature.inputs if t.name in inputs], example)
    small = [t for t in model.signature.inputs if t.name not in fed and np.dtype(t.dtype).kind in "iu"]
    if small:
        try:
            model.run(usual_inputs(known, known, ranges=fed))
        except DataError:
            fed |= {t.name: indices(t.dim_order) for t in small}
    return fed


def judged_on(signature: Signature, fed: Ranges) -> str:
    """Say which values the judged cases have."""
    return "; ".join(f"{t.name} {fed.get(t.name, 'of unknown range')}" for t in signature.inputs)


def larger_least(known: Signature, takes: Signature, parity: ParityReport) -> tuple[Signature, Signature] | None:
    """Give signatures of larger least lengths where only small grids differ; None where larger ones do, too.

    An encoder of five halvings has maps of one pixel or none there, and each framework its own idea of them.
    """
    usual = _usual(known, takes)
    if parity.passed or any(_is_settled(usual, case) for case in parity.cases):
        return None
    least = {
        name: {dim: length for dim, length in found.items() if dim not in BAND_AXES} for name, found in usual.items()
    }
    sides = Counterparts.of(known, takes)
    lifted = {theirs.name: least[ours.name] for ours, theirs in sides.inputs}
    return _lifted(known, least), _lifted(takes, lifted)


def _usual(known: Signature, takes: Signature) -> dict[str, dict[str, int]]:
    """Give the usual length of each axis; of bands the least, of which none are too few."""
    shared = Counterparts.of(known, takes).shared()
    shapes = usual_shapes(shared)
    return {
        tensor.name: {
            dim: size.at_least if dim in BAND_AXES else length
            for (dim, size), length in zip(tensor.axes.items(), shapes[tensor.name], strict=True)
        }
        for tensor in shared.inputs
    }


def _is_settled(usual: Mapping[str, Mapping[str, int]], case: Difference) -> bool:
    """Tell whether two models are known to be unequal: in this case, and no grid of it is a small one."""
    small = any(_smaller(case.shapes[name], shape) for name, shape in usual.items() if name in case.shapes)
    return case.judged and not case.passed and not small


def _smaller(shape: tuple[int, ...], usual: Mapping[str, int]) -> bool:
    return any(ours < other for ours, other in zip(shape, usual.values(), strict=True))


def _lifted(signature: Signature, least: Mapping[str, Mapping[str, int]]) -> Signature:
    """Raise the least lengths of open axes of inputs, and by as many steps those of outputs that grow with them."""
    steps: dict[str, int] = {}
    for tensor in signature.inputs:
        for dim, size in tensor.axes.items():
            if not size.is_fixed:
                steps[size.symbol or dim] = steps[dim] = size.steps(least[tensor.name].get(dim, size.at_least))

    def raised(tensor: TensorSignature) -> TensorSignature:
        sizes = (
            size
            if size.is_fixed or not size.at_least
            else replace(size, at_least=size.above(steps.get(size.symbol or dim, 0)))
            for dim, size in tensor.axes.items()
        )
        return replace(tensor, sizes=tuple(sizes))

    return Signature(tuple(map(raised, signature.inputs)), tuple(map(raised, signature.outputs)))


def failure(item_id: str, source: str, parity: ParityReport) -> str:
    """Say why a conversion is not published."""
    worst, allowed = parity.worst, parity.tolerance
    which = f" of {worst.output!r}" if len(parity.outputs) > 1 else ""
    if worst.missing:
        return (
            f"{item_id} differs from {source}: {worst.missing} of {worst.values} values{which} are NaN or infinite in "
            f"one alone, in the case {worst.case!r}: nothing was published"
        )
    if worst.note:
        return f"{item_id} differs from {source}: {worst.note}: nothing was published"
    if worst.differing_ppm is not None:
        return (
            f"{item_id} differs from {source} in {worst.differing_ppm:.0f} of a million values{which}, by at most "
            f"{worst.max_absolute:g}, in the case {worst.case!r}, more than {allowed.differing_ppm:.0f}"
            f"{_where(parity)}: nothing was published"
        )
    return (
        f"{item_id} differs from {source} by {worst.max_absolute:.1e} ({worst.max_relative:.1e} of the largest "
        f"value){which} in the case {worst.case!r}, more than {allowed.absolute:.2g} "
        f"({allowed.relative:.2g}){_where(parity)}: nothing was published"
    )


def _where(parity: ParityReport) -> str:
    """Say on which values it was judged, and what to do where nobody said what the model is fed."""
    if parity.judged_on is None:
        return ""
    if "unknown range" in parity.judged_on:
        return "; nothing is known of what it is fed (publish with --range or --example)"
    return f", judged on {parity.judged_on} (--tolerance allows more)"


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
    known = {"sizes": _with_single(converted.sizes, proof.sizes), "halo": proof.halo}
    inputs = tuple(
        ModelInput(**{**one.model_dump(exclude_none=True), RANGE_FIELD: proof.ranges[one.name]})
        if one.name in proof.ranges
        else one
        for one in converted.inputs
    )
    update = {"parity": parity, "timing": timing, "assets": assets, "inputs": inputs}
    return converted.model_copy(update=update | known)


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
        with ExitStack() as stack:
            unbounded = result
            if result.signature.inputs != Signature.of(read_item(bare)).inputs:  # its item bounds what it is asked for
                unbounded = workers.open(bare, report=report)
                stack.enter_context(unbounded)
            try:
                found = measure_sizes(unbounded).signature(unbounded.signature)
            except DataError as unknown:
                raise ConversionError(f"{converted.id} does not run wherever its source does: {unknown}") from unknown
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


def _with_single(
    before: Mapping[str, Mapping[str, Size]], proved: Mapping[str, Mapping[str, Size]]
) -> dict[str, dict[str, Size]]:
    """Add the axes that a source leaves open in name alone: the only length that they have."""
    single = {name: {dim: size for dim, size in axes.items() if size.is_fixed} for name, axes in before.items()}
    names = dict.fromkeys([*proved, *(name for name, axes in single.items() if axes)])
    return {name: {**proved.get(name, {}), **single.get(name, {})} for name in names}


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


def import_ahead() -> None:
    """Begin to import what draws the picture of a proof: half a second, in which a worker converts."""
    threading.Thread(target=_drawing, daemon=True).start()


def _drawing() -> None:
    with suppress(MissingPackageError):  # said where it is drawn
        from modelstac.exporters.proof import parity_picture  # noqa: F401


def _picture(parity: ParityReport, report: Report) -> bytes | None:
    try:
        from modelstac.exporters.proof.parity_picture import draw_parity
    except MissingPackageError as error:
        report(Note(f"the parity report has no picture: {error}"))
        return None
    return draw_parity(parity)
