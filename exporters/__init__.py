"""Conversions between formats, the proof that they agree, and the jobs that export and publish.

Order, each importing only from those before it: architecture, closed, conversion, tracing · closing, layers,
layouts, routes, sizes, tensors · converters, steps · workers · worker, proof · attempts, diff · jobs · matrix.
"""
