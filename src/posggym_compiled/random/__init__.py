"""The random generators of Python and NumPy, and the order of sets, bit for bit."""
