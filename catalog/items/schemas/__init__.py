"""JSON schemas of STAC and its extensions: from a folder of the user's, from here, from a cache, from the network.

The files here were written by others; NOTICE says by whom and under which licence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SchemaUnavailableError

FOLDER_VARIABLE = "MODELSTAC_SCHEMAS"
_EXTENSION = re.compile(r"https://stac-extensions\.github\.io/([a-z0-9-]+)/(v[0-9][0-9a-z.-]*)/schema\.json")
_TIMEOUT_SECONDS = 10

SHIPPED_URIS = (
    "https://proj.org/schemas/v0.7/projjson.schema.json",
    *(
        f"https://stac-extensions.github.io/{extension}/schema.json"
        for extension in (
            "classification/v1.1.0",
            "classification/v2.0.0",
            "datacube/v2.3.0",
            "file/v2.1.0",
            "mlm/v1.5.2",
            "processing/v1.1.0",
            "projection/v2.0.0",
            "raster/v1.1.0",
            "scientific/v1.0.0",
            "version/v1.2.0",
        )
    ),
)


_LONGEST = 150


def file_name(uri: str) -> str:
    """Return the name of a schema's file: ``mlm-v1.5.2.json`` for an extension, the whole address for others."""
    plain = uri.removesuffix("#")
    if match := _EXTENSION.fullmatch(plain):
        return f"{match[1]}-{match[2]}.json"
    name = re.sub(r"[^A-Za-z0-9.]+", "-", plain.partition("://")[2] or plain)
    name = name.removesuffix(".json")
    if len(name) > _LONGEST:  # no file system takes it
        name = f"{name[:_LONGEST]}-{hashlib.sha256(plain.encode(errors='replace')).hexdigest()[:16]}"
    return f"{name}.json"


@cache
def find_schema(uri: str) -> dict[str, Any]:
    """Return a schema by its URI.

    Raises
    ------
    SchemaUnavailableError
        If it is neither known, nor cached, nor reachable; the message says where to put it.
    """
    name = file_name(uri)
    if (local := _local(uri, name)) is not None:
        return local
    import platformdirs  # not at the top: it is slower than most that need schemas

    cached = platformdirs.user_cache_path("modelstac") / "schemas" / name
    if (schema := _from_file(cached)) is not None:
        return schema
    data = _download(uri, name)
    schema = _parsed(data, uri)
    _keep(cached, data)
    return schema


@lru_cache(maxsize=256)
def is_at_hand(uri: str) -> bool:
    """Tell whether a schema can be had without the cache and the network."""
    return _local(uri, file_name(uri)) is not None


def _local(uri: str, name: str) -> dict[str, Any] | None:
    given = os.environ.get(FOLDER_VARIABLE)
    if given and (schema := _from_file(Path(given) / name)) is not None:
        return schema
    shipped = resources.files(__package__).joinpath(name)
    if shipped.is_file():
        return _parsed(shipped.read_bytes(), name)
    return _core_schemas().get(uri.removesuffix("#"))


def core_uris() -> tuple[str, ...]:
    """Return the URIs of the core schemas that pystac carries."""
    return tuple(_core_schemas())


@cache
def _core_schemas() -> dict[str, dict[str, Any]]:
    # pystac carries the schemas of the STAC version that it writes. Asking pystac for them imports jsonschema. Names of
    # files and not $id, of which one is wrong.
    from pystac.version import STACVersion

    folder, version = resources.files("pystac") / "validation" / "jsonschemas", STACVersion.DEFAULT_STAC_VERSION
    found = {}
    for path in (folder / "stac-spec" / f"v{version}").iterdir():
        kind = path.name.removesuffix(".json")
        kind = kind if kind in {"catalog", "collection"} else "item"
        found[f"https://schemas.stacspec.org/v{version}/{kind}-spec/json-schema/{path.name}"] = path
    found |= {f"https://geojson.org/schema/{path.name}": path for path in (folder / "geojson").iterdir()}
    return {uri: json.loads(path.read_text("utf-8")) for uri, path in found.items() if uri.endswith(".json")}


def _from_file(path: Path) -> dict[str, Any] | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SchemaUnavailableError(f"cannot read the schema {path}: {error.strerror}") from error
    return _parsed(data, str(path))


def _parsed(data: bytes, place: str) -> dict[str, Any]:
    try:
        schema = json.loads(data)
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise SchemaUnavailableError(f"{place} is not a JSON schema: remove or replace it")
    return schema


def _download(uri: str, name: str) -> bytes:
    import urllib.request  # not at the top: most schemas come with modelstac

    reason = "only https is fetched"
    if uri.startswith("https://"):
        try:
            with urllib.request.urlopen(uri, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - https, checked above
                return bytes(response.read())
        except (OSError, ValueError) as error:
            reason = str(error).strip("<>")
    raise SchemaUnavailableError(
        f"the schema {uri} is not known here and cannot be fetched ({reason}): "
        f"put it as {name} into a folder and name that in {FOLDER_VARIABLE}, or try again online"
    )


def _keep(path: Path, data: bytes) -> None:
    import uuid

    # A cache that cannot be written is no reason to fail.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{uuid.uuid4().hex}")
        temporary.write_bytes(data)
        temporary.replace(path)
