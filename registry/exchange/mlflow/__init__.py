"""MLflow, by the REST API of its server: the package itself is not needed, which wants other versions than we do.

Order, each importing only from those before it: tracking · artifacts, flavours, mlmodel · taking, pushing.
"""
