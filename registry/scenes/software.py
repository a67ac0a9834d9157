"""Which programs run a model here, and their versions: what the item of a result says of them."""

from __future__ import annotations

import re
import sys
from typing import Any

from modelstac.catalog.later import libraries
from modelstac.registry.choosing.machine import Machine
from modelstac.registry.runtimes import PACKAGES

_READERS = frozenset({"h5py", "safetensors"})  # of files: they run nothing
_PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def software(model: Any) -> dict[str, str]:
    """Return the versions of the packages that run a model, by name; none where it is not known what runs it.

    That is the package of its native object, such as ``onnxruntime``, and of Keras the backend beside it; of a model in
    an environment of its own, what this was made for.
    """
    environment = getattr(model, "environment", None)
    if environment is not None:
        asked = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in environment.asked}
        pins = (_PIN.match(one) for one in environment.packages)
        return {pin[1]: pin[2] for pin in pins if pin is not None and pin[1].lower() in asked - _READERS}
    made = libraries(getattr(model, "native", None))
    if (package := next((name for name in made if name in PACKAGES - _READERS), None)) is None:
        return {}
    machine = Machine.here()
    names = [package]
    if package == "keras" and (backend := machine.keras_backend) is not None:
        names.append(backend)
    return {name: machine.packages[name] for name in names if name in sys.modules and name in machine.packages}
