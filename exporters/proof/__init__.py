"""The proof that a conversion computes what its source computes.

Order, each importing only from those before it: counterparts, tolerances · cases, measuring · real_windows, report ·
parity, parity_picture · examples · evidence.
"""
