"""Scenes and the labels that belong to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.registry.scenes.test_evaluating import raster

from modelstac.catalog.errors import DataError, NotFoundError
from modelstac.registry.scenes.evaluating.pairing import pair


def test_scenes_and_labels_are_paired_by_name(tmp_path):
    for name in ("maps/a.tif", "maps/b.tif", "maps/notes.txt", "labels/a.tif", "labels/b_labels.tif"):
        raster(tmp_path / name, np.ones((4, 4), np.uint8))
    (tmp_path / "maps" / "c").mkdir()
    with pytest.raises(DataError, match="the scene c has no labels"):
        pair(tmp_path / "maps", tmp_path / "labels")
    (tmp_path / "maps" / "c").rmdir()
    found = pair(tmp_path / "maps", tmp_path / "labels")
    assert [(one.rsplit("/", 1)[1], two.rsplit("/", 1)[1]) for one, two in found] == [
        ("a.tif", "a.tif"),
        ("b.tif", "b_labels.tif"),
    ]
    raster(tmp_path / "labels" / "a_label.tif", np.ones((4, 4), np.uint8))
    with pytest.raises(DataError, match="labels twice"):
        pair(tmp_path / "maps", tmp_path / "labels")
    assert pair(tmp_path / "maps" / "a.tif", tmp_path / "labels" / "b_labels.tif")


def test_cubes_are_paired_by_name_with_and_without_their_ending(tmp_path):
    for name in ("june", "july", "may"):
        raster(tmp_path / "labels" / f"{name}.tif", np.ones((4, 4), np.uint8))
    for name in ("june.zarr", "july.h5", "may"):
        (tmp_path / "scenes" / name).mkdir(parents=True)
    (tmp_path / "scenes" / "july.h5").rmdir()
    (tmp_path / "scenes" / "july.h5").touch()
    found = {Path(one).name: Path(two).name for one, two in pair(tmp_path / "scenes", tmp_path / "labels")}
    assert found == {"june.zarr": "june.tif", "july.h5": "july.tif", "may": "may.tif"}
    store = tmp_path / "scenes" / "june.zarr"
    assert pair(store, tmp_path / "labels") == [(str(store), str(tmp_path / "labels" / "june.tif"))]
    group = f"{tmp_path / 'scenes' / 'july.h5'}/Grid"
    assert pair(group, tmp_path / "labels" / "july.tif")[0][0] == group
    with pytest.raises(NotFoundError, match="there is no"):
        pair(tmp_path / "scenes" / "august.h5" / "Grid", tmp_path / "labels" / "july.tif")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_pairs_may_be_listed(tmp_path, form):
    raster(tmp_path / "data" / "x.tif", np.ones((4, 4), np.uint8))
    raster(tmp_path / "data" / "y.tif", np.ones((4, 4), np.uint8))
    path = tmp_path / f"pairs.{form}"
    rows = [{"scene": "data/x.tif", "labels": "data/y.tif"}]
    path.write_text(json.dumps(rows) if form == "json" else "scene,labels\ndata/x.tif,data/y.tif\n")
    assert pair(path) == [(str(tmp_path / "data" / "x.tif"), str(tmp_path / "data" / "y.tif"))]
    path.write_text("[]" if form == "json" else "image,mask\na,b\n")
    with pytest.raises(DataError, match="scene and its labels"):
        pair(path)
    path.write_text(
        json.dumps([{"scene": "no.tif", "labels": "no.tif"}]) if form == "json" else "scene,labels\nno,no\n"
    )
    with pytest.raises(NotFoundError, match="there is no"):
        pair(path)
