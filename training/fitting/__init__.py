"""How a model is fitted: one loop, two frameworks, one device or several, checkpoints."""
