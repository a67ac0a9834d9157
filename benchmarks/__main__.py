"""Run every benchmark and print its table."""

from __future__ import annotations

from benchmarks import latency

if __name__ == "__main__":
    latency.main()
