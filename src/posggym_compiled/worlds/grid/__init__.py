"""Compiled grid worlds."""
