"""Opens a pickle of scikit-learn, XGBoost or LightGBM, for one who trusts its publisher, and writes it as ONNX.

It runs in an environment with the scikit-learn that wrote it, NumPy and what makes ONNX, and nothing of ours.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

HEAVY = ("modelstac", "modelstac.catalog", "modelstac.registry", "modelstac.registry.publishing")


def work(request: Any, given: Any, root: str) -> Any:
    """Read the pickle, write ONNX, and run the model itself on the example."""
    asking: Any = importlib.import_module("asking")

    asking.stand_in(root, HEAVY)
    from modelstac.registry.publishing.objects import classical

    warnings.simplefilter("ignore")
    model = _read(request["path"])
    if not hasattr(model, "predict"):
        raise TypeError(f"it holds a {type(model).__name__}, which predicts nothing")
    arrays = {classical.INPUT: given[0]} if given else {}
    saved = classical.save(model, Path(request["folder"]), arrays, request["said"])
    found = list(saved.run(arrays)) if given and saved.run is not None else []
    numbers = [one for one in found if getattr(one, "dtype", None) is not None and one.dtype.kind in "fiub"]
    # A label that is a text stays out: the graph gives it by its number, and the item names it.
    places = [number for number, one in enumerate(found) if one.dtype.kind in "fiub"]
    said = {"known": dict(saved.known), "labels": saved.labels, "missing": saved.missing}
    return {**said, "path": saved.path.name, "places": places, "count": len(found)}, given, numbers


def _read(path: str) -> Any:
    try:
        joblib: Any = importlib.import_module("joblib")
    except ModuleNotFoundError:
        with Path(path).open("rb") as file:
            return pickle.load(file)  # noqa: S301 - whoever publishes it says that he trusts it
    return joblib.load(path)  # plain pickles, too


if __name__ == "__main__":
    asking: Any = importlib.import_module("asking")

    asking.serve(work)
