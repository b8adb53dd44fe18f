"""Gymnasium environments by any spelling of their id, with repeatable episodes."""
