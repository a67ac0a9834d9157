"""Tables of the site that are made of the code: settings, fields of items, a published item."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

ITEM = Path(__file__).with_name("reference") / "item.json"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"

    return "\n".join([line(heads), line(("---",) * len(heads)), *map(line, rows)])


def server_settings() -> str:
    """Every setting of the server with its variable, default and meaning."""
    from modelstac.catalog.server.settings import ServerSettings

    return _settings(ServerSettings)


def inference_settings() -> str:
    """Every setting of inference by HTTP with its variable, default and meaning."""
    from modelstac.registry.serving.settings import InferenceSettings

    return _settings(InferenceSettings)


def _settings(kind: Any) -> str:
    prefix = str(kind.model_config["env_prefix"])
    rows = []
    for name, field in kind.model_fields.items():
        default = "" if field.default in (None, "", PydanticUndefined) else f"`{_json(field.default)}`"
        rows.append((f"`{prefix}{name.upper()}`", default, field.description or ""))
    return _table(("variable", "default", "meaning"), rows)


def interop_schema() -> dict[str, Any]:
    """Return the JSON schema of our fields."""
    found = json.loads(files("modelstac.catalog.items.schemas").joinpath("interop.json").read_bytes())
    assert isinstance(found, dict)
    return found


def interop_fields() -> str:
    """Every field of items and of what they hold, from the schema."""
    definitions = interop_schema()["definitions"]
    parts = []
    for kind, title in (
        ("fields", "`properties` of an item"),
        ("size", "A size of `interop:sizes`"),
        ("parity", "`interop:parity`"),
        ("output_parity", "An output of `interop:parity`"),
        ("timing", "`interop:timing`"),
        ("step", "A step of `interop:route`"),
        ("environment", "An environment of `interop:verified`"),
        ("collection", "A collection"),
    ):
        required = definitions[kind].get("required", ())
        rows = [
            (f"`{name}`{' *' if name in required else ''}", _type(field), field.get("description", ""), _example(field))
            for name, field in definitions[kind]["properties"].items()
            if name not in {"type", "mlm:input", "mlm:output"}
        ]
        parts.append(f"## {title}\n\n{_table(('field', 'type', 'meaning', 'example'), rows)}")
    lead_time = definitions["fields"]["properties"]["mlm:output"]["items"]["properties"]["interop:lead_time"]
    links = definitions["item"]["properties"]["links"]["items"]["properties"]
    rows = [
        (f"`{n}`", _type(f), f["description"], _example(f))
        for n, f in (
            ("interop:bands", definitions["bands"]),
            ("interop:tensor", definitions["tensor"]),
            ("interop:range", definitions["range"]),
            ("interop:gaps", definitions["gaps"]),
            ("interop:lead_time", lead_time),
            ("interop:item_id", links["interop:item_id"]),
            ("interop:page", links["interop:page"]),
        )
    ]
    parts.append(f"## Elsewhere\n\n{_table(('field', 'type', 'meaning', 'example'), rows)}")
    return "\n\n".join(parts)


def item_part(*names: str) -> str:
    """Return a part of the item in :data:`ITEM` as JSON: of ``properties`` by prefix, or other members by name."""
    item = json.loads(ITEM.read_text("utf-8"))
    found = {
        key: value
        for name in names
        for key, value in (item["properties"] if ":" in name or name == "plain" else item).items()
        if key == name or (name.endswith(":") and key.startswith(name)) or (name == "plain" and ":" not in key)
    }
    return f"```json\n{_laid_out(found)}\n```"


def _laid_out(value: Any, indent: int = 0) -> str:
    """Return JSON in which what fits on a line stays on it, and long texts are cut."""
    if isinstance(value, str) and len(value) > 220:
        value = f"{value[:200]} …"
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(text) + indent <= 90:
        return text
    inner = (
        [f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(member, indent + 2)}" for key, member in value.items()]
        if isinstance(value, dict)
        else [_laid_out(member, indent + 2) for member in value]
    )
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    pad = " " * indent
    return f"{opening}\n" + ",\n".join(f"{pad}  {line}" for line in inner) + f"\n{pad}{closing}"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return "object"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return str(field.get("type", ""))


def _example(field: dict[str, Any]) -> str:
    examples = field.get("examples", ())
    return f"`{_json(examples[0])}`" if examples else ""


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
