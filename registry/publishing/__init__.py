"""One call from where a model is made to an item in a catalog: objects and files, and all that can be said of them.

Order, each importing only from those before it: classes, code, places, scaling, seasons · saying · written, fitting ·
objects, beside, feeding · values · comparing, completing · call · publisher.
"""
