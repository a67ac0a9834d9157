"""Products of Landsat, Collection 2, level 2, as the USGS gives them: a folder of files, and items of few words."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.scenes.reading_models import model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.opening import open_source

LATER, EARLIER = "LC09_L2SP_033032_20230615_20230617_02_T1", "LT05_L2SP_033032_19950615_20200912_02_T1"
STORED = np.random.default_rng(0).integers(7_273, 43_636, (8, 9)).astype(np.uint16)
STORED[:2] = 0
RED = {"bands": [{"name": "red", "eo:common_name": "red"}]}


def product(folder: Path, name: str = LATER) -> Path:
    """Write a product: each band other numbers, of which 0 is fill."""
    folder = folder / name
    folder.mkdir()
    for number, band in enumerate(("SR_B3", "SR_B4", "ST_B10", "QA_PIXEL")):
        tif(folder / f"{name}_{band}.TIF", np.where(STORED, STORED + number, 0).astype(np.uint16), nodata=0)
    (folder / f"{name}_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": {}}))
    return folder


def check(block: Any, number: int, scale: float, offset: float) -> None:
    there = STORED > 0
    assert (block.missing[0] == ~there).all()
    np.testing.assert_allclose(block.values[0][there], (STORED[there] + float(number)) * scale + offset, rtol=1e-5)


@pytest.mark.parametrize(("name", "number"), [(LATER, 1), (EARLIER, 0)])
def test_a_folder_of_a_product_is_its_bands(tmp_path: Path, name: str, number: int) -> None:
    found = open_source(product(tmp_path, name), model(tensor(["red"]), **RED))
    check(whole(found), number, 2.75e-5, -0.2)
    assert [Path(link.href).name for link in found.origins] == [f"{name}_SR_B{3 + number}.TIF"]
    assert str(found.times["image"][0])[:10] == f"{name[17:21]}-06-15"


def test_temperatures_and_bits(tmp_path: Path) -> None:
    folder = product(tmp_path)
    celsius = model(tensor(["ST_B10"]), bands=[{"name": "ST_B10", "unit": "degC"}])
    check(whole(open_source(folder, celsius)), 2, 0.00341802, 149 - 273.15)
    bits = whole(open_source(folder, model(tensor(["QA_PIXEL"], dtype="uint16"))))
    np.testing.assert_array_equal(bits.values[0], np.where(STORED, STORED + 3, 0))


def test_an_item_that_says_no_scale_has_that_of_its_product(tmp_path: Path) -> None:
    folder = product(tmp_path)
    asset = {"href": f"./{LATER}_SR_B4.TIF", "eo:bands": [{"name": "B4", "common_name": "red"}]}
    path = folder / "item.json"
    path.write_text(json.dumps(scene_item(folder, {"red": asset})))
    check(whole(open_source(path, model(tensor(["red"]), **RED))), 1, 2.75e-5, -0.2)


def test_a_model_of_stored_numbers_is_asked_for(tmp_path: Path) -> None:
    scaling = [{"type": "z-score", "mean": 12_000.0, "stddev": 3_000.0}]
    stored = model(tensor(["red"], value_scaling=scaling), **RED)
    with pytest.raises(DataError, match=r"Landsat, Collection 2, level 2 says of .* scale 2.75e-05, offset -0.2"):
        open_source(product(tmp_path), stored)
    check(whole(open_source(tmp_path / LATER, stored, physical=False)), 1, 1, 0)


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_product_is_read_in_the_archive_that_it_is_delivered_in(tmp_path: Path, form: str) -> None:
    folder = product(tmp_path)
    archive = tmp_path / f"delivered.{form}"
    if form == "tar":
        with tarfile.open(archive, "w") as file:
            for one in folder.iterdir():
                file.add(one, one.name)
    else:
        with zipfile.ZipFile(archive, "w") as file:
            for one in folder.iterdir():
                file.write(one, f"{LATER}/{one.name}")
    found = open_source(archive, model(tensor(["red"]), **RED))
    check(whole(found), 1, 2.75e-5, -0.2)
    assert [(link.href, link.media_type) for link in found.origins] == [
        (str(archive), "application/x-tar" if form == "tar" else "application/zip")
    ]
    assert any(state.get("size") == archive.stat().st_size for state in found.identity["sources"])
    archive.write_bytes(archive.read_bytes()[: 100 if form == "tar" else -30])
    with pytest.raises(DataError, match=r"cannot open .*delivered.* it may be cut off; fetch it again"):
        open_source(archive, model(tensor(["red"]), **RED))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match=r"is an archive without a product of .*: unpack it, and name its rasters"):
        open_source(tmp_path / "other.zip", model(tensor(["red"]), **RED))
