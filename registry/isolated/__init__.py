"""Models that run in an environment and a process of their own.

Order, each importing only from those before it: answers, processes, requirements, saving, shared · uv · environments,
worker · model, pins, trusted · loading, reopening, verified.
"""

from __future__ import annotations

import os

from modelstac.catalog.errors import SpecError

VARIABLE = "MODELSTAC_ISOLATED"
CHOICES = ("never", "auto", "always")


def choice(isolated: bool | None) -> str:
    """Say when to isolate: ``never``, ``auto`` (when a package is missing here) or ``always``.

    Raises
    ------
    SpecError
        If the setting is none of these.
    """
    if isolated is not None:
        return "always" if isolated else "never"
    setting = os.environ.get(VARIABLE) or "never"
    if setting not in CHOICES:
        raise SpecError(f"{VARIABLE} is {setting!r}: expected {', '.join(CHOICES)}")
    return setting
