"""POSGGym's heuristics for grid worlds."""
