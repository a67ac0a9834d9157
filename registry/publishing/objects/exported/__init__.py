"""Programs of torch.export, held against the module that they were made of."""
