"""Model architectures: one specification each, and what builds it in every framework.

Order, each importing only from those before it: layouts, processes_torch, rebuilt_keras, recurrence_torch,
variables_keras · convlstm_keras, norm_torch, tensors_torch, unet_keras · convlstm_torch, unet_torch.
"""
