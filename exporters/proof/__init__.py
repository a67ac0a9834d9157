"""The proof that a conversion computes what its source computes.

Order, each importing only from those before it: cases · parity, real_windows · examples, parity_picture · evidence.
"""
