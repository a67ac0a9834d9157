"""What is wrong in an item that describes a model, each with its rule and cause, and the item put right or proved.

Order, each importing only from those before it: fault, proving · arrays, assets, document, properties · check.
"""
