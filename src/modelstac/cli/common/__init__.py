"""What commands share: options, errors, files, progress.

Order, each importing only from those before it: terminal, later · errors, files, options,
progress, quiet.
"""
