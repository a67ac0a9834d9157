"""One module for each converter, and the graphs that they write.

Order, each importing only from those before it: onnx_graph · classical, interfaces · onnx_file, onnx_simpler, to_keras,
to_litert, to_saved_model, to_torch, to_torch_export · to_openvino, convlstm_onnx, keras_to_litert, precision,
tensorflow_to_onnx · programs, to_onnx.
"""
