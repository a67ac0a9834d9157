"""A grid of trainings and exports as one file: what ``modelstac pipeline`` makes jobs of.

Order, each importing only from those before it: strict_yaml, prepare, train · spec, score, export · plan.
"""
