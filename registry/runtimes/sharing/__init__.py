"""What lets several threads use one model, or load several at once, beside whatever else their program does.

Order, each importing only from those before it: pool, settings · opening.
"""
