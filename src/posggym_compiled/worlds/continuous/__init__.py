"""Compiled continuous worlds."""
