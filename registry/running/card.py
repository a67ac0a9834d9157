"""An item as a page for people: text for terminals, HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.evidence import is_unproved, sizes_and_halo, told_cases, told_parity
from modelstac.catalog.items.mlm.names import GAPS_FIELD
from modelstac.catalog.items.sizes import OPEN, Size
from modelstac.catalog.terminal import harmless

if TYPE_CHECKING:
    import pystac

INDENT = 16
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MANY = 20  # bands or classes that a card lists


def card(item: pystac.Item) -> str:
    """Return what a model is, takes and gives, and where it comes from, as lines of text."""
    # Each on one line: a second one could say anything in our words.
    rows = (f"  {label.ljust(INDENT)}{' '.join(text.split())}" for label, text in _read_lines(item))
    return harmless("\n".join([" ".join(item.id.split()), *rows]))


def card_html(item: pystac.Item) -> str:
    """Return the same as a table in HTML; nothing of the item is taken as markup."""
    cell = "<tr><th style='text-align: left'>{}</th><td style='text-align: left'>{}</td></tr>"
    import html  # not at the top: its tables of entities take as long to load as all of this room

    rows = "".join(cell.format(html.escape(label), html.escape(text)) for label, text in _read_lines(item))
    return f"<table><caption>{html.escape(item.id)}</caption>{rows}</table>"


def _read_lines(item: pystac.Item) -> list[tuple[str, str]]:
    try:
        return list(_lines(item))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        from modelstac.catalog.items.validation import validate  # not at the top: few items need it

        validate(item)  # names the field
        reason = " ".join(str(error).split())[:200]
        raise InvalidItemError(
            f"item {item.id!r} has a field that cannot be shown ({reason}): ask its publisher"
        ) from error


def _lines(item: pystac.Item) -> Iterator[tuple[str, str]]:
    get = item.properties.get
    yield from _present("title", get("title"))
    yield from _present("description", get("description"))
    yield from _present("licence", get("license"))
    yield from _present("status", "DEPRECATED: no longer to be used" if get("deprecated") else None)
    yield from _present("aliases", ", ".join(get("interop:aliases", ())))
    yield from _present("status", "NOT PROVED: published without running it" if is_unproved(item.properties) else None)
    yield from _present("framework", get("mlm:framework"), get("mlm:framework_version"))
    yield from _present("backend", get("interop:backend"), get("interop:backend_version"))
    yield from _present("precision", get("interop:precision"))
    yield from _present("architecture", get("mlm:architecture"))
    yield from _present("tasks", ", ".join(get("mlm:tasks", ())))
    if (parameters := get("mlm:total_parameters")) is not None:
        yield "parameters", f"{parameters:,}"
    yield from _present("trained on", get("start_datetime"), "to" if get("end_datetime") else None, get("end_datetime"))
    yield from _present("region", get("interop:region"))
    yield from _present("months", ", ".join(map(_month, get("interop:months") or ())))
    if item.bbox:
        yield "bbox", ", ".join(f"{n:.4g}" for n in item.bbox)
    found = sizes_and_halo(item.properties)
    for key, inner in (("input", "input"), ("output", "result")):
        for tensor in get(f"mlm:{key}", ()):
            yield key, _tensor(tensor, tensor.get(inner, {}), found.get("sizes"))
        yield from _meaning(item, key)
    halo = found.get("halo")
    for name, axes in halo.items() if isinstance(halo, dict) else ():
        yield "halo", f"{name}: {_halo(axes)}"
    moved = get("interop:batch_difference")
    yield from _present("batch", moved and f"a sample's result moves by {moved:.1e} with the others: run one at a time")
    for step in get("interop:route") or ():
        yield "route", f"{step['source_format']} -> {step['target_format']} by {step['tool']} {step['version']}"
    if parity := get("interop:parity"):
        verdict = "passed" if parity["passed"] else "FAILED"
        yield (
            "parity",
            f"{verdict} against {parity['source']}: {told_parity(parity)}, {told_cases(parity)}",
        )
        for name, output in (parity.get("outputs") or {}).items():
            yield "", f"{name}: {_apart(output)}"
    for name, score in (get("interop:scores") or {}).items():
        yield "score", f"{name} {score:.4g}"
    for link in item.links:
        if link.rel == "derived_from":
            source = link.extra_fields.get("interop:item_id") or link.title or link.get_href(transform_href=False)
            yield "derived from", str(source)
    for key, asset in item.assets.items():
        size = asset.extra_fields.get("file:size")
        yield "asset", f"{key}: {asset.href}{f' ({size:,} bytes)' if isinstance(size, int) else ''}"


def _meaning(item: pystac.Item, side: str) -> Iterator[tuple[str, str]]:
    """Say what bands an input has and how they are scaled, and the classes of an output."""
    from modelstac.catalog.pages.tensors import tensors  # not at the top: few commands need it

    for tensor in tensors({"properties": item.properties}, side):
        each = [f"{band.name} {band.scaling}".strip() for band in tensor.bands]
        yield from _present("bands" if tensor.of == "band" else "variables", _named(tensor.name, each))
        yield from _present("scaling", _named(tensor.name, [", then ".join(tensor.scaling)] if tensor.scaling else []))
        yield from _present("classes", _named(tensor.name, [f"{one.value} {one.name}" for one in tensor.classes]))


def _month(number: Any) -> str:
    return MONTHS[number - 1] if number in range(1, 13) else str(number)


def _named(name: str, parts: list[str]) -> str:
    more = f", … ({len(parts)})" if len(parts) > MANY else ""
    return f"{name}: {', '.join(parts[:MANY])}{more}" if parts else ""


def _present(label: str, *parts: Any) -> Iterator[tuple[str, str]]:
    text = " ".join(" ".join(str(part).split()) for part in parts if part not in (None, ""))
    if text:
        yield label, text


def _apart(parity: dict[str, Any]) -> str:
    if parity.get("values") == 0:
        return "empty in every case"
    if (ppm := parity.get("differing_ppm")) is not None:
        return f"{ppm:.0f} of a million values differ"
    return f"at most {parity['max_absolute_difference']:.1e} apart"


def _tensor(tensor: dict[str, Any], layout: dict[str, Any], known: Any) -> str:
    sizes = known.get(tensor.get("name")) if isinstance(known, dict) else None
    sizes = sizes if isinstance(sizes, dict) else {}
    axes = zip(layout.get("dim_order", ()), layout.get("shape", ()), strict=False)
    shape = ", ".join(f"{name} {_length(size, sizes.get(name))}" for name, size in axes)
    optional = ", optional" if tensor.get("optional") is True else ""
    gaps = ", NaN where something is missing" if tensor.get(GAPS_FIELD) is True else ""
    return f"{tensor.get('name')}: {layout.get('data_type')} ({shape}){optional}{gaps}"


def _length(length: Any, size: Any) -> str:
    if length != OPEN:
        return str(length)
    try:
        return str(Size.from_json(size)) if size else "any"
    except ModelStacError:  # somebody else's; a card shows what there is
        return "any"


def _halo(axes: Any) -> str:
    return ", ".join(f"{axis} {_reach(found)}" for axis, found in axes.items()) if isinstance(axes, dict) else str(axes)


def _reach(found: Any) -> str:
    """Say how far an output pixel sees: a number of pixels, all, or more with each step of another axis."""
    if not isinstance(found, dict):
        return f"{found}{' pixels' if isinstance(found, int) else ''}"
    per = found.get("per")
    grown = [f"{pixels} for each of {axis}" for axis, pixels in per.items()] if isinstance(per, dict) else []
    return " and ".join([f"{found.get('pixels')} pixels", *grown])
