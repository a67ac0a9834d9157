"""One index of items in SQLite: the embedded catalog itself, and the derived search index of static ones."""
