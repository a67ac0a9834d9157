"""Quicker ways to run a model than its framework's own, each used only where it was found to be the model.

Order, each importing only from those before it: per_shape · on_tensorflow.
"""
