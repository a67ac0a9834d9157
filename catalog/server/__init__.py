"""The API server: stac-fastapi over the embedded catalog or over pgstac, with the same routes and answers.

``app.py`` lists the whole service in order and ``settings.py`` holds every setting.

Order, each importing only from those before it: beside, settings, files, forms, listed, teams, watching ·
stores · webhooks · routes · app · serve · gc.
"""
