"""What lets several threads use one model, or load several at once.

Order, each importing only from those before it: opening, pool.
"""
