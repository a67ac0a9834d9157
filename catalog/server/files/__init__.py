"""The server's artifacts: what comes, what lies there, what items say of it, and which part a reader wants.

Order, each importing only from those before it: ranges, parts · artifacts · named.
"""
