"""The proof that a conversion computes what its source computes."""
