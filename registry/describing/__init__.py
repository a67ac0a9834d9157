"""From a file, or from another publisher's item, to a description that can be published.

Order, each importing only from those before it: impure, keeping, stating · ranges, repeating, unproved · measuring ·
example · describe, adopt.
"""
