"""Polygons of a class map as GeoParquet (1.1), GeoPackage or GeoJSON, streamed: value, name, and area in square metres.

GeoParquet and GeoPackage keep the reference system of the map; GeoJSON is in degrees of WGS 84 (RFC 7946).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, StorageError
from modelstac.registry.running.labels.systems import has_meridians
from modelstac.registry.scenes.rasters import Layer, Raster
from modelstac.registry.scenes.writing.layers import file_name
from modelstac.registry.scenes.writing.outputs import ADVICE, Target, suffix
from modelstac.registry.scenes.writing.places import crs_of, is_straight, moved
from modelstac.registry.scenes.writing.polygons import Areas, areas, check_classes

if TYPE_CHECKING:
    import pyarrow as pa

GEOPARQUET_VERSION = "1.1.0"
_HALF = 180.0
_GEOMETRY = "geometry"
_ROWS = 65_536
_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}
SUFFIXES = (".parquet", ".geoparquet", ".gpkg", ".geojson", ".json")
"""What files of polygons end in."""
# GeoPackage states when it was changed; the same map is to give the same bytes.
_NO_DATE = "1970-01-01T00:00:00.000Z"


def check_vectors(layer: Layer, target: Target) -> None:
    """Refuse what :func:`write_polygons` would refuse, before anything is computed.

    Raises
    ------
    DataError
        If the layer is no map of classes, or the suffix none of these formats.
    """
    check_classes(layer)
    if suffix(target) not in SUFFIXES:
        raise DataError(f"cannot write polygons to {target}: name a file that ends in {', '.join(SUFFIXES)}")
    crs_of(layer.grid)


def write_polygons(raster: Raster, path: Path, *, target: Target | None = None) -> int:
    """Write the areas of a class map as polygons, and return how many they are.

    Raises
    ------
    DataError
        As :func:`check_vectors` does.
    StorageError
        If it cannot be written.
    """
    import pyarrow as pa

    check_vectors(raster.layer, path)
    name = path if target is None else target
    try:
        if suffix(path) in _DRIVERS:
            return _write_by_gdal(raster, path)
        return _write_parquet(raster, path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError.doing(f"write {name}", error, advice=ADVICE) from error
    except (RuntimeError, pa.ArrowException) as error:  # pyogrio's are the former
        raise StorageError(f"cannot write {name}: {' '.join(str(error).split())[:200]}; {ADVICE}") from error


def _schema(*, boxes: bool) -> pa.Schema:
    import pyarrow as pa

    fields = [
        pa.field("value", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("area", pa.float64()),
        pa.field(_GEOMETRY, pa.binary()),
    ]
    if boxes:
        fields.append(pa.field("bbox", pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])))
    return pa.schema(fields)


def _batches(raster: Raster, schema: pa.Schema, *, cut: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield polygons with what is said of them, in the reference system of the map; cut at the antimeridian or not."""
    import pyarrow as pa
    import shapely

    layer = raster.layer
    names = {found.value: found.name for found in layer.classes}
    squared = _square_metres(raster)
    for found in areas(raster):
        x, y = moved(layer.grid.affine, found.points[:, 0], found.points[:, 1])
        polygons = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, np.stack([x, y], axis=1), (found.rings, found.areas)
        )
        columns = [
            pa.array(found.values),
            pa.array([names.get(int(value)) for value in found.values], pa.string()),
            pa.array(squared(x, y, found)),
            pa.array(shapely.to_wkb(_cut(polygons) if cut else polygons), pa.binary()),
        ]
        if "bbox" in schema.names:
            sides = shapely.bounds(polygons).T
            columns.append(
                pa.StructArray.from_arrays([pa.array(side) for side in sides], fields=list(schema.field("bbox").type))
            )
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _cut(polygons: Any) -> Any:
    """Bring polygons in degrees between -180 and 180, and cut them there (RFC 7946, section 3.1.9)."""
    import shapely

    west, _, east, _ = shapely.total_bounds(polygons)
    if not len(polygons) or (west >= -_HALF and east <= _HALF):
        return polygons
    turns = range(math.floor((west + _HALF) / (2 * _HALF)), math.ceil((east + _HALF) / (2 * _HALF)))
    parts = []
    for middle in (2.0 * _HALF * turn for turn in turns):
        here = shapely.intersection(polygons, shapely.box(middle - _HALF, -90, middle + _HALF, 90))
        here = shapely.buffer(here, 0)  # without what only touches an edge
        parts.append(shapely.transform(here, lambda points, of=middle: points - (of, 0.0)))
    return shapely.union_all(np.stack(parts), axis=0)


def _square_metres(raster: Raster) -> Callable[[Any, Any, Areas], Any]:
    """Return what computes areas on the ellipsoid: in a projection of equal area with straight sides of pixels.

    Of rows along parallels the cylindrical one is exact; of other grids the azimuthal one about their middle is, but
    for the bend of a pixel's side.
    """
    import pyproj

    grid = raster.layer.grid
    crs = crs_of(grid)
    parallel = has_meridians(crs) and is_straight(grid)
    if parallel:
        equal = f"+proj=cea +a={crs.ellipsoid.semi_major_metre!r} +b={crs.ellipsoid.semi_minor_metre!r}"
    else:
        x, y = moved(grid.affine, grid.shape[1] / 2, grid.shape[0] / 2)
        longitude, latitude = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        equal = f"+proj=laea +lon_0={longitude!r} +lat_0={latitude!r} +ellps=WGS84"
    to_equal = pyproj.Transformer.from_crs(crs, pyproj.CRS.from_proj4(equal), always_xy=True)

    def squared(x: Any, y: Any, found: Areas) -> Any:
        import shapely

        across, along = (np.asarray(values) for values in to_equal.transform(x, y))
        if parallel:
            # Whatever range of longitudes the grid counts in.
            across = x * crs.axis_info[0].unit_conversion_factor * crs.ellipsoid.semi_major_metre
        points = np.stack([across, along], axis=1)
        flat = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (found.rings, found.areas))
        return shapely.area(flat)

    return squared


def _write_parquet(raster: Raster, path: Path) -> int:
    import pyarrow.parquet as pq

    schema = _schema(boxes=True)
    geo = {
        "version": GEOPARQUET_VERSION,
        "primary_column": _GEOMETRY,
        "columns": {
            _GEOMETRY: {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "crs": json.loads(crs_of(raster.layer.grid).to_json()),
                "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }
    schema = schema.with_metadata({"geo": json.dumps(geo)})
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(raster, schema):
            writer.write_batch(batch, row_group_size=_ROWS)
            count += batch.num_rows
    return count


def _write_by_gdal(raster: Raster, path: Path) -> int:
    import pyarrow as pa
    import pyogrio

    count = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for batch in _batches(raster, schema, cut=cut):
            count += batch.num_rows
            yield batch

    schema = _schema(boxes=False)
    driver = _DRIVERS[suffix(path)]
    options = {"RFC7946": "YES", "WRITE_BBOX": "NO"} if driver == "GeoJSON" else {"SPATIAL_INDEX": "YES"}
    crs = crs_of(raster.layer.grid)
    cut = driver == "GeoJSON" and has_meridians(crs)  # GDAL loses what lies beyond 360
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _NO_DATE})
    try:
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(schema, counted()),
            path,
            layer=file_name(raster.layer.name),
            driver=driver,
            geometry_name=_GEOMETRY,
            geometry_type="Polygon",
            crs=f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else crs.to_wkt(),
            **options,
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
    return count
