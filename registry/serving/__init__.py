"""Models over HTTP by the Open Inference Protocol v2, which clients of KServe and Triton speak.

The models are those of a catalog, loaded by the same policy as everywhere; ``modelstac serve --predict`` puts it beside
the STAC API.

Order, each importing only from those before it: settings, memory, tensors · protocol, batching · served · models ·
app · serve.
"""
