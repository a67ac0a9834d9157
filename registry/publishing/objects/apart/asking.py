"""How a program is asked and answers: files in a folder. It runs on old Pythons too, with NumPy and nothing of ours."""

from __future__ import annotations

import atexit
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

REQUEST, ANSWER, GIVEN, FOUND = "request.json", "answer.json", "given.npz", "found.npz"


def write_arrays(path: Any, arrays: Any) -> None:
    """Write arrays in their order."""
    np.savez(path, **{f"a{number}": np.asarray(array) for number, array in enumerate(arrays)})


def read_arrays(path: Any) -> list[Any]:
    """Read arrays in their order; none where there is no file."""
    if not Path(path).exists():
        return []
    with np.load(path, allow_pickle=False) as found:
        return [found[f"a{number}"] for number in range(len(found.files))]


def stand_in(root: str, names: Any) -> None:
    """Put empty packages with the folders of ours in the place of those that import what may not be here."""
    for name in names:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(root).joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package


def serve(work: Any) -> None:
    """Do the work that the folder asks for, and leave the answer there.

    ``work`` is a function of the request, the given arrays and the folder of our packages; it returns what is said,
    what the model was run on, and what it gave.
    """
    folder, root, *packages = sys.argv[1:]
    sys.path.extend(part for part in packages if part not in sys.path)
    place = Path(folder)
    request = json.loads((place / REQUEST).read_text(encoding="utf-8"))
    try:
        said, inputs, outputs = work(request, read_arrays(place / GIVEN), root)
        write_arrays(place / GIVEN, inputs)
        write_arrays(place / FOUND, outputs)
    except Exception as error:  # noqa: BLE001 - a framework may raise anything; the one who asks says it
        said = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}"}
    (place / ANSWER).write_text(json.dumps(said), encoding="utf-8")
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # taking the framework apart takes a second or two
