"""POSGGym's environments as machine code, with the same episodes bit for bit."""
