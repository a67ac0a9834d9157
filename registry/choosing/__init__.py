"""Which model is meant, and which of its files runs best on this machine."""
