"""Training runs: settings, the training loop, and the run folder."""
