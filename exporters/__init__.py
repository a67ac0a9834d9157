"""Conversions between formats, the proof that they agree, and the jobs that export and publish."""
