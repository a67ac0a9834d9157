"""What the land is covered with, and how it reflects: nine classes in the names, codes and colours of ESA WorldCover.

Source of the legend: Zanaga et al. (2022), ESA WorldCover 10 m 2021 v200, Product User Manual, table 2. The spectra are
round numbers after common spectral libraries, made so that the classes can be told apart and are not trivial.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelstac.registry.scenes.rasters import Class

CLASSES = (
    Class(10, "Tree cover", "#006400"),
    Class(20, "Shrubland", "#ffbb22"),
    Class(30, "Grassland", "#ffff4c"),
    Class(40, "Cropland", "#f096ff"),
    Class(50, "Built-up", "#fa0000"),
    Class(60, "Bare / sparse vegetation", "#b4b4b4"),
    Class(70, "Snow and ice", "#f0f0f0"),
    Class(80, "Permanent water bodies", "#0064c8"),
    Class(90, "Herbaceous wetland", "#0096a0"),
)
TREE, SHRUB, GRASS, CROP, BUILT, BARE, SNOW, WATER, WETLAND = range(9)
"""Places of the classes in the list."""
NOTHING = 0
"""Code of pixels without a class, as in WorldCover."""

# Reflectance at 490, 560, 665, 705, 740, 783, 842, 865, 1610 and 2190 nm.
LUSH: Mapping[int, tuple[float, ...]] = MappingProxyType(
    {
        TREE: (0.020, 0.040, 0.022, 0.065, 0.200, 0.260, 0.280, 0.300, 0.130, 0.060),
        SHRUB: (0.038, 0.060, 0.052, 0.100, 0.200, 0.240, 0.260, 0.280, 0.240, 0.150),
        GRASS: (0.035, 0.070, 0.045, 0.110, 0.280, 0.340, 0.360, 0.380, 0.250, 0.130),
        CROP: (0.030, 0.060, 0.030, 0.100, 0.330, 0.420, 0.450, 0.470, 0.200, 0.100),
        BUILT: (0.120, 0.130, 0.140, 0.150, 0.160, 0.170, 0.180, 0.180, 0.200, 0.190),
        BARE: (0.130, 0.170, 0.210, 0.230, 0.240, 0.250, 0.260, 0.270, 0.340, 0.320),
        SNOW: (0.850, 0.860, 0.860, 0.850, 0.840, 0.820, 0.800, 0.780, 0.120, 0.100),
        WATER: (0.050, 0.045, 0.030, 0.025, 0.020, 0.018, 0.015, 0.014, 0.008, 0.006),
        WETLAND: (0.035, 0.055, 0.050, 0.080, 0.150, 0.180, 0.190, 0.200, 0.110, 0.060),
    }
)
"""When it is greenest."""
WINTRY: Mapping[int, tuple[float, ...]] = MappingProxyType(
    dict(LUSH)
    | {
        TREE: (0.030, 0.045, 0.045, 0.070, 0.130, 0.150, 0.170, 0.180, 0.160, 0.100),
        SHRUB: (0.050, 0.070, 0.080, 0.110, 0.160, 0.180, 0.200, 0.210, 0.260, 0.190),
        GRASS: (0.060, 0.090, 0.100, 0.140, 0.210, 0.240, 0.260, 0.280, 0.310, 0.210),
        CROP: (0.080, 0.110, 0.140, 0.160, 0.180, 0.200, 0.220, 0.230, 0.300, 0.260),
        WETLAND: (0.050, 0.070, 0.080, 0.100, 0.130, 0.140, 0.150, 0.160, 0.120, 0.080),
    }
)
"""When it is not: bare soil, dry grass, leafless trees."""
TEXTURE = (0.14, 0.10, 0.05, 0.04, 0.28, 0.08, 0.04, 0.06, 0.09)
"""Standard deviation of the reflectance between neighbours, as a share of it, by class."""
BACKSCATTER = (
    *((0.16, 0.040), (0.10, 0.020), (0.06, 0.010), (0.08, 0.015), (0.55, 0.060)),
    *((0.04, 0.005), (0.09, 0.012), (0.006, 0.0006), (0.05, 0.006)),
)
"""Of a C-band radar, as linear power of VV and VH, by class."""
