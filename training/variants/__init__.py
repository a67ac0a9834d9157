"""The variants that are trained, and how each framework makes its own.

Order, each importing only from those before it: same_bytes, variant · torch · keras.
"""
