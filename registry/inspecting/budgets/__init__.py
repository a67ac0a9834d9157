"""How much a file may ask for when it is opened: what its constants may grow to, and a trial where nobody can say.

Order, each importing only from those before it: growth · trial.
"""
