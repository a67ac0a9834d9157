"""What a model file would do when it is opened, found out without opening it in a framework.

Order, each importing only from those before it: wire, weights, folders · archives, onnx, saved_model,
size_expressions · torch_export · inspection.
"""
