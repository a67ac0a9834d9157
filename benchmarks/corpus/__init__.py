"""A corpus of public architectures with random weights, and what becomes of each on every route of conversion.

``python -m benchmarks.corpus`` builds them, converts them by this project and by the public converters that people
would use instead, and judges every result by a comparison that uses none of this project's code: the source runs
eagerly in its own framework, the result in its public runtime. Writes ``docs/results/corpus.md``. Outside CI; a tenth
of it is in the tests.

Order, each importing only from those before it: entries, environments, serving, workers · digests, families · building,
judging, ours, peers · running · page.
"""
