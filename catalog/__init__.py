"""STAC: items, validation, stores and search. No machine learning framework is imported here, ever."""
