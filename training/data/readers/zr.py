"""Rain rate from radar reflectivity and back, by a Z-R relation Z = a R^b (Z in mm^6 m^-3, R in mm/h)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Relation:
    """A Z-R relation.

    Parameters
    ----------
    a, b
        Its factor and exponent.
    source
        Where it comes from.
    """

    a: float
    b: float
    source: str

    def __str__(self) -> str:
        return f"from reflectivity by Z = {self.a:g} R^{self.b:g} ({self.source})"

    def rain_rate(self, dbz: ArrayLike) -> NDArray[np.float32]:
        """Turn reflectivity in dBZ into rain rate in mm/h; NaN stays NaN."""
        decades = (np.asarray(dbz, dtype=np.float64) - 10 * np.log10(self.a)) / (10 * self.b)
        return np.asarray(np.power(10.0, decades), dtype=np.float32)

    def reflectivity(self, rate: ArrayLike) -> NDArray[np.float64]:
        """Turn rain rate in mm/h into reflectivity in dBZ: -inf where it is dry; NaN stays NaN."""
        with np.errstate(divide="ignore"):
            return np.asarray(10 * np.log10(self.a) + 10 * self.b * np.log10(np.asarray(rate, dtype=np.float64)))


MARSHALL_PALMER = Relation(200.0, 1.6, "Marshall, Hitschfeld and Gunn, 1955; used by KNMI and OPERA")
FINLAND = Relation(223.0, 1.53, "Leinonen et al., 2012; used by FMI")
