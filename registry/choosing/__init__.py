"""Which model is meant, and which of its files runs best on this machine.

Order, each importing only from those before it: default, known_breaks, machine, model_assets · fetching, foreign,
references, ways_on, wishes · claims · candidates · resolve.
"""
