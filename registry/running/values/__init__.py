"""Values before and after a model, as its item says: scaling, processing, and what of that is not computed here.

Order, each importing only from those before it: expressions · scaling · steps · physical.
"""
