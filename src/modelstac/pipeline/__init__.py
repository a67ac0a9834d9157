"""A grid of trainings and exports as one file: what ``modelstac pipeline`` makes jobs of."""
