"""What a search means, asked of every backend: items, questions, and the answers that are right.

The answers are written down and not computed, so that no backend, ours included, is its own judge. What is chosen where
the standards leave a choice is in docs/decisions/0024-one-meaning-of-a-search.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pystac

from modelstac.catalog.items.geometry import box_geometry
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.testing.examples import Examples

NAME = "said"
_DAY = datetime(2020, 6, 5)
_FIJI = (177.0, -20.0, -178.0, -12.0)
_GREENWICH = (-1.0, -20.0, 1.0, -12.0)
_CAP = (-180.0, 80.0, 180.0, 90.0)

# Variant: box, first and last moment, properties. Names of extensions that the items do not declare may have any value.
_SAID: dict[str, tuple[tuple[float, ...], datetime, datetime, dict[str, Any]]] = {
    "midnight": (
        _GREENWICH,
        _DAY,
        _DAY,
        {
            "sat:anx_datetime": "2020-06-05T00:00:00Z",
            "eo:cloud_cover": 10,
            "sci:citation": "strasse_1",
            "sat:ascending": False,
            "keywords": ["a"],
            "view:azimuth": 9_007_199_254_740_992,
            "view:sun_azimuth": 1_152_921_504_606_846_976,
            "view:shape": [1_152_921_504_606_846_976],
            "landsat:wrs_path": "197",
        },
    ),
    "noon": (
        _FIJI,
        _DAY.replace(hour=12),
        _DAY.replace(hour=12),
        {
            "sat:anx_datetime": "2020-06-05T14:00:00+02:00",
            "eo:cloud_cover": 5,
            "sci:citation": "STRASSE_1",
            "sat:ascending": True,
            "keywords": ["a", "b"],
            "view:azimuth": 0.1,
            "view:sun_azimuth": 9_007_199_254_740_993,
        },
    ),
    "evening": (
        _GREENWICH,
        _DAY.replace(hour=23, minute=59, second=59, microsecond=999_000),
        _DAY.replace(hour=23, minute=59, second=59, microsecond=999_000),
        {
            "sat:anx_datetime": "2020-06-05T23:59:59.999Z",
            "eo:cloud_cover": 9.0,
            "sci:citation": "straße_1",
            "keywords": ["b", "a"],
            "view:azimuth": 1e300,
        },
    ),
    "morrow": (
        _CAP,
        datetime(2020, 6, 6),
        datetime(2020, 6, 6),
        {
            "sat:anx_datetime": "2020-06-06T00:00:00Z",
            "eo:cloud_cover": 100,
            "sci:citation": "50%x1",
            "keywords": ["c"],
            "view:azimuth": -7,
        },
    ),
    # Of another kind: a text where the others have a number, a number where they have a text or a list.
    "other": (
        (-180.0, -60.0, -179.0, -50.0),
        datetime(2018, 1, 1),
        datetime(2018, 1, 1),
        {"sat:anx_datetime": "2020-06-05", "eo:cloud_cover": "5", "sci:citation": 7, "view:azimuth": "7"},
    ),
    "period": ((10.0, 40.0, 20.0, 50.0), datetime(2019, 1, 1), datetime(2021, 12, 31, 23, 59, 59), {}),
}
ALL = " ".join(_SAID)
_OF_THE_DAY = "midnight noon evening"


def said_items(examples: Examples) -> list[pystac.Item]:
    """Return the items that the questions are asked of."""
    items = []
    for variant, (bbox, start, end, properties) in _SAID.items():
        item = examples.item(
            name=NAME, variant=variant, keywords=(), geometry=box_geometry(bbox), bbox=bbox, start=start, end=end
        )
        item.properties |= properties
        items.append(item)
    return items


def said_id(variant: str) -> str:
    """Return the id of one of the items."""
    return f"{NAME}-1.0.0-{variant}"


def _filters(questions: dict[str, str]) -> list[tuple[dict[str, Any], str]]:
    return [({"filter": text}, answer) for text, answer in questions.items()]


_DATES = {
    "sat:anx_datetime = DATE('2020-06-05')": f"{_OF_THE_DAY} other",
    "sat:anx_datetime <> DATE('2020-06-05')": "morrow",
    "sat:anx_datetime < DATE('2020-06-05')": "",
    "sat:anx_datetime <= DATE('2020-06-05')": f"{_OF_THE_DAY} other",
    "sat:anx_datetime > DATE('2020-06-05')": "morrow",
    "sat:anx_datetime >= DATE('2020-06-05')": f"{_OF_THE_DAY} morrow other",
    "sat:anx_datetime < DATE('2020-06-06')": f"{_OF_THE_DAY} other",
    "DATE('2020-06-06') > sat:anx_datetime": f"{_OF_THE_DAY} other",
    "sat:anx_datetime BETWEEN DATE('2020-06-04') AND DATE('2020-06-05')": f"{_OF_THE_DAY} other",
    "sat:anx_datetime NOT BETWEEN DATE('2020-06-04') AND DATE('2020-06-05')": "morrow",
    "sat:anx_datetime IN (DATE('2020-06-06'), DATE('2020-06-07'))": "morrow",
    "NOT sat:anx_datetime = DATE('2020-06-05')": "morrow",
    "sat:anx_datetime = TIMESTAMP('2020-06-05T12:00:00Z')": "noon other",
    "sat:anx_datetime > TIMESTAMP('2020-06-05T12:00:00Z')": "evening morrow",
    "sat:anx_datetime <= TIMESTAMP('2020-06-05T12:00:00Z')": "midnight noon other",
    "t_during(sat:anx_datetime, INTERVAL('2020-06-04', '2020-06-05'))": _OF_THE_DAY,
    "t_after(sat:anx_datetime, DATE('2020-06-05'))": "morrow",
    "t_intersects(datetime, INTERVAL('2020-06-05', '2020-06-05'))": f"{_OF_THE_DAY} period",
    "t_intersects(datetime, DATE('2020-06-06'))": "morrow period",
    "t_intersects(datetime, TIMESTAMP('2020-01-01T00:00:00Z'))": "period",
    "t_after(datetime, DATE('2020-06-05'))": "morrow",
    "t_before(datetime, DATE('2020-06-05'))": "other",
    "t_disjoint(datetime, INTERVAL('..', '2020-06-05'))": "morrow",
    "t_during(datetime, INTERVAL('2018-06-01', '..'))": f"{_OF_THE_DAY} morrow period",
    "t_contains(datetime, DATE('2020-06-05'))": "period",
    "datetime >= TIMESTAMP('2020-06-05T12:00:00Z')": "noon evening morrow",
    "datetime = DATE('2019-01-01')": "period",
}
_MISSING = {
    "eo:cloud_cover IS NULL": "period",
    "NOT eo:cloud_cover IS NULL": "midnight noon evening morrow other",
    "mission = 'x'": "",
    "NOT mission = 'x'": "",
    "mission <> 'x'": "",
    "mission NOT IN ('x')": "",
    "mission NOT LIKE 'x'": "",
    "mission NOT BETWEEN 'a' AND 'b'": "",
    "mission = 'x' OR eo:cloud_cover = 10": "midnight",
    "NOT (mission = 'x' AND eo:cloud_cover = 10)": "noon evening morrow",
    "eo:cloud_cover <> 5": "midnight evening morrow",
    "NOT eo:cloud_cover = 5": "midnight evening morrow",
    "eo:cloud_cover NOT IN (5, 9)": "midnight morrow other",
    "interop:nothing.deeper = 1": "",
}
_KINDS = {
    "eo:cloud_cover = 5": "noon",
    "eo:cloud_cover = 5.0": "noon",
    "eo:cloud_cover = '5'": "other",
    "eo:cloud_cover > 9": "midnight morrow",
    "eo:cloud_cover < 'z'": "other",
    "eo:cloud_cover IN (9, '5')": "evening other",
    "eo:cloud_cover BETWEEN 9 AND 10": "midnight evening",
    "eo:cloud_cover * 2 >= 20": "midnight morrow",
    "eo:cloud_cover / 0 = 1": "",
    "eo:cloud_cover ^ 2 = 25": "noon",
    "eo:cloud_cover % 4 = 1": "noon evening",
    "sci:citation = 7": "other",
    "sci:citation < 'a'": "noon morrow",
    "eo:cloud_cover = sci:citation": "",
    "landsat:wrs_path = '197'": "midnight",
    "s2:mgrs_tile IS NULL": ALL,
    "eo:cloud_cover = view:azimuth": "",
    "view:azimuth = 0.1": "noon",
    "view:azimuth >= 1e300": "evening",
    "view:azimuth > 9007199254740000": "midnight evening",
    "view:azimuth < 0": "morrow",
    "view:sun_azimuth = 1152921504606846976": "midnight",
    "view:sun_azimuth <> 1152921504606846976": "noon",
    "view:sun_azimuth IN (1152921504606846976, 9007199254740993)": "midnight noon",
    "view:sun_azimuth = 9007199254740993": "noon",
    "view:sun_azimuth = 9007199254740992": "noon",
    "a_contains(view:shape, (1152921504606846976))": "midnight",
    "sat:ascending": "noon",
    "NOT sat:ascending": "midnight",
    "sat:ascending = TRUE": "noon",
    "sat:ascending <> TRUE": "midnight",
    "sat:ascending = 1": "",
    "sat:ascending AND eo:cloud_cover = 5": "noon",
    "keywords": "",
    "TRUE": ALL,
    "FALSE": "",
    "NOT FALSE": ALL,
    "FALSE OR eo:cloud_cover = 5": "noon",
}
_TEXTS = {
    "casei(sci:citation) = casei('Strasse_1')": "midnight noon evening",
    "casei(sci:citation) LIKE casei('STRASSE%')": "midnight noon evening",
    "sci:citation LIKE 'str%'": "midnight evening",
    "sci:citation LIKE 'STRASSE\\_1'": "noon",
    "sci:citation LIKE '50\\%_1'": "morrow",
    "sci:citation LIKE '50%\\_1'": "",
    "sci:citation NOT LIKE '%1'": "",
    "accenti(sci:citation) = accenti('straße_1')": "evening",
    "a_equals(keywords, ('b', 'a'))": "noon evening",
    "a_contains(keywords, ('a'))": "midnight noon evening",
    "'b' IN keywords": "noon evening",
    "'b' NOT IN keywords": "midnight morrow",
    "a_containedBy(keywords, ('a', 'c'))": "midnight morrow",
    "a_overlaps(keywords, ('b', 'c'))": "noon evening morrow",
    "NOT a_overlaps(keywords, ('b', 'c'))": "midnight",
}
_PLACES = {
    "s_intersects(geometry, BBOX(170, -30, -170, -10))": "noon",
    "s_intersects(geometry, BBOX(-10, -30, 10, -10))": "midnight evening",
    "s_within(geometry, BBOX(170, -30, -170, -10))": "noon",
    "s_disjoint(geometry, BBOX(170, -90, -170, 90))": "midnight evening period",
    "s_contains(geometry, POINT(-179 -15))": "noon",
    "s_intersects(geometry, POLYGON((100 85, 110 85, 110 90, 100 90, 100 85)))": "morrow",
    "NOT s_intersects(geometry, BBOX(170, -90, -170, 90))": "midnight evening period",
}
_OVER = {"type": "Polygon", "coordinates": [[[170, -30], [-170, -30], [-170, -10], [170, -10], [170, -30]]]}
MEANINGS: tuple[tuple[dict[str, Any], str], ...] = (
    *_filters(_DATES | _MISSING | _KINDS | _TEXTS | _PLACES),
    ({}, ALL),
    ({"bbox": (170, -30, -170, -10)}, "noon"),
    ({"bbox": (170, -30, 0, -170, -10, 9000)}, "noon"),
    ({"bbox": (-5, -30, 5, -10)}, "midnight evening"),
    ({"bbox": (-178.5, -15, -178.25, -14)}, "noon"),
    ({"bbox": (178, -90, 180, 90)}, "noon morrow other"),
    ({"bbox": (-180, 85, 180, 90)}, "morrow"),
    ({"bbox": (100, 85, 110, 90)}, "morrow"),
    ({"bbox": (170, 85, -170, 90)}, "morrow"),
    ({"bbox": (-180, -90, 180, 90)}, ALL),
    ({"intersects": {"type": "Point", "coordinates": [178.5, -18]}}, "noon"),
    ({"intersects": _OVER}, "noon"),
    ({"bbox": (170, -30, -170, -10), "datetime": "2020-06-05"}, "noon"),
    ({"bbox": (170, -30, -170, -10), "intersects": {"type": "Point", "coordinates": [0, -15]}}, ""),
    *(
        ({"datetime": text}, f"{_OF_THE_DAY} period")
        for text in ("2020-06-05", "20200605", "2020-157", "2020-W23-5", "2020-06-01/2020-06-05")
    ),
    *(
        ({"datetime": text}, f"{_OF_THE_DAY} morrow period")
        for text in ("2020-W23", "2020-06", "2020", "2020-06-05/..", "2020-06/2020-W23")
    ),
    ({"datetime": "../2020-06-05"}, f"{_OF_THE_DAY} other period"),
    # As pystac-client writes a day.
    ({"datetime": "2020-06-05T00:00:00Z/2020-06-05T23:59:59Z"}, f"{_OF_THE_DAY} period"),
    ({"datetime": "../2020-06-06T01:59:59+02:00"}, f"{_OF_THE_DAY.removesuffix(' evening')} other period"),
    ({"datetime": "../2020-06-05T23:59:59+00:00"}, f"{_OF_THE_DAY} other period"),
    ({"datetime": "2020-06-05T12:00:00Z"}, "noon period"),
    ({"datetime": "2021-12-31T23:59:59Z/.."}, "period"),
    ({"ids": (said_id("noon"), said_id("other")), "collections": NAME}, "noon other"),
    ({"ids": said_id("noon"), "collections": "nobody"}, ""),
)
# Sort, and the order. Numbers come before texts, what is missing last either way, and ties go by id.
ORDERS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("eo:cloud_cover",), "noon evening midnight morrow other period"),
    (("-eo:cloud_cover",), "other morrow midnight evening noon period"),
    (("view:azimuth",), "morrow noon midnight evening other period"),
    (("sci:citation",), "other morrow noon midnight evening period"),
    (("sat:ascending",), "midnight noon evening morrow other period"),
    (("-sat:ascending", "-id"), "noon midnight period other morrow evening"),
    (("datetime",), "other period midnight noon evening morrow"),
    (("landsat:wrs_path", "datetime"), "midnight other period noon evening morrow"),
    (("-end_datetime",), "period morrow evening noon midnight other"),
    (("gsd", "eo:cloud_cover"), "noon evening midnight morrow other period"),
)
REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"bbox": (170, -30, 190, -10)}, "degrees"),
    ({"bbox": (0, 10, 1, -10)}, "degrees"),
    ({"bbox": (0, 1, 2)}, "bbox"),
    ({"filter": "s_intersects(geometry, BBOX(170, -30, 190, -10))"}, "degrees"),
    ({"filter": "sat:anx_datetime = DATE('2020-02-30')"}, "time"),
    ({"datetime": "2020-02-30"}, "datetime"),
    ({"datetime": "2020-06-06/2020-06-05"}, "datetime"),
)


# What people look for by name, whatever its case.
_LAND = {
    "license": "CC-BY-4.0",
    "interop:scores": {"mIoU": 0.71, "IoU_water": 0.9},
    "interop:region": "Rhineland",
    "interop:months": [6, 7, 8],
}
_SEA = {
    "license": "MIT",
    "interop:scores": {"MIOU": 0.5, "rmse": 2},
    "interop:region": "North Sea",
    "interop:months": [1],
}
DESCRIBED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"filter": "mIoU > 0.6"}, "land"),
    ({"filter": "miou > 0.4"}, "land sea"),
    ({"filter": "interop:scores.Miou < 0.6"}, "sea"),
    ({"filter": "iou_WATER >= 0.9"}, "land"),
    ({"filter": "RMSE IS NULL"}, "land theirs beside"),
    ({"filter": "RMSE = 2"}, "sea"),
    ({"classes": "Water"}, "land sea"),
    ({"classes": ("water", "forest")}, "land"),
    ({"classes": "GRÜNLAND"}, "land"),
    ({"classes": "MEERESSTRASSE"}, "sea"),
    ({"classes": ("Grassland", "maïs")}, "theirs"),
    ({"classes": ("Built-up", "crops")}, "theirs"),
    ({"classes": "grass"}, "beside"),
    ({"bands": "b08"}, "land"),
    ({"bands": "VV"}, "sea"),
    ({"license": "cc-by-4.0"}, "land"),
    ({"region": "north sea"}, "sea"),
    ({"months": "Jul"}, "land"),
    ({"months": (1,)}, "sea"),
    ({"classes": "water", "filter": "mIoU > 0.6"}, "land"),
    ({"filter": "a_overlaps(bands, ('VV', 'B08'))"}, "land sea"),
)


def described_items(examples: Examples) -> list[pystac.Item]:
    """Return items that say what :data:`DESCRIBED` asks for; two list their classes as others do."""
    items = []
    theirs = {
        "classification_classes": [{"value": 0, "name": "grassland"}, {"value": 1, "name": "Maïs"}],
        "classes": ["crops", "built-up"],
    }
    for variant, said, bands, classes, more in (
        ("land", _LAND, ["B02", "B08"], ["water", "forest", "Grünland"], {}),
        ("sea", _SEA, ["VV"], ["Water", "ice", "Meeresstraße"], {}),
        ("theirs", {}, ["B01"], ["others"], theirs),
        ("beside", {"classification:classes": [{"value": 0, "name": "Grass"}]}, ["B01"], ["others"], {}),
    ):
        layout = InputStructure(shape=(-1, len(bands)), dim_order=("batch", "bands"), data_type="float32")
        result = ResultStructure(shape=(-1, len(classes)), dim_order=("batch", "class"), data_type="float32")
        listed = [{"value": n, "name": name, "description": name} for n, name in enumerate(classes)]
        fields: dict[str, Any] = {"classification:classes": listed, **more}
        output = ModelOutput(name="class", tasks=("classification",), result=result, **fields)
        item = examples.item(
            name=NAME,
            variant=variant,
            inputs=(ModelInput(name="tile", bands=tuple(bands), input=layout),),
            outputs=(output,),
            tasks=("classification",),
            sizes={},
            halo=None,
            cube_variables={},
        )
        item.properties |= said
        items.append(item)
    return items
