"""All that can be said of a model in one YAML file: read with the line of what is wrong, and written as a template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import NotFoundError, SpecError, StorageError
from modelstac.catalog.later import needing
from modelstac.registry.publishing.saying import FIELDS, check_names, unknown

with needing("publishing"):
    import yaml

TEMPLATE = """\
# What a model file does not say of itself. Publish with:  modelstac publish model.keras --with model.yaml
# Lines that begin with # are optional; paths are relative to this file.

name: land-cover
version: 1.0.0
task: semantic-segmentation        # in MLM's terms
architecture: U-Net
license: CC-BY-4.0                 # SPDX
bbox: [5, 50, 10, 55]              # west, south, east, north of the training data, degrees; or geometry: area.geojson
datetime: 2020-01-01/2021-12-31    # of the training data; quote a single day, "2020-06-05"
input_dims: [batch, height, width, bands]     # of several inputs by name: {s1: [batch, …], s2: […]}
output_dims: [batch, height, width, class]
bands: [B02, B03, B04, B08]        # along the axis of the bands

# title: Land cover from Sentinel-2
# description: What the model is, in Markdown.
# keywords: [Sentinel-2, land cover]
# region: Rhineland
# season: Jun-Aug                  # or JJA, 6-8, summer
# classes:                         # or classes.yaml, or names alone: [water, forest]
#   - {value: 0, name: water, color: "#1F77B4"}
#   - {value: 1, name: forest, color: green}
# scaling: {type: scale, value: 10000}        # one for all; a list with one a band; by band {B02: …}; a chain [[…, …]]
# units: "1"                       # one for all bands, or by band
# resize: pad                      # resize_type of MLM
# range: [0, 1]                    # what the model is fed, after scaling
# example: tile.npy                # published, raw and scaled, with the output
# example_scaled: false            # true where its values are scaled already
# metrics: {mIoU: 0.71, IoU: {water: 0.9, forest: 0.7}}     # or metrics.json
# main_metric: mIoU                # the score that matters most
# metrics_table: metrics.csv
# metrics_picture: confusion.png
# thumbnail: map.png
# hyperparameters: {learning_rate: 0.001, epochs: 40}
# entrypoint: mypackage.models:build          # for weights in safetensors
# requirements: requirements.txt   # packages that it was trained with; true: what is installed here
# code: train.py                   # the commit of its repository
# training_data: [dataset-1.0.0, https://example.org/collection.json, tiles.zip]
# derived_from: [other-model-1.0.0-keras]
# author: [{name: Ada Lovelace, url: "https://example.org", roles: [producer]}]
# citation: Lovelace (2026), Land cover from Sentinel-2.
# doi: 10.1000/182
# card: README.md                  # model card in Markdown
# output_bands: []
# variant: keras-tensorflow
# backend: tensorflow              # what Keras ran on, with backend_version
# backend_version: 2.19.0
# pretrained: false
# pretrained_source: null
# origin: {registry: mlflow, name: land-cover, version: "3"}     # where it was taken from, by hand
"""


def read_file(path: Path) -> dict[str, Any]:
    """Read a file of fields as :class:`~modelstac.registry.publishing.saying.Said` has them.

    Raises
    ------
    NotFoundError, StorageError
        If it is not there, or cannot be read.
    SpecError
        If it is no YAML, or has a field that is none; names the line.
    """
    found = read_yaml(path)
    if not isinstance(found, Mapping):
        raise SpecError(f"{path} is no mapping of fields: begin with modelstac publish --template > {path.name}")
    lines = {name: line for name, line, _ in _keys(path)}
    for name in found:
        if name not in FIELDS:
            raise SpecError(f"{path}, line {lines.get(str(name), 1)}: there is no field {name!r}, {unknown(str(name))}")
    names = [name for name, _, _ in _keys(path)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpecError(f"{path}, line {lines[twice[0]]}: {twice[0]!r} is there twice: keep one")
    kept = {str(name): value for name, value in found.items() if value is not None}
    for name, value in kept.items():
        try:
            check_names({name: value})
        except SpecError as error:
            raise SpecError(f"{path}, line {lines[name]}: {error}") from error
    return kept


def read_yaml(path: Path) -> Any:
    """Read a YAML file, of which JSON is a part; dates stay texts.

    Raises
    ------
    NotFoundError, StorageError
        If it is not there, or cannot be read.
    SpecError
        If it is no YAML.
    """
    try:
        return yaml.load(_text(path), Loader=_Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SpecError(f"{path}{line}: this is no YAML ({reason})") from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]  # whose sources are not typed
    """Dates stay what was written: 2020-06 and 2020-06-05 are times here, too, and versions such as 1.0 are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _keys(path: Path) -> Iterator[tuple[str, int, Any]]:
    root = yaml.compose(_text(path), Loader=_Loader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        yield str(key.value), key.start_mark.line + 1, value


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}: check the path") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is no text: expected YAML") from error
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
