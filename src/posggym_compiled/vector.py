"""Many environments at a time, with arrays instead of dictionaries of objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import (
    Dense,
    Discrete,
    Integers,
    OneHot,
    World,
    observe,
    reset,
    seed,
    step,
    world_for,
)
from posggym_compiled.jit import lean_kernel
from posggym_compiled.rollouts import NO_LIMIT, Rescaling, process, rescaling

Flags = npt.NDArray[np.bool_]
ByAgent = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """What a step of n environments gave; a mapping from agent ids in each field.

    Iterating gives observations, rewards, terminations, truncations and infos, as
    Gymnasium's vector environments return them.

    Parameters
    ----------
    observations
        Shape (n, size): what each agent sees; the first observation of the next
        episode where one has ended.
    rewards
        Shape (n,), float64.
    terminations, truncations
        Shape (n,), bool. An agent may have terminated before the episode ends for all.
    infos
        "dones", shape (n,): where the episode ended in this step. If any did, then
        "final_observation": a mapping like `observations`, with the last observations
        of the episodes that ended; of the others it has the present ones.
    """

    observations: ByAgent
    rewards: ByAgent
    terminations: ByAgent
    truncations: ByAgent
    infos: dict[str, Any]

    def __iter__(self) -> Any:
        return (getattr(self, field.name) for field in dataclasses.fields(self))


class VectorEnv:
    """A batch of compiled environments that start over by themselves.

    An episode that ends, because all agents are done or its `max_episode_steps` are
    over, starts over in the same step, as in Gymnasium 0.29's vector environments. The
    random generators go on, as POSGGym's do in a reset without a seed.

    Parameters
    ----------
    world
        The environment.
    num_envs
        Number of environments.
    processed
        Whether observations are those of POSGGym's processors for trained networks:
        one-hot vectors (float32), or Boxes rescaled to [-1, 1]. Otherwise they are the
        numbers of the observation in its order (int64), or the Box as it is.

    Attributes
    ----------
    agents
        Agent ids.
    observation_sizes, action_sizes
        By agent id: length of an observation, and number of discrete actions or length
        of a Box.
    """

    def __init__(self, world: World, num_envs: int, processed: bool = False) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; it has to be at least 1")
        self.world = world
        self.num_envs = num_envs
        self.agents = world.agents
        self._processed = processed
        self.observation_sizes = {
            i: spec.size if processed else spec.length
            for i, spec in zip(self.agents, world.observations, strict=True)
        }
        self.action_sizes = {
            i: spec.n if isinstance(spec, Discrete) else spec.size
            for i, spec in zip(self.agents, world.actions, strict=True)
        }
        shape = num_envs, world.num_agents
        self._state = world.make_state(num_envs)
        self._lengths = np.array([spec.length for spec in world.observations])
        self._limit = world.max_episode_steps or NO_LIMIT
        self._elapsed = np.zeros(num_envs, np.int64)
        self._actions = world.action_buffer(num_envs)
        self._seen = world.observation_buffer(*shape)
        self._final = world.observation_buffer(*shape)
        self._rewards = np.zeros(shape)
        self._terminated = np.zeros(shape, np.bool_)
        self._over = np.zeros(shape, np.bool_)
        self._truncated = np.zeros(shape, np.bool_)
        self._dones = np.zeros(num_envs, np.bool_)
        none = np.zeros((0, 0), np.float32)
        self._scaling = (
            rescaling(world.observations) if processed else Rescaling(none, none, none)
        )
        self._has_reset = False

    def reset(self, seed: int | Sequence[int] | None = None) -> tuple[ByAgent, dict]:
        """Begin episodes in all environments.

        Parameters
        ----------
        seed
            Seeds of the environments, or the first of successive ones. None goes on
            with the generators; the first time it takes seeds from the system.

        Returns
        -------
        tuple
            Observations by agent id, and an empty mapping.
        """
        if seed is None and not self._has_reset:
            drawn = np.random.SeedSequence().generate_state(self.num_envs, np.uint64)
            seed = [int(value) for value in drawn]
        if isinstance(seed, int):
            seed = range(seed, seed + self.num_envs)
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds for {self.num_envs} environments")
        _reset_all(
            self.world.params,
            self._state,
            np.array([] if seed is None else seed, np.uint64),
            self._scaling,
            self._lengths,
            self._elapsed,
            self._over,
            self._seen,
        )
        self._has_reset = True
        return self._by_agent(self._seen), {}

    def step(self, actions: Mapping[str, npt.ArrayLike]) -> Steps:
        """Play a joint step in all environments.

        Parameters
        ----------
        actions
            For each agent id an array of shape (n,) of Discrete actions, or (n, size)
            for a Box, in its own units.

        Raises
        ------
        ValueError
            If actions are missing, of another shape, or not in a Discrete space.
        RuntimeError
            Before the first reset.
        """
        if not self._has_reset:
            raise RuntimeError("call reset() before step()")
        for number, (agent, spec) in enumerate(
            zip(self.agents, self.world.actions, strict=True)
        ):
            self._actions[:, number] = self._checked(actions, agent, spec)
        _step_all(
            self.world.params,
            self._state,
            self._actions,
            self._scaling,
            self._lengths,
            (self._elapsed, self._over, self._limit),
            (self._rewards, self._terminated, self._truncated, self._dones),
            (self._seen, self._final),
        )
        infos: dict[str, Any] = {"dones": self._dones.copy()}
        if self._dones.any():
            infos["final_observation"] = self._by_agent(self._final)
        return Steps(
            self._by_agent(self._seen),
            self._columns(self._rewards),
            self._columns(self._terminated),
            self._columns(self._truncated),
            infos,
        )

    def _checked(
        self, actions: Mapping[str, npt.ArrayLike], agent: str, spec: Discrete | Dense
    ) -> npt.NDArray[Any]:
        if agent not in actions:
            raise ValueError(f"no actions of agent {agent!r}")
        own = np.asarray(actions[agent])
        shape: tuple[int, ...] = (self.num_envs,)
        if isinstance(spec, Dense):
            shape += (spec.size,)
        if own.shape != shape:
            raise ValueError(f"actions of agent {agent!r}: {own.shape}, not {shape}")
        if isinstance(spec, Discrete) and not ((own >= 0) & (own < spec.n)).all():
            raise ValueError(
                f"an action of agent {agent!r} is not in 0 to {spec.n - 1}"
            )
        return own

    def _columns(self, array: npt.NDArray[Any]) -> ByAgent:
        return {agent: array[:, i].copy() for i, agent in enumerate(self.agents)}

    def _by_agent(self, seen: npt.NDArray[Any]) -> ByAgent:
        return {
            agent: self._observations(seen[:, i, : spec.length], spec)
            for i, (agent, spec) in enumerate(
                zip(self.agents, self.world.observations, strict=True)
            )
        }

    def _observations(
        self, seen: npt.NDArray[Any], spec: OneHot | Dense
    ) -> npt.NDArray[Any]:
        if isinstance(spec, Dense):
            return seen.astype(spec.low.dtype)
        if not self._processed:
            return seen - spec.offsets + spec.starts
        vectors = np.zeros((self.num_envs, spec.size), np.float32)
        vectors[np.arange(self.num_envs)[:, None], seen] = 1.0
        return vectors


def make_vec(
    env_id: str, num_envs: int = 1, *, processed: bool = False, **env_args: Any
) -> VectorEnv:
    """Return `num_envs` compiled environments that are stepped together.

    Parameters
    ----------
    env_id
        POSGGym's id, e.g. "Driving-v1".
    num_envs
        Number of environments.
    processed
        Whether observations are processed for networks, see `VectorEnv`.
    env_args
        Arguments of `posggym.make`.

    Raises
    ------
    UnsupportedError
        If the environment has no compiled form.
    """
    return VectorEnv(world_for(env_id, **env_args), num_envs, processed)


@lean_kernel
def _observe_all(
    params: Any, state: Any, env: int, scaling: Rescaling, lengths: Integers, out: Any
) -> None:
    for agent in range(len(lengths)):
        x = out[env, agent, : lengths[agent]]
        observe(params, state, env, agent, x)
        if len(scaling.low):
            process(scaling, agent, x)


@lean_kernel
def _reset_all(
    params: Any,
    state: Any,
    seeds: Any,
    scaling: Rescaling,
    lengths: Integers,
    elapsed: Integers,
    over: Flags,
    seen: Any,
) -> None:
    for env in range(len(elapsed)):
        if len(seeds):
            seed(params, state, env, seeds[env])
        reset(params, state, env)
        elapsed[env] = 0
        over[env, :] = False
        _observe_all(params, state, env, scaling, lengths, seen)


@lean_kernel
def _step_all(
    params: Any,
    state: Any,
    actions: Any,
    scaling: Rescaling,
    lengths: Integers,
    clock: Any,
    results: Any,
    views: Any,
) -> None:
    elapsed, over, limit = clock
    rewards, terminated, truncated, dones = results
    seen, final = views
    for env in range(len(elapsed)):
        done = step(params, state, env, actions[env], rewards[env], terminated[env])
        elapsed[env] += 1
        late = elapsed[env] >= limit
        for agent in range(len(lengths)):
            # POSGGym truncates those that had not terminated before this step.
            truncated[env, agent] = late and not over[env, agent]
            over[env, agent] = over[env, agent] or terminated[env, agent]
        dones[env] = done or late
        _observe_all(params, state, env, scaling, lengths, final)
        if dones[env]:
            reset(params, state, env)
            elapsed[env] = 0
            over[env, :] = False
            _observe_all(params, state, env, scaling, lengths, seen)
        else:
            for agent in range(len(lengths)):
                for k in range(lengths[agent]):
                    seen[env, agent, k] = final[env, agent, k]
