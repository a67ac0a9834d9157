"""The proof that a conversion computes what its source computes.

Order, each importing only from those before it: counterparts, ranges, tolerances · cases, measuring · batches,
real_windows, report · judging, parity_picture · parity · examples · evidence.
"""
