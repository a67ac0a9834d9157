"""Model architectures: one specification each, and what builds it in every framework.

Order, each importing only from those before it: convolutions_torch, layouts, processes_torch, rebuilt_keras,
variables_keras · convlstm_keras, recurrence_torch, tensors_torch, unet_keras · norm_torch · convlstm_torch,
unet_torch.
"""
