"""From a policy to an agent: specs, registration code, staged assets, trees."""
