"""Run benchmarks and print their tables: all that compare, or those named, such as ``python -m benchmarks latency``."""

from __future__ import annotations

import importlib
import sys

COMPARISONS = (
    "latency",
    "exporting",
    "loading",
    "embedded",
    "publishing",
    "servers",
    "registering",
    "registry",
    "predicting",
    "training",
)
OTHERS = ("capacity", "routes")

if __name__ == "__main__":
    names = sys.argv[1:] or COMPARISONS
    if unknown := sorted({*names} - {*COMPARISONS, *OTHERS}):
        sys.exit(f"no benchmark {unknown[0]!r}: choose from {', '.join((*COMPARISONS, *OTHERS))}")
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main()
