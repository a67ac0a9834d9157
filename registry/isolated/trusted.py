"""Models that run code of their publisher's, for a caller who trusts him by name: in a process of their own.

The process is one of this very Python, with hardly any environment variables, a home of its own and none of this
process's memory. It runs as the user all the same: what is trusted can do what he can.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.inspecting.archives import inspect_archive
from modelstac.registry.isolated.environments import Environment
from modelstac.registry.runtimes import RUNS_CODE
from modelstac.registry.trust.policy import LAMBDA, TrustPolicy

if TYPE_CHECKING:
    from modelstac.registry.files.artifact import Artifact


@dataclass(frozen=True)
class ThisEnvironment(Environment):
    """The packages that are installed here."""

    @property
    def interpreter(self) -> Path:
        """The Python that runs this."""
        return Path(sys.executable)

    def in_use(self) -> contextlib.AbstractContextManager[None]:
        """Nobody removes it."""
        return contextlib.nullcontext()

    @classmethod
    def here(cls) -> ThisEnvironment:
        """Describe it."""
        return cls("", Path(sys.prefix), platform.python_version(), (), (), time.time())


def trusted_by(artifact: Artifact, artifact_type: str, policy: TrustPolicy) -> str | None:
    """Return the word of trust by which a file may run its code, and log that; None if it has no such code.

    Raises
    ------
    UntrustedError, InvalidItemError
        If a ``.keras`` file holds more than Lambda layers that could do harm.
    """
    word = RUNS_CODE[artifact_type][0] if artifact_type in RUNS_CODE else None
    if artifact_type == FORMATS["keras"].artifact_type and LAMBDA in policy.code:
        known = policy.custom_objects
        code = inspect_archive(artifact.data, artifact.path, max_bytes=policy.max_bytes, lambdas=True, packages=known)
        word = LAMBDA if code else None
    if word is not None:
        logging.getLogger("modelstac").warning(
            "item %r runs code of its publisher (%s, sha256 %s) because the caller says trust=%r",
            artifact.item_id,
            artifact_type,
            artifact.sha256,
            word,
        )
    return word
