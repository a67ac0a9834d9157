"""Run benchmarks and print their tables: all that compare, or those named, such as ``python -m benchmarks latency``.

``python -m benchmarks soak --help`` tells of the soak, which takes options.
"""

from __future__ import annotations

import importlib
import sys

COMPARISONS = (
    "starting",
    "latency",
    "exporting",
    "converting",
    "loading",
    "embedded",
    "publishing",
    "servers",
    "registering",
    "registry",
    "predicting",
    "inference",
    "training",
)
OTHERS = ("capacity", "routes")
OF_ONE = ("gpu", "large", "mixed", "real_models", "scenes", "soak")
"""Those that take options of their own, and are run by themselves."""

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in OF_ONE:
        importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
        sys.exit()
    names = sys.argv[1:] or COMPARISONS
    if unknown := sorted({*names} - {*COMPARISONS, *OTHERS}):
        sys.exit(f"no benchmark {unknown[0]!r}: choose from {', '.join((*COMPARISONS, *OTHERS, *OF_ONE))}")
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main()
