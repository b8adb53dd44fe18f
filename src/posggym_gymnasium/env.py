"""A Gymnasium environment as a POSGGym model and environment with one agent.

A POSGGym model must be able to step from any state that it ever returned, but the state
of a Gymnasium simulator cannot be saved and restored in general. Therefore, a state of
`GymnasiumModel` consists of the seed of the episode and all actions since. Stepping
from the simulator's current state, as in normal play, takes one simulator step.
Stepping from another state first replays its actions.

Replays are exact if episodes do not depend on earlier ones, which `ExactEpisodes`
ensures, and if the environment is deterministic given its seed. One of PyBullet's
tasks, HumanoidFlagrunHarderBulletEnv-v0, is not: about 1 in 10 episodes differ even
between two new environments.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import gymnasium
import numpy as np
from posggym import DefaultEnv, POSGModel, logger
from posggym.model import JointTimestep
from posggym.utils import seeding

from exact_gymnasium.episodes import ExactEpisodes
from posggym_gymnasium.ids import AGENT_ID


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class ReplayState:
    """A state of a Gymnasium environment, defined by seed and actions.

    States form a tree with shared history: each has its last action and a link to the
    previous state. They are immutable, including their arrays. Copying returns the same
    object; pickling stores the complete history. Two states are equal if they have the
    same seed and actions, so only compare states of the same model.

    Parameters
    ----------
    seed
        Seed of the Gymnasium reset at the start of the episode.
    parent
        Previous state; None for the initial state.
    action
        Last action; None for the initial state.
    obs
        Observation of the agent in this state.
    num_steps
        Number of actions since the reset.
    terminated, truncated
        What the last step returned; False for the initial state.
    """

    seed: int
    parent: ReplayState | None = dataclasses.field(repr=False)
    action: Any
    obs: Any = dataclasses.field(repr=False)
    num_steps: int = 0
    terminated: bool = False
    truncated: bool = False

    def history(self) -> list[ReplayState]:
        """Return all states from the initial one to this one, inclusive."""
        states = []
        state: ReplayState | None = self
        while state is not None:
            states.append(state)
            state = state.parent
        return states[::-1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReplayState):
            return NotImplemented
        if (self.seed, self.num_steps) != (other.seed, other.num_steps):
            return False
        # The lengths are equal, so both walks meet at a shared state or end together.
        a: ReplayState | None = self
        b: ReplayState | None = other
        while a is not None and b is not None and a is not b:
            if not _same_action(a.action, b.action):
                return False
            a, b = a.parent, b.parent
        return True

    def __copy__(self) -> ReplayState:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ReplayState:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would recurse once per step of the episode.
        states = self.history()
        fields = [(s.action, s.obs, s.terminated, s.truncated) for s in states]
        return _from_history, (self.seed, fields)


def _from_history(seed: int, fields: list[tuple[Any, Any, bool, bool]]) -> ReplayState:
    (action, obs, terminated, truncated), *later = fields
    state = ReplayState(seed, None, action, obs, 0, terminated, truncated)
    for num_steps, (action, obs, terminated, truncated) in enumerate(later, start=1):
        state = ReplayState(seed, state, action, obs, num_steps, terminated, truncated)
    return state


def _same_action(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same_action(a[k], b[k]) for k in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same_action, a, b))
    return np.array_equal(a, b)


class Simulator:
    """A Gymnasium environment that keeps track of its `ReplayState`.

    Parameters
    ----------
    env_id
        Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.
    env_config
        Keyword arguments of `gymnasium.make`.
    """

    def __init__(self, env_id: str, env_config: dict[str, Any]) -> None:
        self._episodes = ExactEpisodes(env_id, env_config)
        self._state: ReplayState | None = None

    @property
    def env(self) -> gymnasium.Env:
        """The Gymnasium environment; created if it is not open."""
        return self._episodes.env

    def start(self, seed: int) -> ReplayState:
        """Start the episode of a seed.

        Parameters
        ----------
        seed
            Seed of the Gymnasium reset.

        Returns
        -------
        ReplayState
            The initial state of the episode.
        """
        obs = self._reset(seed)
        self._state = ReplayState(seed, None, None, copy.deepcopy(obs))
        return self._state

    def step(
        self, state: ReplayState, action: Any
    ) -> tuple[ReplayState, float, dict[str, Any]]:
        """Take one action in a state.

        Parameters
        ----------
        state
            Any state of a simulator with the same id and config.
        action
            Action of the Gymnasium action space.

        Returns
        -------
        next_state : ReplayState
            The new state, which contains the observation.
        reward : float
            The reward of the step.
        info : dict
            Gymnasium's info.
        """
        self.move_to(state)
        # The caller may modify its array later.
        action = copy.deepcopy(action)
        obs, reward, terminated, truncated, info = self._act(action)
        self._state = ReplayState(
            state.seed,
            state,
            action,
            # Some environments return an array that they modify later.
            copy.deepcopy(obs),
            state.num_steps + 1,
            bool(terminated),
            bool(truncated),
        )
        return self._state, float(reward), info

    def move_to(self, state: ReplayState) -> None:
        """Move the simulator to a state.

        If the simulator is in an earlier state of the same episode, this takes the
        missing steps; otherwise, it takes a reset and all steps of the state.

        Parameters
        ----------
        state
            Any state of a simulator with the same id and config.
        """
        missing: list[ReplayState] = []
        origin: ReplayState | None = state
        while origin is not None and origin is not self._state:
            missing.append(origin)
            origin = origin.parent
        if origin is None:
            self._reset(state.seed)
            missing.pop()
        for step in reversed(missing):
            self._act(step.action)
        self._state = state

    def close(self) -> None:
        """Close the Gymnasium environment; the next use creates a new one."""
        self._episodes.close()
        self._state = None

    def _reset(self, seed: int) -> Any:
        self._state = None
        return self._episodes.reset(seed)

    def _act(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        # Unknown until the step has succeeded.
        self._state = None
        # Some environments modify their action, but states must not change.
        return self.env.step(copy.deepcopy(action))

    def __getstate__(self) -> dict[str, Any]:
        # A copy creates its own simulator, which has no state yet.
        return {**self.__dict__, "_state": None}


class GymnasiumModel(POSGModel):
    """A Gymnasium environment as a generative POSGGym model with agent "0".

    The spaces are those of the Gymnasium environment, and so is the time limit. Steps
    after the end of an episode behave as in the Gymnasium environment. Models can be
    copied and pickled; each copy creates its own simulator.

    Parameters
    ----------
    env_id
        Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.
    **env_config
        Keyword arguments of `gymnasium.make`, except ``render_mode``.

    Raises
    ------
    ValueError
        If the id is unknown.
    """

    possible_agents = (AGENT_ID,)
    is_symmetric = True
    state_space = None

    def __init__(self, env_id: str, **env_config: Any) -> None:
        self._simulator = Simulator(env_id, env_config)
        env = self._simulator.env
        self.metadata: dict[str, Any] = dict(env.metadata)
        # Number of steps after which Gymnasium truncates an episode; None for never.
        self.time_limit = None if env.spec is None else env.spec.max_episode_steps
        # Copies, because seeding the model's spaces must not affect the simulator,
        # which may sample from its own spaces.
        self.action_spaces = {AGENT_ID: copy.deepcopy(env.action_space)}
        self.observation_spaces = {AGENT_ID: copy.deepcopy(env.observation_space)}
        self._rng: np.random.Generator | None = None
        self._first_seed: int | None = None

    @property
    def rng(self) -> np.random.Generator:
        """The generator of seeds for unseeded episodes."""
        if self._rng is None:
            self._rng, _ = seeding.np_random()
        return self._rng

    def seed(self, seed: int | None = None) -> None:
        """Seed the model and its spaces.

        Parameters
        ----------
        seed
            Seed of the Gymnasium reset for the next initial state. Later initial states
            use seeds from the model's generator. None seeds the generator from the
            operating system.
        """
        super().seed(seed)
        self._first_seed = seed

    def get_agents(self, state: ReplayState) -> list[str]:
        """Return the ids of the active agents, which is always ["0"]."""
        return list(self.possible_agents)

    def sample_initial_state(self) -> ReplayState:
        """Start an episode.

        Returns
        -------
        ReplayState
            The initial state. In the first episode after `seed`, it is that of the
            given seed; later, seeds below 2**31 come from the model's generator.
        """
        seed, self._first_seed = self._first_seed, None
        if seed is None:
            seed = int(self.rng.integers(2**31))
        return self._simulator.start(seed)

    def sample_initial_obs(self, state: ReplayState) -> dict[str, Any]:
        """Return the observation of a state, keyed by agent id.

        Parameters
        ----------
        state
            Usually an initial state, but any state works.

        Returns
        -------
        dict
            A copy of the observation of agent "0".
        """
        return {AGENT_ID: copy.deepcopy(state.obs)}

    def step(self, state: ReplayState, actions: dict[str, Any]) -> JointTimestep:
        """Take one step from any state of this model.

        Parameters
        ----------
        state
            A state returned by this model, or by one with the same arguments.
        actions
            The action of agent "0", in the Gymnasium action space.

        Returns
        -------
        JointTimestep
            Next state; observation, float reward, termination, truncation and info
            of agent "0"; ``all_done`` once the episode is terminated or truncated.

        Notes
        -----
        This takes one simulator step if `state` is the last one returned, and otherwise
        up to ``state.num_steps`` more to replay it.
        """
        next_state, reward, info = self._simulator.step(state, actions[AGENT_ID])
        return JointTimestep(
            next_state,
            self.sample_initial_obs(next_state),
            {AGENT_ID: reward},
            {AGENT_ID: next_state.terminated},
            {AGENT_ID: next_state.truncated},
            next_state.terminated or next_state.truncated,
            {AGENT_ID: info},
        )

    def close(self) -> None:
        """Close the simulator; the next use creates a new one."""
        self._simulator.close()


class GymnasiumEnv(DefaultEnv):
    """A Gymnasium environment as a POSGGym environment with agent "0".

    ``reset(seed=k)`` starts exactly the episode that ``reset(seed=k)`` starts in a new
    Gymnasium environment that was reset once before. Later episodes use seeds from the
    model's generator. They are reproducible, but differ from those after unseeded
    resets in Gymnasium.

    `render` uses a separate simulator, so that rendering cannot affect the physics, and
    the window does not show states that a planner tries in the model.

    Parameters
    ----------
    env_id
        Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.
    render_mode
        One of ``metadata["render_modes"]`` of the environment, or None.
    **env_config
        Further keyword arguments of `gymnasium.make`.

    Raises
    ------
    ValueError
        If the id is unknown or the environment has no such render mode.
    """

    # The modes that posggym.make accepts; instances have the modes of their task.
    metadata = {  # noqa: RUF012 - posggym declares it as an instance attribute too
        "render_modes": ["human", "rgb_array", "depth_array", "ansi"],
    }

    def __init__(
        self, env_id: str, render_mode: str | None = None, **env_config: Any
    ) -> None:
        model = GymnasiumModel(env_id, **env_config)
        admitted = type(self).metadata["render_modes"]
        modes = [m for m in model.metadata.get("render_modes", []) if m in admitted]
        if render_mode is not None and render_mode not in modes:
            model.close()
            choice = ", ".join(modes) or "no mode"
            raise ValueError(f"{env_id} renders as {choice}, not {render_mode!r}")
        self.metadata = {**model.metadata, "render_modes": modes}
        self._viewer: Simulator | None = None
        if render_mode is not None:
            viewer_config = {**env_config, "render_mode": render_mode}
            self._viewer = Simulator(env_id, viewer_config)
        super().__init__(model, render_mode=render_mode)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode.

        Parameters
        ----------
        seed
            Seed of the episode and of the model; None to continue the model's sequence
            of seeds.
        options
            Must be empty, because states are replayed only from seed and actions.

        Returns
        -------
        observations : dict
            The observation of agent "0".
        infos : dict
            An empty dict for agent "0".

        Raises
        ------
        ValueError
            If options are given.
        """
        if options:
            raise ValueError(f"reset options are not supported: {options!r}")
        return super().reset(seed=seed)

    def render(self) -> Any:
        """Render the current state.

        Returns
        -------
        ndarray, str or None
            For "rgb_array" an image, uint8 of shape (height, width, 3); for other modes
            Gymnasium's result; None, with a warning, without a render mode.
        """
        if self._viewer is None:
            logger.warn("render() without a render mode: pass one to posggym.make")
            return None
        self._viewer.move_to(self._state)
        return self._viewer.env.render()

    def close(self) -> None:
        """Close the simulators; the next use creates new ones."""
        self.model.close()
        if self._viewer is not None:
            self._viewer.close()
