"""Many environments at a time, with arrays instead of dictionaries of objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
from posggym_compiled.jit import lean_helper, lean_kernel
from posggym_compiled.processing import (
    Rescaling,
    decode,
    no_rescaling,
    process,
    rescaling,
)

Flags = npt.NDArray[np.bool_]
ByAgent = dict[str, npt.NDArray[Any]]
NO_LIMIT = np.iinfo(np.int64).max


class Clock(NamedTuple):
    """What is known of the episodes that are played, for kernels.

    Parameters
    ----------
    elapsed
        int64 (n,): steps so far.
    returns
        float64 (n, agents): sums of rewards so far.
    over
        bool (n, agents): who has terminated.
    limit
        Steps after which an episode is truncated.
    """

    elapsed: Integers
    returns: npt.NDArray[np.float64]
    over: Flags
    limit: int


class Results(NamedTuple):
    """What a step gives, for kernels.

    Parameters
    ----------
    rewards, terminated, truncated
        Shape (n, agents).
    dones
        bool (n,): where an episode ended.
    returns, lengths
        float64 (n, agents), int64 (n,): of the episodes that ended; 0 elsewhere.
    seen, final
        Shape (n, agents, longest): observations after and before resets.
    """

    rewards: npt.NDArray[np.float64]
    terminated: Flags
    truncated: Flags
    dones: Flags
    returns: npt.NDArray[np.float64]
    lengths: Integers
    seen: npt.NDArray[Any]
    final: npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """What a step of n environments gave, with agent ids as keys.

    Iterating gives the five fields in the order in which Gymnasium's `VectorEnv.step`
    returns them.

    Parameters
    ----------
    observations
        Shape (n, size), or (n, *shape) for unprocessed Boxes: what each agent sees;
        the first observation of the next episode where one has ended.
    rewards
        Shape (n,), float64.
    terminations, truncations
        Shape (n,), bool. An agent may have terminated before the episode ends for all.
    infos
        "dones", shape (n,), bool: where the episode ended for all agents. If any did,
        then as in Gymnasium 0.29, with agent ids as keys:

        - "final_observation": like `observations`, with the last observations of the
          episodes that ended. Only rows that the mask marks have a meaning.
        - "final_info": {"episode": {"r": ..., "l": ...}}: the returns of each agent,
          shape (n,), float64, and the lengths, shape (n,), int64, which
          `RecordEpisodeStatistics` would give.
        - "_final_observation", "_final_info", shape (n,), bool: the masks.

        POSGGym's own infos, which are an outcome at the end, are left out.
    """

    observations: ByAgent
    rewards: ByAgent
    terminations: ByAgent
    truncations: ByAgent
    infos: dict[str, Any]

    def __iter__(self) -> Any:
        return (getattr(self, field.name) for field in dataclasses.fields(self))


class VectorEnv:
    """A batch of compiled environments that reset themselves.

    An episode ends when all agents are done, or after the world's `max_episode_steps`.
    The same step then resets the environment, as Gymnasium 0.29's vector environments
    do. The random generators continue, as in a POSGGym reset without a seed.

    Parameters
    ----------
    world
        The environment.
    num_envs
        Number of environments.
    processed
        Whether observations and actions are those of POSGGym's processors for trained
        networks. Observations are one-hot vectors (float32), or Boxes rescaled to
        [-1, 1]; actions of Boxes are expected in [-1, 1] and clipped. Otherwise
        observations are the numbers of the observation in its order (int64), or the
        Box as it is, and actions are in the units of their space.

    Attributes
    ----------
    agents
        Agent ids.
    observation_sizes, action_sizes
        By agent id: length of an observation, and number of discrete actions or length
        of a Box.

    Raises
    ------
    ValueError
        If `num_envs` is not positive, or the spaces cannot be processed
        (`UnsupportedError`).
    """

    def __init__(self, world: World, num_envs: int, processed: bool = False) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; it must be at least 1")
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
        self._actions = world.action_buffer(num_envs)
        self._clock = Clock(
            elapsed=np.zeros(num_envs, np.int64),
            returns=np.zeros(shape),
            over=np.zeros(shape, np.bool_),
            limit=world.max_episode_steps or NO_LIMIT,
        )
        self._results = Results(
            rewards=np.zeros(shape),
            terminated=np.zeros(shape, np.bool_),
            truncated=np.zeros(shape, np.bool_),
            dones=np.zeros(num_envs, np.bool_),
            returns=np.zeros(shape),
            lengths=np.zeros(num_envs, np.int64),
            seen=world.observation_buffer(*shape),
            final=world.observation_buffer(*shape),
        )
        none = no_rescaling(world.num_agents)
        self._seeing = rescaling(world.observations) if processed else none
        self._acting = rescaling(world.actions) if processed else none
        self._has_reset = False

    def reset(self, seed: int | Sequence[int] | None = None) -> tuple[ByAgent, dict]:
        """Begin episodes in all environments.

        Parameters
        ----------
        seed
            Seeds of the environments below 2**64, or the first of successive ones:
            environment k plays the episode of `posggym.Env.reset(seed=seed + k)`. None
            continues with the generators; the first time it takes seeds from the
            system.

        Returns
        -------
        tuple
            Observations by agent id, and an empty mapping.

        Raises
        ------
        ValueError
            If the number of seeds is not that of environments.
        """
        if seed is None and not self._has_reset:
            drawn = np.random.SeedSequence().generate_state(self.num_envs, np.uint64)
            seed = [int(value) for value in drawn]
        if isinstance(seed, int | np.integer):
            seed = range(int(seed), int(seed) + self.num_envs)
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds for {self.num_envs} environments")
        _reset_all(
            self.world.params,
            self._state,
            np.array([] if seed is None else seed, np.uint64),
            self._seeing,
            self._lengths,
            self._clock,
            self._results.seen,
        )
        self._has_reset = True
        return self._by_agent(self._results.seen), {}

    def step(self, actions: Mapping[str, npt.ArrayLike]) -> Steps:
        """Play a joint step in all environments.

        Parameters
        ----------
        actions
            For each agent id an array of shape (n,) of Discrete actions, or (n, size)
            for a Box.

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
            own = self._checked(actions, agent, spec)
            if isinstance(spec, Dense) and self._processed:
                own = np.ascontiguousarray(own, np.float64)
                _unscale_all(self._acting, own, number, self._actions)
            else:
                self._actions[:, number] = own
        _step_all(
            self.world.params,
            self._state,
            self._actions,
            self._seeing,
            self._lengths,
            self._clock,
            self._results,
        )
        results = self._results
        infos: dict[str, Any] = {"dones": results.dones.copy()}
        if results.dones.any():
            episode = {
                "r": self._columns(results.returns),
                "l": results.lengths.copy(),
            }
            infos |= {
                "final_observation": self._by_agent(results.final),
                "_final_observation": results.dones.copy(),
                "final_info": {"episode": episode},
                "_final_info": results.dones.copy(),
            }
        return Steps(
            self._by_agent(results.seen),
            self._columns(results.rewards),
            self._columns(results.terminated),
            self._columns(results.truncated),
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
        if isinstance(spec, Discrete):
            if not np.issubdtype(own.dtype, np.integer):
                raise ValueError(f"actions of agent {agent!r} are not integers")
            if not ((own >= 0) & (own < spec.n)).all():
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
            values = seen.astype(spec.low.dtype)
            return values if self._processed else values.reshape(-1, *spec.shape)
        if not self._processed:
            return seen - spec.offsets + spec.starts
        vectors = np.zeros((self.num_envs, spec.size), np.float32)
        vectors[np.arange(self.num_envs)[:, None], seen] = 1.0
        return vectors


def make_vec(
    env_id: str, /, num_envs: int = 1, *, processed: bool = False, **env_args: Any
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
def _unscale_all(scaling: Rescaling, requested: Any, agent: int, actions: Any) -> None:
    """Write the actions of an agent in the units of its space."""
    for env in range(len(actions)):
        decode(scaling, requested[env], requested.shape[1], agent, actions[env])


@lean_helper
def _observe_all(
    params: Any, state: Any, env: int, scaling: Rescaling, lengths: Integers, out: Any
) -> None:
    for agent in range(len(lengths)):
        x = out[env, agent, : lengths[agent]]
        observe(params, state, env, agent, x)
        process(scaling, agent, x)


@lean_helper
def _begin(params: Any, state: Any, env: int, clock: Clock) -> None:
    reset(params, state, env)
    clock.elapsed[env] = 0
    clock.returns[env, :] = 0.0
    clock.over[env, :] = False


@lean_kernel
def _reset_all(
    params: Any,
    state: Any,
    seeds: Any,
    scaling: Rescaling,
    lengths: Integers,
    clock: Clock,
    seen: Any,
) -> None:
    for env in range(len(clock.elapsed)):
        if len(seeds):
            seed(params, state, env, seeds[env])
        _begin(params, state, env, clock)
        _observe_all(params, state, env, scaling, lengths, seen)


@lean_helper
def _step_one(
    params: Any, state: Any, env: int, actions: Any, clock: Clock, results: Results
) -> bool:
    """Play a joint step, keep account of it, and return whether the episode ended."""
    rewards, terminated = results.rewards[env], results.terminated[env]
    done = step(params, state, env, actions[env], rewards, terminated)
    clock.elapsed[env] += 1
    late = clock.elapsed[env] >= clock.limit
    done = done or late
    for agent in range(len(rewards)):
        # POSGGym truncates those that had not terminated before this step.
        results.truncated[env, agent] = late and not clock.over[env, agent]
        clock.over[env, agent] = clock.over[env, agent] or terminated[agent]
        clock.returns[env, agent] += rewards[agent]
        results.returns[env, agent] = clock.returns[env, agent] if done else 0.0
    results.dones[env] = done
    results.lengths[env] = clock.elapsed[env] if done else 0
    return done


@lean_kernel
def _step_all(
    params: Any,
    state: Any,
    actions: Any,
    scaling: Rescaling,
    lengths: Integers,
    clock: Clock,
    results: Results,
) -> None:
    seen, final = results.seen, results.final
    for env in range(len(actions)):
        done = _step_one(params, state, env, actions, clock, results)
        _observe_all(params, state, env, scaling, lengths, final)
        if done:
            _begin(params, state, env, clock)
            _observe_all(params, state, env, scaling, lengths, seen)
        else:
            for agent in range(len(lengths)):
                for k in range(lengths[agent]):
                    seen[env, agent, k] = final[env, agent, k]
