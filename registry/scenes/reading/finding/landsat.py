"""What is known of Landsat's products of level 2 that their files do not say: bands, scale, offset, nodata.

Source: Collection 2 Level 2 Science Product Guides, LSDS-1619 of Landsat 8 and 9, LSDS-1618 of Landsat 4 to 7.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from modelstac.registry.running.bands import Band
from modelstac.registry.scenes.reading.finding.parts import Numbers

_NAME = re.compile(
    r"L[COTE]0([45789])_L2S[PR]_\d{6}_\d{8}_\d{8}_02_(?:T1|T2|RT)_(?:(SR|ST)_B(\d{1,2})|(?:SR_|ST_)?(?:QA|CLOUD_QA)\w*)\.TIF",
    re.IGNORECASE,
)
_SOURCE = "Landsat, Collection 2, level 2"
_SAID: MappingProxyType[str, tuple[float, float, str]] = MappingProxyType(
    {"SR": (2.75e-5, -0.2, "1"), "ST": (0.00341802, 149.0, "K")}
)
_EARLIER = MappingProxyType({1: "blue", 2: "green", 3: "red", 4: "nir08", 5: "swir16", 6: "lwir", 7: "swir22"})
_LATER = MappingProxyType(
    {1: "coastal", 2: "blue", 3: "green", 4: "red", 5: "nir08", 6: "swir16", 7: "swir22", 10: "lwir11"}
)


def of_file_name(name: str, band: Band) -> tuple[Band, Numbers] | None:
    """Return what is known of the band of a file that is named as those of a product are; None of another."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match[2] is None:
        return band, Numbers(classes=True)
    number, (scale, offset, unit) = int(match[3]), _SAID[match[2].upper()]
    common = (_LATER if match[1] in "89" else _EARLIER).get(number, "")
    return Band(f"B{number}", common), Numbers(scale, offset, 0.0, unit, source=_SOURCE)
