"""Helpers without knowledge of evolution strategies."""
