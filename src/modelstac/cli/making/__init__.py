"""Commands that make something: data, models, exports, publications.

Order, each importing only from those before it: data, demo, said, train, export · publish, pipeline · matrix.
"""
