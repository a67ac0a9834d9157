"""Exported PyTorch programs, made ready for tools that write other formats, and what those write.

Order, each importing only from those before it: litert_tool, program · litert, onnx, openvino.
"""
