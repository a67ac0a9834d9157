"""What collections say: of their items, and of themselves where people wrote it.

Order, each importing only from those before it: widening · merging · checking.
"""
