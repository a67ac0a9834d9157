"""A model that was loaded: its signature, its arrays in and out, labels, scaling, blocks and examples.

Order, each importing only from those before it: arrays, card, differences, expressions · scaling, signature · bands,
examples · aligning · cuts · blocks · labelled · model.
"""
