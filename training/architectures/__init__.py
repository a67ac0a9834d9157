"""Model architectures: one specification each, and what builds it in every framework."""
