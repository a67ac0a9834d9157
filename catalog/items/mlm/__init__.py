"""The Machine Learning Model (MLM) extension: its words, and its parts as typed objects.

The objects are models of pydantic, which take their time to be made: they are when one is first asked for.

Order, each importing only from those before it: names · fragments.
"""

from typing import TYPE_CHECKING

from modelstac.catalog.items.mlm.names import (
    BAND_AXES,
    BANDS_FIELD,
    CLASSES_FIELD,
    CLASSES_FIELDS,
    DATACUBE_SCHEMA_URI,
    DTYPE_FIELD,
    FILE_SCHEMA_URI,
    FRAMEWORKS,
    GAPS_FIELD,
    MLM_SCHEMA_URI,
    MODEL_ROLE,
    RANGE_FIELD,
    RASTER_SCHEMA_URI,
    SCIENTIFIC_SCHEMA_URI,
    SEMVER,
    TASKS,
    TENSOR_FIELD,
    VERSION_SCHEMA_URI,
    Accelerator,
    DataType,
    ResizeType,
    Task,
    band_axis,
    colour_digits,
)
from modelstac.catalog.later import later

if TYPE_CHECKING:
    from modelstac.catalog.items.mlm.fragments import (
        BandOrVariable,
        Clip,
        ClipMax,
        ClipMin,
        DimensionName,
        Fragment,
        InputStructure,
        MinMax,
        ModelInput,
        ModelOutput,
        Offset,
        Processing,
        ResultStructure,
        Scale,
        Structure,
        ValueScaling,
        ZScore,
        one_line,
    )

__all__ = [
    "BANDS_FIELD",
    "BAND_AXES",
    "CLASSES_FIELD",
    "CLASSES_FIELDS",
    "DATACUBE_SCHEMA_URI",
    "DTYPE_FIELD",
    "FILE_SCHEMA_URI",
    "FRAMEWORKS",
    "GAPS_FIELD",
    "MLM_SCHEMA_URI",
    "MODEL_ROLE",
    "RANGE_FIELD",
    "RASTER_SCHEMA_URI",
    "SCIENTIFIC_SCHEMA_URI",
    "SEMVER",
    "TASKS",
    "TENSOR_FIELD",
    "VERSION_SCHEMA_URI",
    "Accelerator",
    "BandOrVariable",
    "Clip",
    "ClipMax",
    "ClipMin",
    "DataType",
    "DimensionName",
    "Fragment",
    "InputStructure",
    "MinMax",
    "ModelInput",
    "ModelOutput",
    "Offset",
    "Processing",
    "ResizeType",
    "ResultStructure",
    "Scale",
    "Structure",
    "Task",
    "ValueScaling",
    "ZScore",
    "band_axis",
    "colour_digits",
    "one_line",
]

_FRAGMENTS = set(__all__) - globals().keys()
__getattr__ = later(__name__, {name: f"{__name__}.fragments:{name}" for name in _FRAGMENTS})
