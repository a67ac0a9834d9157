"""What commands share: options, errors, files, progress.

Order, each importing only from those before it: errors, files, options, progress, quiet.
"""
