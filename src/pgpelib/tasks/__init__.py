"""What is trained on: environments as functions from a policy to a rollout."""
