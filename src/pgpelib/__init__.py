"""Distribution-based policy search with PGPE and ClipUp (arXiv 2008.02387)."""

# These come first: they set variables that NumPy and others read when they are loaded.
from pgpelib.utils import threads, writable_home

# isort: split
from pgpelib.search.optimizers import Adam, ClipUp
from pgpelib.search.pgpe import PGPE, SearchDistribution
from pgpelib.search.ranking import centered_ranks

__all__ = [
    "PGPE",
    "Adam",
    "ClipUp",
    "SearchDistribution",
    "centered_ranks",
    "threads",
    "writable_home",
]
