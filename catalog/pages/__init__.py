"""A page a model, for people: from the documents of a collection and its items, whoever wrote them, to HTML.

Order, each importing only from those before it: values · citation, markdown, places, scores, tensors · snippets,
versions · variants · page · writing.
"""
