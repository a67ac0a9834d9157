"""Generated satellite scenes with the true land cover beside them, and a small model that is trained on them.

For tests, benchmarks and the tutorial: no observation is in them, and the files say so.

Order, each importing only from those before it: noise, palette · landscape · sensors · items ·
observing · generating, network · landcover.
"""
