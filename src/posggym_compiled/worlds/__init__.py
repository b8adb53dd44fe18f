"""Compiled worlds, one module per environment of POSGGym."""
