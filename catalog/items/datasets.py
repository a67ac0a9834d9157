"""Data that models are trained on, as an item beside them: one file, where and when it is of, and how it was prepared.

A dataset has the variant ``data``, so that its id is ``<name>-<version>-data``; models link to it with `derived_from`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import NAME_PATTERN, Geometry
from modelstac.catalog.items.geometry import bounding_box
from modelstac.catalog.items.mlm import DATACUBE_SCHEMA_URI, FILE_SCHEMA_URI, SEMVER, VERSION_SCHEMA_URI, Fragment
from modelstac.catalog.items.provenance import Provider
from modelstac.catalog.items.writing import file_fields

if TYPE_CHECKING:
    import pystac

VARIANT = "data"
ASSET = "data"
KIND = "interop:kind"


class DatasetDescription(Fragment):
    """Everything that the catalog says about one version of a dataset.

    Parameters
    ----------
    name, version
        Together with ``data`` the item id; ``name`` is also the collection.
    license
        SPDX identifier, or ``other``.
    geometry, start, end
        Footprint (GeoJSON, degrees) and time of the data; a time is UTC.
    frames, preparation
        Number of frames, and how they were prepared.
    cube_dimensions, cube_variables
        The datacube extension's objects, by name.
    artifact
        The file.
    """

    name: str = Field(pattern=NAME_PATTERN, min_length=3)
    version: str = Field(pattern=SEMVER.pattern)
    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    license: str = Field(min_length=1)
    keywords: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    geometry: Geometry
    start: datetime
    end: datetime
    frames: int = Field(ge=1)
    preparation: dict[str, Any]
    cube_dimensions: dict[str, dict[str, Any]]
    cube_variables: dict[str, dict[str, Any]]
    artifact: Path

    @property
    def id(self) -> str:
        """The item id."""
        return f"{self.name}-{self.version}-{VARIANT}"


def write_dataset(description: DatasetDescription) -> pystac.Item:
    """Write the item of a dataset; the file is hashed and named by its absolute path.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    properties: dict[str, Any] = {
        **description.model_dump(include={"title", "description", "license", "version"}),
        KIND: "dataset",
        "interop:variant": VARIANT,
        "interop:frames": description.frames,
        "interop:preparation": description.preparation,
        "cube:dimensions": description.cube_dimensions,
        "cube:variables": description.cube_variables,
    }
    if description.keywords:
        properties["keywords"] = list(description.keywords)
    if description.providers:
        properties["providers"] = [provider.to_json() for provider in description.providers]
    import pystac

    item = pystac.Item(
        id=description.id,
        geometry=description.geometry,
        bbox=list(bounding_box(description.geometry)),
        datetime=None,
        start_datetime=description.start,
        end_datetime=description.end,
        properties=properties,
        stac_extensions=[FILE_SCHEMA_URI, VERSION_SCHEMA_URI, DATACUBE_SCHEMA_URI],
    )
    item.collection_id = description.name
    item.add_link(pystac.Link("collection", "../collection.json", "application/json"))
    item.add_asset(
        ASSET,
        pystac.Asset(
            href=str(description.artifact.absolute()),
            title="Frames (Zarr 3 in a zip file)",
            media_type="application/zip",
            roles=["data"],
            extra_fields=file_fields(description.artifact, None, None),
        ),
    )
    return item


def is_dataset(document: dict[str, Any]) -> bool:
    """Tell whether the JSON form of an item is a dataset's, rather than a model's."""
    return bool(document["properties"].get(KIND) == "dataset")


def check_dataset(document: dict[str, Any]) -> None:
    """Refuse a dataset whose id, collection or file is not as it should be.

    Raises
    ------
    InvalidItemError
        With what is wrong.
    """
    expected = f"{document.get('collection')}-{document['properties'].get('version')}-{VARIANT}"
    if document["id"] != expected:
        raise InvalidItemError(f"dataset {document['id']!r} should be {expected!r}, by its collection and version")
    if "file:checksum" not in document["assets"].get(ASSET, {}):
        raise InvalidItemError(f"dataset {document['id']!r} needs an asset {ASSET!r} with file:checksum")
