"""Inputs and outputs of a model as its item has them, in the terms of each framework: names, order, lengths of axes.

Order, each importing only from those before it: keras, onnx, torch_call, torch_dims · keras_weights, saved_model.
"""
