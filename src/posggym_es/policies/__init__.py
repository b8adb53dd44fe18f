"""Policies as files: extracted ones, POSGGym's own, and the PPO baselines'."""
