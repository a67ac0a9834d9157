"""What is asked of a catalog, and which items answer it: in memory and in SQLite."""
