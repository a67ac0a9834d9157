"""Training jobs: from radar frames to a published item.

Order, each importing only from those before it: recipes · job · describe, prepared · train.
"""
