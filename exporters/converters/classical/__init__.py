"""Classical machine learning in ONNX (``ai.onnx.ml``), in operators that every reader of ONNX knows.

Order, each importing only from those before it: writing · scores · linear, trees · written_out.
"""
