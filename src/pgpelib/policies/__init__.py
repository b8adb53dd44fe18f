"""Policies: networks as parameter vectors, observation statistics, saved files."""
