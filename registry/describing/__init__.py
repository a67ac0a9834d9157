"""From a file, or from another publisher's item, to a description that can be published."""
