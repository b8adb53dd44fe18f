"""POSGGym's environments as machine code, with the same episodes bit for bit.

`make_vec` makes many environments that are stepped together; `world_for` gives the
compiled form of one, for `rollouts.Players`; `unsupported` says why there is none.
"""

from posggym_compiled.interface import UnsupportedError, unsupported, world_for
from posggym_compiled.vector import make_vec

__all__ = ["UnsupportedError", "make_vec", "unsupported", "world_for"]
