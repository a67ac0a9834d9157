"""What is asked of a catalog, and which items answer it: in memory and in SQLite.

Order, each importing only from those before it: ranges, page · spellings · values · query · facts · sql · matching.
"""
