"""What a conversion made, described as an item has it: what the model is stays, what its file is changes."""

from __future__ import annotations

from collections.abc import Mapping

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import ModelDescription, Source
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.messages import Note, Report
from modelstac.exporters.closing import said
from modelstac.exporters.conversion import Conversion
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.routes import NODES
from modelstac.registry.running.signature import Signature


def require_fixed(found: ModelDescription, wanted: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse what leaves an axis open that was to be fixed: its id would say what it is not."""
    left = {
        name: {d: n for d, n in axes.items() if d not in found.closed.get(name, ())} for name, axes in wanted.items()
    }
    if left := {name: axes for name, axes in left.items() if axes}:
        raise ConversionError(
            f"{found.id!r} was to take {said(left)} only, and its file takes other lengths, too: leave --fixed out"
        )


def with_closed(
    found: ModelDescription, source: ModelDescription, told: Mapping[str, set[str]], report: Report
) -> ModelDescription:
    """Say which axes are closed; see for oneself that names and axes are those of the source, whatever was told.

    Raises
    ------
    ConversionError
        When an axis is closed of which no step said so, or inputs or outputs stand in another order.
    """
    sides = Counterparts.of(Signature.of(source), Signature.of(found))
    for kind, pairs, tensors in (("inputs", sides.inputs, found.inputs), ("outputs", sides.outputs, found.outputs)):
        wanted, there = [theirs.name for _, theirs in pairs], [tensor.name for tensor in tensors]
        if wanted != there:
            raise ConversionError(
                f"{found.id!r} has the {kind} {', '.join(there)}, its source {', '.join(wanted)}: the order is part of"
                " what a model is"
            )
    closed = {
        theirs.name: {dim: n.at_least for dim, n in theirs.axes.items() if n.is_fixed and not ours.axes[dim].is_fixed}
        for ours, theirs in sides.inputs
    }
    closed = {name: axes for name, axes in closed.items() if axes}
    if unsaid := {n: {d: axes[d] for d in axes if d not in told.get(n, ())} for n, axes in closed.items()}:
        if any(unsaid.values()):
            raise ConversionError(f"{found.id!r} takes {said(unsaid)} only, which its source leaves open: say --fixed")
        report(Note(f"{found.id} takes {said(closed)} only, which its source leaves open"))
    return found.model_copy(update={"closed": closed})


def describe_result(
    source: ModelDescription,
    before: ModelDescription,
    conversion: Conversion,
    *,
    variant: str,
    target: str,
    precision: str = "fp32",
) -> ModelDescription:
    """Describe the result of a step: what the model is stays, what its file is changes.

    Parameters
    ----------
    source
        The model that is converted.
    before
        The result of the step before; the source in the first one.
    conversion
        What the step made.
    variant, target, precision
        Of the result.
    """
    form = FORMATS[NODES[target].format]
    kind = form.framework if precision == "fp32" else f"{form.framework}, {precision}"
    kept = {name: getattr(source, name) for name in ModelDescription.model_fields}
    # Facts about the file before, such as an opset, are none about this one.
    facts = {key: value for key, value in source.hyperparameters.items() if key not in FORMATS}
    return ModelDescription(
        **kept
        | {
            "variant": variant,
            "title": f"{source.title}, converted to {kind}",
            "description": f"{source.description}\n\nConverted from `{source.id}` to {kind}.",
            "format": form.name,
            "framework_version": conversion.framework_version,
            "backend": conversion.backend,
            "backend_version": conversion.backend_version,
            "inputs": conversion.inputs,
            "outputs": conversion.outputs,
            "sizes": {name: dict(axes) for name, axes in conversion.sizes.items()},
            "closed": {},
            "unproved": False,  # it is run, and held against its source
            "hyperparameters": {**facts, **conversion.hyperparameters},
            "entrypoint": conversion.entrypoint,
            "sources": (Source(item_id=source.id, title=source.title),),
            "route": (*before.route, *conversion.steps),
            "scores": None,
            "job": None,
            "precision": precision,
            "timing": None,
            "artifact": conversion.artifact,
            "checksum": None,
            "size": None,
            "assets": {},
            "parity": None,
        }
    )
