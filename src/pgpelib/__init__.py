"""Distribution-based policy search with PGPE and ClipUp (arXiv 2008.02387)."""

# First: NumPy reads what this sets when it is loaded.
from pgpelib import threads as threads
from pgpelib.optimizers import Adam, ClipUp
from pgpelib.pgpe import PGPE, SearchDistribution
from pgpelib.ranking import centered_ranks

__all__ = ["PGPE", "Adam", "ClipUp", "SearchDistribution", "centered_ranks"]
