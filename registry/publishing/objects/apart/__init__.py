"""Programs that open somebody's file in a process of their own: of this Python, or of an environment that fits it.

Order, each importing only from those before it: asking, keras_program, sklearn_program, torch_program · running.
"""
