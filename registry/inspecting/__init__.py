"""What a model file would do when it is opened, found out without opening it in a framework.

Order, each importing only from those before it: budgets, weights, wire · external, folders, shards · archives, aten,
onnx, openvino, precision, saved_model, size_expressions · onnx_growth, torch_export · inspection.
"""
