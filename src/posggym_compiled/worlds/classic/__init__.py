"""Compiled classic worlds."""
