"""POSGGym environments as training tasks."""
