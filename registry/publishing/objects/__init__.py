"""Models as objects of their frameworks and in files of any kind, saved as files that can be published.

One module a framework, imported when it is needed.

Order, each importing only from those before it: modules, saved, states, tables · exported, onnx · boosted, classical,
files, keras, torch · apart · checkpoints, hdf5, pickles · finding · opening.
"""
