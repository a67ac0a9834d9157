"""A store of prepared frames as a published dataset, to which models link."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import xarray as xr

from modelstac.catalog.base import Catalog
from modelstac.catalog.items.datasets import DatasetDescription, write_dataset
from modelstac.catalog.items.provenance import Provider
from modelstac.catalog.messages import Report, ignore
from modelstac.training.data.preparation import PREPARATION, footprint
from modelstac.training.data.store import PACKED, open_store, pack


def publish(store: Path, catalog: Catalog, *, name: str, version: str, report: Report = ignore) -> pystac.Item:
    """Publish a store as the dataset ``<name>-<version>-data``.

    Raises
    ------
    DataError
        It is no finished store.
    ItemExistsError
        The id is taken by other data.
    """
    ds = open_store(store)
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        artifact = Path(folder) / f"{name}{PACKED}"
        pack(store, artifact)
        return catalog.publish(write_dataset(describe(ds, artifact, name, version)), report=report)


def describe(ds: xr.Dataset, artifact: Path, name: str, version: str) -> DatasetDescription:
    """Describe an opened store whose packed file is ``artifact``."""
    time = ds["time"].values.astype("datetime64[s]")
    start, end = time[0] - np.timedelta64(int(ds.attrs["step_minutes"]), "m"), time[-1]
    rate = ds["rainfall_rate"]
    period = [f"{np.datetime_as_string(moment, 's')}Z" for moment in (start, end)]
    dimensions: dict[str, dict[str, Any]] = {
        "time": {"type": "temporal", "extent": period, "step": f"PT{ds.attrs['step_minutes']}M"}
    }
    for axis in ("x", "y"):
        values = ds[axis].values
        dimensions[axis] = {
            "type": "spatial",
            "axis": axis,
            "extent": [float(values.min()), float(values.max())],
            "step": abs(float(values[1] - values[0])),
            "reference_system": ds["crs"].attrs["crs_wkt"],
        }
    return DatasetDescription(
        name=name,
        version=version,
        title=f"{ds.attrs['product']}, {period[0][:10]} to {period[1][:10]}",
        description=(
            f"{ds.sizes['time']} frames of rain rate in mm/h from {ds.attrs['product']}, {ds.sizes['y']} x"
            f" {ds.sizes['x']} pixels, prepared for training. {ds.attrs['credit']}."
        ),
        license=str(ds.attrs["licence"]),
        keywords=("radar", "precipitation", "rainfall rate"),
        providers=(Provider(name=str(ds.attrs["institution"]), roles=("producer",)),),
        geometry=footprint(ds)[0],
        start=start.item().replace(tzinfo=UTC),
        end=end.item().replace(tzinfo=UTC),
        frames=ds.sizes["time"],
        preparation=json.loads(ds.attrs[PREPARATION]),
        cube_dimensions=dimensions,
        cube_variables={
            "rainfall_rate": {"dimensions": list(map(str, rate.dims)), "type": "data", "unit": rate.attrs["units"]}
        },
        artifact=artifact,
    )
