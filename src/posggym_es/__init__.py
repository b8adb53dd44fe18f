"""The pipeline from a trained ES policy to an agent registered in POSGGym."""
