"""Print a digest of all that networks do in an environment, for other processors.

    python network_digest.py {episodes,steps} ENV_ID

Whole episodes are played by one kernel. Steps are made one by one, with the same
functions of the world and of networks, which takes a third of the time to compile.
"""

import hashlib
import sys
from collections.abc import Iterator

import numpy as np

from compiled_network import Compiled
from posggym_compiled import make_vec, world_for
from posggym_compiled.networks import Architecture
from posggym_compiled.rollouts import Players
from side_by_side import network_sizes

SHAPE = {"hidden": (12,), "lstm_size": 5}


def episodes(env_id: str) -> Iterator[np.ndarray]:
    """Play a few episodes with two networks; yield all outcomes."""
    world = world_for(env_id)
    architecture = Architecture(*network_sizes(world, 0), **SHAPE)
    rng = np.random.default_rng(0)
    size = architecture.observation_size
    yield from Players(world, architecture).play(
        rng.standard_normal((2, architecture.num_parameters)),
        np.arange(6, dtype=np.uint64).reshape(2, 3),
        mean=rng.uniform(0, 1, size),
        stdev=rng.uniform(0.5, 2, size),
    )


def steps(env_id: str) -> Iterator[np.ndarray]:
    """Let a network act for all agents; yield its outputs, what it sees, rewards."""
    vec = make_vec(env_id, 1, processed=True)
    architecture = Architecture(*network_sizes(vec.world, 0), **SHAPE)
    rng = np.random.default_rng(0)
    network = Compiled(architecture, rng.standard_normal(architecture.num_parameters))
    seen, _ = vec.reset(seed=0)
    for _ in range(60):
        outputs = {i: network(seen[i][0].astype(np.float64)) for i in vec.agents}
        seen, rewards, *_ = vec.step({i: outputs[i][None] for i in vec.agents})
        for values in (outputs, seen, rewards):
            yield from values.values()


if __name__ == "__main__":
    arrays = list({"episodes": episodes, "steps": steps}[sys.argv[1]](sys.argv[2]))
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays))
    print(sum(array.size for array in arrays), digest.hexdigest())
