"""Training runs: settings, the loop over generations, and the run folder."""
