"""Where policies come from: one module for each kind of file that can be read."""
