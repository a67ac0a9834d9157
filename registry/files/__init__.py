"""Model files on this machine: fetched, verified, kept in a cache, and pinned."""
