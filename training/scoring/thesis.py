"""The scores of Giese (2025) as they were defined, so that its numbers can be compared with ours.

They are over the values that its models see, from 0 to 1, and over every pixel, measured or not: what is not measured
is 1 in the observation and soon in any forecast, so that three quarters of the pixels are right by definition.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from modelstac.catalog.errors import DataError
from modelstac.training.data import Preparation


def thesis_rmse(
    forecast: ArrayLike,
    observed: ArrayLike,
    preparation: Preparation,
    *,
    script: Literal["keras", "pytorch"] = "keras",
) -> float:
    """Return the root mean square error as the thesis computes it.

    Parameters
    ----------
    forecast, observed
        Rain rates (window, time, y, x) in mm/h of frames prepared by `modelstac.training.data.THESIS`.
    preparation
        That preparation: it turns them into the values that are compared.
    script
        ``keras`` pools all pixels of all windows; ``pytorch`` averages the errors of the windows. The forecasts are cut
        to 0..1, which only the latter does; a sigmoid gives no others.

    Raises
    ------
    DataError
        The shapes differ, or the frames still have missing pixels.
    """
    forecast, observed = np.asarray(forecast), np.asarray(observed)
    if forecast.shape != observed.shape or forecast.ndim != 4 or not forecast.size:
        raise DataError(f"forecast {forecast.shape} and observation {observed.shape} must be (window, time, y, x)")
    if not (np.isfinite(forecast).all() and np.isfinite(observed).all()):
        raise DataError("the thesis knows no missing pixels: prepare the frames with modelstac.training.data.THESIS")
    error = preparation.to_model(forecast).astype(np.float64) - preparation.to_model(observed)
    squared = np.square(error).mean(axis=(1, 2, 3))
    return float(np.sqrt(squared.mean()) if script == "keras" else np.sqrt(squared).mean())
