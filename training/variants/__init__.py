"""The variants that are trained, and how each framework makes its own."""
