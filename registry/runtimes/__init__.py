"""One module per framework, each with the same verbs."""
