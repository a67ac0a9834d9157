"""A model that was loaded: its signature, its arrays in and out, labels, scaling, blocks and examples."""
