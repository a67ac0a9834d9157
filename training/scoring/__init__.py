"""How good forecasts are: scores, their intervals, baselines and pictures.

Order, each importing only from those before it: baselines, correlation, spatial, thesis · sums · metrics ·
bootstrap · held_out, plots.
"""
