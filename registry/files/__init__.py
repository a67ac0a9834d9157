"""Model files on this machine: fetched, verified, kept in a cache, and pinned.

Order, each importing only from those before it: part, stamps, download · artifact, cache · fetch, kept, lock.
"""
