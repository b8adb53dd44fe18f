"""Helpers that several steps of the pipeline share."""
