"""What a compiled world is: constants, state, and four generic functions.

`rollouts` and `vector` play any world through `seed`, `reset`, `step` and `observe`.
Each world has two NamedTuple classes, one for its constants (`params`) and one for the
states of a batch of environments (`state`), and implements the four functions for its
class of constants with `implements`. Numba then picks the implementation by the type,
while it compiles, so there is one kernel of each kind for all worlds.

`params` holds numbers and C-contiguous arrays, `state` arrays whose first dimension is
the number of environments. Their types, not their values, select the compiled code:
one compilation serves all constructor arguments of an environment.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from posggym_compiled.jit import INLINED, OPTIONS

if TYPE_CHECKING:
    import posggym

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Impl = Callable[..., Any]
# Returns the states of so many environments.
MakeState = Callable[[int], Any]


class UnsupportedError(ValueError):
    """An environment, or an argument of it, that has no compiled form."""


# --- generic functions ----------------------------------------------------------------


_implementations: dict[tuple[Impl, Any, bool], Impl] = {}


def generic(function: Impl) -> Impl:
    """Declare a function of compiled code that `implements` fills for each world.

    Numba selects the implementation by the type of the first argument.
    """
    _overload(function, lean=False)
    _overload(function, lean=True)
    return function


def _overload(function: Impl, *, lean: bool) -> None:
    """Let Numba look up a generic function's implementations."""

    def find(params: Any, *_: Any) -> Impl | None:
        return _implementations.get(
            (function, getattr(params, "instance_class", None), lean)
        )

    # Not strict: Numba would compare annotations too. `implements` compares the names.
    options = INLINED if lean else OPTIONS
    overload(function, strict=False, jit_options=options)(find)


def implements(
    function: Impl, params: type, *, lean: bool = False
) -> Callable[[Impl], Impl]:
    """Make a function the implementation of a generic function for a world.

    Parameters
    ----------
    function
        A `generic` function such as `step`. The implementation has its parameter names.
    params
        NamedTuple class of its first argument.
    lean
        Whether it makes no arrays and copies none, see `jit.lean_helper`.
    """

    def register(implementation: Impl) -> Impl:
        names = list(inspect.signature(implementation).parameters)
        wanted = list(inspect.signature(function).parameters)
        if names != wanted:
            name = implementation.__name__
            raise TypeError(f"{name}: parameters {names}, not {wanted}")
        _implementations[function, params, lean] = implementation
        return implementation

    return register


@generic
def seed(params: Any, state: Any, env: int, value: Any) -> None:
    """Seed the random generators of environment `env`, as `reset(seed=value)` does.

    Parameters
    ----------
    params, state, env
        Constants, states, and the number of the environment among them.
    value
        The seed; or a generator that is seeded with it, see
        `python_random.seed_random`.
    """
    raise NotImplementedError("compiled code only")


@generic
def reset(params: Any, state: Any, env: int) -> None:
    """Begin an episode with the random generators as they are."""
    raise NotImplementedError("compiled code only")


@generic
def step(
    params: Any, state: Any, env: int, actions: Any, rewards: Any, terminated: Any
) -> bool:
    """Play a joint step and return whether the episode is over for all agents.

    Parameters
    ----------
    params, state, env
        Constants, states, and the number of the environment among them.
    actions
        int64 (num_agents,) for Discrete, float32 (num_agents, size) for a Box: what
        `posggym.Env.step` gets.
    rewards
        float64 (num_agents,), written.
    terminated
        bool (num_agents,), written. Truncation at `max_episode_steps` is the caller's.
    """
    raise NotImplementedError("compiled code only")


@generic
def observe(params: Any, state: Any, env: int, agent: int, out: Any) -> None:
    """Write what an agent sees.

    Parameters
    ----------
    params, state, env
        Constants, states, and the number of the environment among them.
    agent
        Number of the agent.
    out
        int32 (components,) for `OneHot`: the indices of the ones in the flattened
        observation. float64 (size,) for `Dense`: the values of the Box, with the bits
        that POSGGym gives them, before any processor.
    """
    raise NotImplementedError("compiled code only")


# --- spaces -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class OneHot:
    """Observations made of discrete parts, as the FlattenProcessor gives them.

    Parameters
    ----------
    sizes
        Values of each part, in the order of the flattened observation.
    starts
        Smallest value of each part in POSGGym's space, mostly 0.
    """

    sizes: Integers
    starts: Integers

    dtype = np.int32

    @property
    def length(self) -> int:
        """Numbers that `observe` writes: the parts."""
        return len(self.sizes)

    @property
    def size(self) -> int:
        """Length of the processed observation."""
        return int(self.sizes.sum())

    @property
    def offsets(self) -> Integers:
        """Index of each part's first value in the processed observation."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class Dense:
    """A Box, whose values are handled in C order.

    Parameters
    ----------
    low, high
        Shape (size,): bounds, in the dtype of the Box.
    shape
        Shape of the Box.
    """

    low: Floats
    high: Floats
    shape: tuple[int, ...]

    dtype = np.float64

    @property
    def length(self) -> int:
        """Numbers that `observe` writes."""
        return len(self.low)

    @property
    def size(self) -> int:
        """Length of the processed observation."""
        return len(self.low)

    @property
    def is_rescaled(self) -> bool:
        """Whether the processors for trained networks rescale it to [-1, 1].

        They do with one-dimensional Boxes of two finite, different bounds everywhere;
        the others are left as they are.
        """
        width = self.high - self.low
        bounded = bool((np.isfinite(width) & (width > 0)).all())
        return bounded and len(self.shape) == 1


@dataclasses.dataclass(frozen=True)
class Discrete:
    """Actions 0 to n - 1."""

    n: int


ObservationSpec = OneHot | Dense
ActionSpec = Discrete | Dense


# --- worlds ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """A compiled environment with its arguments.

    Parameters
    ----------
    env_id, env_args
        POSGGym's id, and the arguments of `posggym.make`.
    agents
        Agent ids. All of them act in every step.
    observations, actions
        Spaces of each agent; all agents have the same kind.
    params
        Constants, a NamedTuple.
    make_state
        Returns the states, a NamedTuple of arrays, for a number of environments.
    max_episode_steps
        Steps after which POSGGym truncates an episode; None for no limit.
    is_symmetric
        Whether all agents are alike.
    """

    env_id: str
    env_args: dict[str, Any]
    agents: tuple[str, ...]
    observations: tuple[ObservationSpec, ...]
    actions: tuple[ActionSpec, ...]
    params: Any
    make_state: MakeState
    max_episode_steps: int | None
    is_symmetric: bool

    @classmethod
    def of(
        cls, env: posggym.Env[Any, Any, Any], params: Any, make_state: MakeState
    ) -> World:
        """Return the world of an environment, with what POSGGym says about it."""
        from posggym_compiled.worlds.spaces import action_spec, observation_spec

        agents = tuple(env.possible_agents)
        return cls(
            env_id=env.spec.id,
            env_args=dict(env.spec.kwargs),
            agents=agents,
            observations=tuple(
                observation_spec(env.observation_spaces[i]) for i in agents
            ),
            actions=tuple(action_spec(env.action_spaces[i]) for i in agents),
            params=params,
            make_state=make_state,
            max_episode_steps=env.spec.max_episode_steps,
            is_symmetric=bool(env.is_symmetric),
        )

    @property
    def num_agents(self) -> int:
        """Number of agents."""
        return len(self.agents)

    def observation_buffer(self, *leading: int) -> npt.NDArray[Any]:
        """Return an array for `observe`, shape (*leading, longest observation)."""
        longest = max(spec.length for spec in self.observations)
        return np.zeros((*leading, longest), self.observations[0].dtype)

    def action_buffer(self, *leading: int) -> npt.NDArray[Any]:
        """Return actions for `step`, shape (*leading, num_agents[, size])."""
        if isinstance(self.actions[0], Discrete):
            return np.zeros((*leading, self.num_agents), np.int64)
        shape = *leading, self.num_agents, self.actions[0].size
        return np.zeros(shape, self.actions[0].low.dtype)


# The module of each environment's world; it has a `make_world(env) -> World`.
MODULES = {
    "MultiAccessBroadcastChannel-v0": (
        "posggym_compiled.worlds.classic.multi_access_broadcast_channel"
    ),
    "MultiAgentTiger-v0": "posggym_compiled.worlds.classic.multi_agent_tiger",
    "RockPaperScissors-v0": "posggym_compiled.worlds.classic.rock_paper_scissors",
    "DrivingContinuous-v0": "posggym_compiled.worlds.continuous.driving",
    "DroneTeamCapture-v0": "posggym_compiled.worlds.continuous.drone_team_capture",
    "PredatorPreyContinuous-v0": "posggym_compiled.worlds.continuous.predator_prey",
    "PursuitEvasionContinuous-v0": "posggym_compiled.worlds.continuous.pursuit_evasion",
    "CooperativeReaching-v0": "posggym_compiled.worlds.grid.cooperative_reaching",
    "Driving-v1": "posggym_compiled.worlds.grid.driving",
    "DrivingGen-v1": "posggym_compiled.worlds.grid.driving_gen",
    "LevelBasedForaging-v3": "posggym_compiled.worlds.grid.level_based_foraging",
    "PredatorPrey-v0": "posggym_compiled.worlds.grid.predator_prey",
    "PursuitEvasion-v1": "posggym_compiled.worlds.grid.pursuit_evasion",
    "TwoPaths-v0": "posggym_compiled.worlds.grid.two_paths",
    "UAV-v0": "posggym_compiled.worlds.grid.uav",
}


def world_for(env_id: str, /, **env_args: Any) -> World:
    """Return the compiled form of `posggym.make(env_id, **env_args)`.

    Raises
    ------
    UnsupportedError
        If there is none; the message says why.
    """
    if env_id not in MODULES:
        raise UnsupportedError(f"{env_id}: not compiled; use posggym's own environment")
    # After the check, because importing posggym takes a second.
    import posggym

    world: Callable[..., World] = importlib.import_module(MODULES[env_id]).make_world
    env = posggym.make(env_id, disable_env_checker=True, **env_args)
    try:
        return world(env)
    finally:
        env.close()


def unsupported(env_id: str, /, **env_args: Any) -> str | None:
    """Return why an environment has no compiled form, or None if it has one."""
    try:
        world_for(env_id, **env_args)
    except UnsupportedError as error:
        return str(error)
    return None
