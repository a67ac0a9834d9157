"""Commands that look after a catalog."""
