"""Routes of conversions that are tried until one gives an equal model.

Order, each importing only from those before it: deepness, describing, inheriting · attempt.
"""
