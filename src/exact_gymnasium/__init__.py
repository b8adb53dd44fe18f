"""Gymnasium environments with reproducible episodes, by any spelling of their id."""
