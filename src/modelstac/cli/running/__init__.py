"""Commands that run a model.

Order, each importing only from those before it: env, lock, nowcast, probe, scene, tensors, test · evaluate,
predict.
"""
