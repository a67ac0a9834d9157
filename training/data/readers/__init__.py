"""One module for each product of radar data."""
