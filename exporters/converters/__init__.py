"""One module for each converter, and the graphs that they write.

Order, each importing only from those before it: onnx_graph · interfaces · onnx_file, to_keras, to_litert, to_openvino,
to_saved_model, to_torch, to_torch_export · convlstm_onnx, keras_to_litert, precision, tensorflow_to_onnx, torch_to_onnx
· to_onnx.
"""
