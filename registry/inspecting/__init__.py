"""What a model file would do when it is opened, found out without opening it in a framework."""
