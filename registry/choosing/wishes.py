"""What a caller may wish for beside the model itself, and whether a candidate has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

import pystac

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.versions import parse_range
from modelstac.catalog.search.facts import in_range
from modelstac.catalog.search.ranges import fold, nearest
from modelstac.catalog.search.spellings import canonical
from modelstac.registry.choosing.model_assets import ModelAsset

# The first is what is taken when nothing is wished for.
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
_ACCELERATORS = ("amd64", "cuda", "xla", "amd-rocm", "intel-ipex-cpu", "intel-ipex-gpu", "macos-arm")
_KNOWN = {"format": tuple(FORMATS), "precision": PRECISIONS, "accelerator": _ACCELERATORS}
_DATA_TYPES = {"float16": "fp16", "bfloat16": "bf16", "int8": "int8", "uint8": "int8"}


@dataclass(frozen=True)
class Wishes:
    """What a candidate must have; what is None is left open.

    Parameters
    ----------
    framework, framework_version, backend, backend_version
        As in a search: a name, however it is spelled, and ranges such as ``>=2.7,<3``.
    format
        A name of :data:`modelstac.catalog.items.formats.FORMATS`.
    variant
        ``interop:variant`` of an item.
    asset
        Key of the asset, for an item with several models.
    precision
        ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    accelerator
        What it was made for: a value of ``mlm:accelerator``.
    """

    framework: str | None = None
    framework_version: str | None = None
    backend: str | None = None
    backend_version: str | None = None
    format: str | None = None
    variant: str | None = None
    asset: str | None = None
    precision: str | None = None
    accelerator: str | None = None

    @classmethod
    def of(cls, wishes: dict[str, Any]) -> Self:
        """Read wishes that were given by name.

        Raises
        ------
        InvalidQueryError
            If there is no such wish, or it makes no sense; names the nearest.
        """
        names = [field.name for field in fields(cls)]
        for name, value in wishes.items():
            if name not in names:
                raise InvalidQueryError(f"unknown wish {name!r}{nearest(name, names)}")
            if value is not None and name in _KNOWN and value not in _KNOWN[name]:
                raise InvalidQueryError(f"unknown {name} {value!r}{nearest(str(value), _KNOWN[name])}")
            if value is not None and name.endswith("_version"):
                parse_range(value)
        return cls(**wishes)

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def __str__(self) -> str:
        return ", ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) is not None)

    def unmet(self, item: pystac.Item, asset: ModelAsset) -> Iterator[str]:
        """Yield what a model file is not that was wished for."""
        get = item.properties.get
        form = next((f for f in FORMATS.values() if f.artifact_type == asset.artifact_type), None)
        framework = form.framework if form else canonical(str(get("mlm:framework")))
        found = {
            "framework": framework,
            "backend": get("interop:backend"),
            "format": form.name if form else asset.artifact_type,
            "variant": get("interop:variant"),
            "asset": asset.key,
            "precision": precision_of(item),
        }
        for name, value in found.items():
            wanted = getattr(self, name)
            wanted = canonical(wanted) if wanted and name == "framework" else wanted
            if wanted is not None and (value is None or fold(str(value)) != fold(wanted)):
                yield f"{name} is {value or 'not said'}, wished for was {wanted}"
        for name, field in (
            ("framework_version", "mlm:framework_version"),
            ("backend_version", "interop:backend_version"),
        ):
            wanted, version = getattr(self, name), get(field)
            if wanted is not None and not (isinstance(version, str) and in_range(version, wanted)):
                yield f"{name.replace('_', ' ')} is {version or 'not said'}, wished for was {wanted}"
        made_for = get("mlm:accelerator")
        if self.accelerator is not None and made_for not in {None, self.accelerator}:
            yield f"accelerator is {made_for}, wished for was {self.accelerator}"


def precision_of(item: pystac.Item) -> str:
    """Return the precision of a model: stated, in the name of its variant, or that of its input."""
    get = item.properties.get
    if (stated := get("interop:precision")) in PRECISIONS:
        return str(stated)
    parts = str(get("interop:variant") or "").split("-")
    if named := next((part for part in parts if part in PRECISIONS), None):
        return named
    inputs = get("mlm:input")
    if isinstance(inputs, list) and inputs and isinstance(inputs[0], dict) and isinstance(inputs[0].get("input"), dict):
        return _DATA_TYPES.get(str(inputs[0]["input"].get("data_type")), PRECISIONS[0])
    return PRECISIONS[0]
