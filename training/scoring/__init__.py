"""How good forecasts are: scores, their intervals, baselines and pictures."""
