"""What the server keeps documents and files in: the embedded file, pgstac, and a store of artifacts."""
