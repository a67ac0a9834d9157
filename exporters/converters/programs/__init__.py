"""Exported PyTorch programs, made ready for tools that write other formats, and what those write.

Order, each importing only from those before it: dividing, elements, litert_tool, ordering, resampling, spectra ·
program · litert, onnx, openvino.
"""
