"""Commands that run a model.

Order, each importing only from those before it: env, evaluate, lock, nowcast, probe, scene, tensors, test · predict.
"""
