"""What a model takes and how far it looks, found by running it: sizes of its open axes, and its halo."""
