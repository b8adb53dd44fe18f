"""POSGGym's policy files: safe reading, reproducible writing and bounded downloads."""
