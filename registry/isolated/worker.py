"""The program of an isolated worker; see :mod:`modelstac.registry.isolated.model`.

It runs by the interpreter of an environment that holds a framework and nothing of ours, no pystac and no pydantic. So
the packages that import these are stood in for by empty ones with the same folder, and what is imported below needs
Python and NumPy alone. The artifact comes as bytes that the parent has verified; they are inspected here, before a
framework is imported, since what looks into them (h5py) may be missing there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

HEAVY = ("modelstac", "modelstac.catalog", "modelstac.registry", "modelstac.registry.isolated")


def stand_in(root: Path) -> None:
    """Put empty packages with the folders of ours in the place of those that import what may not be here."""
    for name in HEAVY:
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package


def hold_to(memory: int) -> None:
    """Let this process, and what it starts, have so many bytes of memory of its own; what is shared does not count."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def main(root: Path, memory: int | None = None) -> None:
    """Answer until there are no more requests."""
    if memory is not None:
        hold_to(memory)
    stand_in(root)
    from modelstac.catalog.ahead import seldom_collected
    from modelstac.registry import telemetry
    from modelstac.registry.isolated.answers import Answers

    seldom_collected()
    telemetry.opt_out()
    answers = Answers()
    worker = Worker(answers)
    answers.serve({verb: getattr(worker, verb) for verb in ("load", "rebuild", "predict", "result", "save")})


class Worker:
    """Holds one model."""

    def __init__(self, answers: Any) -> None:
        self._heard = answers.heard
        self._opened: Any = None
        self._result: Any = None

    def load(
        self, artifact: dict[str, Any], description: dict[str, Any], policy: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Load a model from memory, and say what its file calls inputs and outputs."""
        from modelstac.catalog.items.formats import FORMATS
        from modelstac.registry.files.artifact import Artifact
        from modelstac.registry.inspecting.inspection import inspect
        from modelstac.registry.isolated.shared import OpenedMemory
        from modelstac.registry.runtimes import runtime
        from modelstac.registry.runtimes.backends import import_keras
        from modelstac.registry.runtimes.options import Options
        from modelstac.registry.trust.policy import TrustPolicy

        with OpenedMemory(artifact["memory"]) as memory:
            data = memory.bytes(artifact["size"] + sum(artifact["beside"].values()))
        beside, start = {}, artifact["size"]
        for name, length in artifact["beside"].items():
            beside[name] = data[start : start + length]
            start += length
        data = data if not beside else data[: artifact["size"]]
        found = Artifact(artifact["item_id"], Path(artifact["path"]), data, artifact["sha256"], beside=beside)
        artifact_type = artifact["artifact_type"]
        trust = TrustPolicy.from_dict(policy)
        inspect(found, artifact_type, trust)
        if artifact_type == FORMATS["keras"].artifact_type:
            import_keras(description["backend"], item_id=found.item_id, report=self._heard)
        loader: Any = runtime(artifact_type, item_id=found.item_id)
        self._opened = loader.load(found, SimpleNamespace(**description), trust, Options(**options))
        return self._interface()

    def _interface(self) -> dict[str, Any]:
        return {name: getattr(self._opened, name) for name in ("inputs", "outputs", "named", "optional")}

    def rebuild(self, memory: str, size: int, backend: str, builder: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Build a Keras model by a function of ours, from its specification and an archive of its weights."""
        import importlib
        import io

        import numpy as np

        from modelstac.registry.isolated.shared import OpenedMemory
        from modelstac.registry.runtimes.backends import import_keras

        with OpenedMemory(memory) as given:
            data = given.bytes(size)
        import_keras(backend, item_id="the rebuilt model", report=self._heard)
        with np.load(io.BytesIO(data), allow_pickle=False) as weights:
            module, _, function = builder.partition(":")
            model = getattr(importlib.import_module(module), function)(fields, dict(weights))
        runtime: Any = importlib.import_module("modelstac.registry.runtimes.keras")
        self._opened = runtime.opened(model)
        return self._interface()

    def predict(self, memory: str, arrays: dict[str, Any], room: str, exactly: bool = False) -> dict[str, Any]:
        """Run the model, and leave the result where there is room for it, or keep it for :meth:`result`."""
        import numpy as np

        from modelstac.registry.isolated.shared import OpenedMemory

        run = self._opened.exactly if exactly and self._opened.exactly is not None else self._opened.run
        with OpenedMemory(memory) as given:
            inputs = given.arrays(arrays)
            for array in inputs.values():
                array.flags.writeable = False
            self._result = {name: np.ascontiguousarray(found) for name, found in run(inputs).items()}
            for name, found in self._result.items():  # a model may give back what it was given
                if any(np.shares_memory(found, array) for array in inputs.values()):
                    self._result[name] = found.copy()
            del inputs, array
        return self.result(room)

    def result(self, room: str) -> dict[str, Any]:
        """Leave the last result in memory of the one who asks, if it fits there."""
        from modelstac.registry.isolated.shared import OpenedMemory, placed

        places, size = placed(self._result)
        answer = {"arrays": places, "size": size, "there": False}
        with OpenedMemory(room) as memory:
            if size <= memory.size:
                memory.fill(self._result, places)
                answer["there"], self._result = True, None
        return answer

    def save(self, form: str, path: str, shape: list[int], open_axes: list[int]) -> dict[str, str]:
        """Save the model anew, as this environment does it."""
        from modelstac.registry.isolated.saving import save

        return save(self._opened.native, form, Path(path), shape, open_axes)


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None)
