"""What labelled data say of themselves, and what an item says in turn: used, or refused in one line, and never ignored.

Order, each importing only from those before it: centred, durations, growth, packing, systems, units · grids, lying,
stated · contradictions, georeference, levels, times · reading.
"""
