"""Commands that make something: data, models, exports, publications."""
