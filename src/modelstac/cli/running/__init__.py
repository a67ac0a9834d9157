"""Commands that run a model.

Order, each importing only from those before it: env, lock, nowcast, probe, tensors, test · predict.
"""
