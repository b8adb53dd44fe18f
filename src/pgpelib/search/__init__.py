"""Distribution-based search: PGPE, its optimizers, and fitness shaping."""
