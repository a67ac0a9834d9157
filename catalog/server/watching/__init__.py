"""What goes around every request: its id, log line, figures and limits, and errors as answers.

Order, each importing only from those before it: problems, encodings · middleware.
"""
