"""Print a digest of all that networks do in an environment, for other processors.

python network_digest.py ENV_ID
"""

import hashlib
import sys

import numpy as np

from posggym_compiled import world_for
from posggym_compiled.interface import Discrete
from posggym_compiled.networks import Architecture
from posggym_compiled.rollouts import Players

world = world_for(sys.argv[1])
action = world.actions[0]
outputs = action.n if isinstance(action, Discrete) else action.size
size = world.observations[0].size
architecture = Architecture(size, outputs, hidden=(12,), lstm_size=5)
rng = np.random.default_rng(0)
outcomes = Players(world, architecture).play(
    rng.standard_normal((2, architecture.num_parameters)),
    np.arange(6, dtype=np.uint64).reshape(2, 3),
    mean=rng.uniform(0, 1, size),
    stdev=rng.uniform(0.5, 2, size),
)
digest = hashlib.sha256(b"".join(array.tobytes() for array in outcomes))
print(outcomes.steps.sum(), digest.hexdigest())
