"""Commands that make something: data, models, exports, publications.

Order, each importing only from those before it: data, demo, train, export, publish, pipeline, matrix.
"""
