"""A grid of trainings and exports as one file: what ``modelstac pipeline`` makes jobs of.

Order, each importing only from those before it: prepare, train, functions, scene · spec,
score, export, function, function_export · function_plan, scenes · plan.
"""
