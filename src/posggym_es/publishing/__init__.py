"""Registering and publishing agents in git repositories."""
