"""Commands that find, show and compare."""
