"""Kinds of jobs that do nothing but what a test asks for."""
