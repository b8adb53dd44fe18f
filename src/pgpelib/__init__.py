"""Distribution-based policy search with PGPE and ClipUp (arXiv 2008.02387)."""

# First: NumPy reads what this sets when it is loaded.
from pgpelib.search.optimizers import Adam, ClipUp
from pgpelib.search.pgpe import PGPE, SearchDistribution
from pgpelib.search.ranking import centered_ranks
from pgpelib.utils import threads

__all__ = ["PGPE", "Adam", "ClipUp", "SearchDistribution", "centered_ranks", "threads"]
