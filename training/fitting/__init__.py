"""How a model is fitted: one loop, two frameworks, one device or several, checkpoints.

Order, each importing only from those before it: fit, execution, checkpoints, tensorboard · batches, devices_torch ·
history · loop · fit_keras, fit_torch · parallel_keras, parallel_torch.
"""
