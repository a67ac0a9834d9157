"""Keep the chatter of frameworks off the terminal of somebody who asked for one line, and what they need not import."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_frameworks() -> None:
    """Set what must be set before a framework is imported; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ.get("MODELSTAC_DEBUG", "0") in {"", "0"}:
        warnings.filterwarnings("ignore", module=r"(keras|tensorflow|torch)(\.|$)")
        # TensorFlow speaks of tracing again where Keras compiles an operator anew for each shape, as it must.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def lean_frameworks() -> None:
    """Prepare as :func:`quiet_frameworks` does, and import Keras without what no command but those that train uses."""
    from modelstac.registry.runtimes.backends import spare_beside

    quiet_frameworks()
    spare_beside()
