"""Helpers shared by several steps of the pipeline."""
