"""Engines that evaluate solutions: local processes, a Ray cluster, or Slurm nodes."""
