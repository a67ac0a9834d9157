"""One module for each converter, and the graphs that they write."""
