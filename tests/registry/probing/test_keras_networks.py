"""Networks in Keras, channels last, on two backends: sizes and halo as by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests import prepared

import modelstac

ROOT = Path(__file__).resolve().parents[3]
SOURCE = Path(modelstac.__file__).parents[1]
EVEN = {"at_least": 2, "step": 2}
ANY = {"at_least": 1, "step": 1}
# size and halo of height and width
TABLE: dict[str, tuple[dict[str, int] | None, Any]] = {
    # two 3 x 3 down and up on the levels 1, 2 and 4, two at the bottom, 8; and its block
    "unet": ({"at_least": 8, "step": 8}, 2 * (2 * (1 + 2 + 4)) + 2 * 8 + 7),
    "dilated": (ANY, 1 + 2 + 4),
    # Keras pads an even size for a stride of 2 at its end only: 2 i … 2 i + 2, and a 3 x 3 on the half grid around it:
    # 2 i - 2 … 2 i + 4, where the output lies over 2 i and 2 i + 1
    "strided": (EVEN, 3),
    # 5 x 5 and 3 x 3 without padding
    "valid": ({"at_least": 1 + 2 * (2 + 1), "step": 1}, 2 + 1),
    # 3 x 3 of the frame in each of two layers, and 3 x 3 of the state for each further frame; its grid is 24 x 24
    "convlstm": (None, {"pixels": 2 - 1, "per": {"time": 1}}),
}


def measured(backend: str, *names: str) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MODELSTAC_", "KERAS_BACKEND"))}
    done = prepared.run(
        ["-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {RUN}", *names],
        environment=clean | {"PYTHONPATH": str(SOURCE), "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        folder=ROOT,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


# `tests` is a folder without __init__, and some package has one of that name.
RUN = "import types; t = types.ModuleType('tests'); t.__path__ = [sys.path[0] + '/tests']; sys.modules['tests'] = t; "
RUN += "from tests.registry.probing.keras_process import main; main(sys.argv[1:])"


@pytest.mark.parametrize(("backend", "names"), [("tensorflow", list(TABLE)), ("torch", ["unet", "dilated", "valid"])])
def test_in_keras(backend: str, names: list[str]) -> None:
    found = measured(backend, *names)
    for name in names:
        size, halo = TABLE[name]
        assert found[name]["notes"] == [], name
        assert [found[name]["sizes"].get(axis) for axis in ("height", "width")] == [size, size], name
        assert found[name]["halo"] == {"height": halo, "width": halo}, name
