"""All that can be said of a model in one YAML file: read with the line of what is wrong, and written as a template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import SpecError, at
from modelstac.registry.publishing.saying import check_names, plain

if TYPE_CHECKING:  # YAML is loaded where there is a file of it
    from modelstac.catalog.written import Document

FILES = (".yaml", ".yml", ".json")
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
# gaps: false                      # true where NaN in it is what the model is fed where something is missing
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


def read_file(path: Path) -> Document:
    """Read a file of fields as :class:`~modelstac.registry.publishing.saying.Said` has them.

    Raises
    ------
    NotFoundError, StorageError
        If it is not there, or cannot be read.
    SpecError
        If it is no YAML, or has a field that is none; names the line.
    """
    from modelstac.catalog.written import read_file as read_yaml

    document = read_yaml(path)
    if not isinstance(document.values, Mapping):
        raise SpecError(f"{path} is no mapping of fields: begin with modelstac publish --template > {path.name}")
    kept = {str(name): value for name, value in document.values.items() if value is not None}
    with document.explaining():
        for name in document.values:
            with at(name):
                check_names({str(name): kept.get(str(name))})
    return replace(document, values=kept)


@contextmanager
def values_of(said: Any, folder: Path, *, texts: bool = False) -> Iterator[Any]:
    """Give what is said, as lists and numbers of Python, or what its file holds, of which errors then name the line.

    Parameters
    ----------
    said
        Values, or the path of a file of them (YAML, JSON).
    folder
        What paths are relative to.
    texts
        Whether a text that is not called as such a file is a value itself.

    Raises
    ------
    NotFoundError, StorageError, SpecError
        As :func:`modelstac.catalog.written.read_file` does.
    """
    is_file = isinstance(said, str) and not (texts and not said.casefold().endswith(FILES))
    if not is_file and not isinstance(said, Path):
        yield plain(said)
        return
    from modelstac.catalog.written import read_file as read_yaml

    document = read_yaml(folder / said)
    with document.explaining():
        yield document.values
