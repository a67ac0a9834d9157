"""Run every benchmark and print its table."""

from __future__ import annotations

from benchmarks import embedded, latency, loading, registry

if __name__ == "__main__":
    latency.main()
    loading.main()
    embedded.main()
    registry.main()
