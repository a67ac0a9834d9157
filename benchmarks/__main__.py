"""Run every benchmark and print its table."""

from __future__ import annotations

from benchmarks import embedded, latency, registry

if __name__ == "__main__":
    latency.main()
    embedded.main()
    registry.main()
