"""Where solutions are evaluated: this machine, a Ray cluster, a Slurm allocation."""
