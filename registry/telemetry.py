"""Nothing here calls home: what frameworks measure of their users is switched off before they are imported.

The wheels of ONNX Runtime (1.32) and OpenVINO (2026.4) send usage data unless told not to: the first keeps a device id
and events in the user's cache and looks up its maker's host, the second looks up a host of Google Analytics when it is
imported. What somebody has set of these variables by hand is left as it is, so that one can still take part.
"""

from __future__ import annotations

import os
import sys
from types import MappingProxyType

from modelstac.catalog.later import imported

VARIABLES = MappingProxyType(
    {
        "DO_NOT_TRACK": "1",  # what several tools agreed on: https://consoledonottrack.com
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
)
"""Variables of the environment by which telemetry is switched off; child processes inherit them."""
MODULES = ("openvino_telemetry",)
"""Packages that only send usage data; OpenVINO does without where they cannot be imported."""


def opt_out() -> None:
    """Switch telemetry off in this process and its children, as far as nobody has said otherwise.

    It must be called before a framework is imported. ONNX Runtime is also told where it is there already; what it sent
    before that, nobody can call back.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    for name in MODULES:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # so Python says that it cannot be imported
    earlier = imported("onnxruntime")
    if earlier is not None and os.environ["ORT_DISABLE_TELEMETRY"] == VARIABLES["ORT_DISABLE_TELEMETRY"]:
        earlier.disable_telemetry_events()


def said() -> dict[str, str]:
    """Return what is set of :data:`VARIABLES`, for a process that does not inherit the environment."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}
