"""What a model file is, by its first bytes, and what it says of itself: read in milliseconds, by no framework.

Less than :mod:`modelstac.registry.facts` gives, of more formats: what an item's claims are held against whenever it is
published, adopted, chosen or loaded.

Order, each importing only from those before it: record · keras, litert, onnx, openvino, saved_model, torch_export,
weights · reading.
"""
