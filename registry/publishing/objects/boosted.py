"""Trees of XGBoost and LightGBM in their own files: text and JSON, which their library reads and which run no code."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, StorageError

SUFFIXES = (".txt", ".json", ".ubj", ".model", ".xgb", ".lgb", ".lgbm")
_SAVE_XGBOOST = "save it by XGBoost's save_model as .json or .ubj"
_SAVE_LIGHTGBM = "save it by LightGBM's save_model as text"


def kind_of(path: Path) -> str | None:
    """Tell whose trees a file holds by how it begins: ``xgboost``, ``lightgbm``, or None.

    Raises
    ------
    InvalidItemError
        If it is a file of theirs that holds no model, or one that they read no longer; says how to write it.
    StorageError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        return None  # said where it is looked for
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    start = head.lstrip()
    if start.startswith(b"tree") and b"version=" in head and b"num_class=" in head:
        return "lightgbm"
    if head.startswith((b"{L", b"{i")) and b"learner" in head:
        return "xgboost"
    if head.startswith(b"binf"):
        raise InvalidItemError(f"{path} is of XGBoost's old binary format: {_SAVE_XGBOOST}")
    if start.startswith(b"booster["):
        raise InvalidItemError(f"{path} is a dump of XGBoost for people, which cannot be read back: {_SAVE_XGBOOST}")
    return _of_json(path, start)


def _of_json(path: Path, start: bytes) -> str | None:
    if not start.startswith((b"{", b"[")):
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("learner"), dict):
        return "xgboost"
    if isinstance(found, dict) and "tree_info" in found:
        raise InvalidItemError(f"{path} is a dump of LightGBM, which cannot be read back: {_SAVE_LIGHTGBM}")
    if isinstance(found, list) and found and isinstance(found[0], dict) and "nodeid" in found[0]:
        raise InvalidItemError(f"{path} is a dump of XGBoost for people, which cannot be read back: {_SAVE_XGBOOST}")
    return None


def read_trees(path: Path, kind: str) -> Any:
    """Read trees by their own library.

    Parameters
    ----------
    kind
        What :func:`kind_of` gave.

    Returns
    -------
    model
        ``lightgbm.Booster``, ``xgboost.XGBClassifier`` or ``xgboost.XGBRegressor``.

    Raises
    ------
    MissingPackageError
        If the library is not installed.
    InvalidItemError
        If it cannot read the file; with its own words.
    """
    try:
        return _lightgbm(path) if kind == "lightgbm" else _xgboost(path)
    except ModuleNotFoundError as error:
        if error.name != kind:
            raise
        raise MissingPackageError(f"{path.name} is a model of {kind}, which reads it: pip install {kind}") from error
    except (ValueError, TypeError, RuntimeError, OSError) as error:  # both raise a ValueError of their own
        reason = " ".join(str(error).split())[-300:]
        raise InvalidItemError(f"{path} cannot be read by {kind}: {reason}") from error


def _lightgbm(path: Path) -> Any:
    import lightgbm

    return lightgbm.Booster(model_file=path)


def _xgboost(path: Path) -> Any:
    import xgboost

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an older version wrote it, which it reads
        booster = xgboost.Booster(model_file=path)
        objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
        classifies = objective.startswith(("binary:", "multi:"))
        model = xgboost.XGBClassifier() if classifies else xgboost.XGBRegressor()
        model.load_model(path)
    return model
