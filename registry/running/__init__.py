"""A model that was loaded: its signature, its arrays in and out, labels, scaling, blocks and examples.

Order, each importing only from those before it: arrays, card, differences, memory · signature · values · bands, exact,
examples · batch, labels · aligning · cuts, places · blocks · labelled · model.
"""
