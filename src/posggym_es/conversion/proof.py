"""Proof that a converted policy acts like the trained one, on real episodes.

For a deterministic policy, the converted and stored weights are compared with the
trained policy in float64. POSGGym's own float32 results must be within bounds that
follow from the magnitudes, see `posggym_es.conversion.float64_model`. Therefore, the
result of the proof is the same on every processor.

For a stochastic policy, POSGGym's probabilities of actions are compared with the
original ones.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import gymnasium
import numpy as np
import posggym
from gymnasium import spaces
from posggym.agents.torch_policy import PPOPolicy

from posggym_es.conversion.float64_model import Bounded, Float64Model
from posggym_es.conversion.report import MIN_OBSERVATIONS
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.utils.small_networks import small_networks


@dataclasses.dataclass(frozen=True)
class Proof(abc.ABC):
    """How closely a converted policy acts like the trained one.

    Parameters
    ----------
    observations
        Number of observations compared, from rollouts of the trained policy.
    max_difference
        Largest difference; None if differences are counted instead.
    """

    observations: int
    max_difference: float | None

    @property
    @abc.abstractmethod
    def holds(self) -> bool:
        """Whether the converted policy acts like the trained one."""

    @property
    @abc.abstractmethod
    def failure(self) -> str:
        """How the policies differ, for a proof that does not hold."""


@dataclasses.dataclass(frozen=True)
class ActionProof(Proof):
    """How closely a converted policy acts like the trained, deterministic one.

    Parameters
    ----------
    observations
        Number of observations compared.
    max_difference
        Box: largest difference of an action component between the trained policy and
        the converted weights, both in float64, as a share of the action range. None for
        Discrete.
    different_actions
        Discrete: number of observations on which POSGGym takes another action. None for
        Box.
    ties
        Number of `different_actions` where float32 cannot distinguish the outputs.
    max_rounding
        Box: largest difference of an action component between the trained policy and
        what POSGGym computes in float32, as a share of the action range.
    rounding_share
        Box: largest error of POSGGym's float32 computation, as a share of the bound
        that follows from the magnitudes; more than 1 means that it computes something
        else.
    """

    different_actions: int | None
    ties: int
    max_rounding: float | None = None
    rounding_share: float | None = None

    # Limits of max_difference, max_rounding, and the share of ties.
    tolerance: float = 1e-5
    max_rounding_allowed: float = 1e-3
    max_ties_allowed: float = 1e-3

    @property
    def holds(self) -> bool:
        """Whether the converted policy acts like the trained one."""
        if self.different_actions is not None:
            most = self.max_ties_allowed * self.observations
            return self.different_actions <= min(self.ties, most)
        # Comparisons with NaN are false.
        return (
            (self.max_difference or 0.0) <= self.tolerance
            and (self.max_rounding or 0.0) <= self.max_rounding_allowed
            and (self.rounding_share or 0.0) <= 1.0
        )

    @property
    def failure(self) -> str:
        """How the policies differ, for a proof that does not hold."""
        text = "the converted policy acts differently from the trained one: "
        if self.different_actions is not None:
            return text + (
                f"{self.different_actions} of {self.observations} actions differ, "
                f"{self.ties} of them where float32 cannot tell which is better"
            )
        return text + (
            f"actions differ by {self.max_difference:.1e} of their range in float64 "
            f"and by {self.max_rounding:.1e} in float32, whose errors reach "
            f"{self.rounding_share:.1e} of their bounds"
        )


@dataclasses.dataclass(frozen=True)
class ProbabilityProof(Proof):
    """How closely a converted policy has the probabilities of the original one.

    Parameters
    ----------
    observations
        Number of observations compared.
    max_difference
        Largest difference of a probability, or of a mean or standard deviation in the
        units of the processed actions, whose range is 2.
    """

    max_difference: float

    tolerance: float = 1e-5

    @property
    def holds(self) -> bool:
        """Whether the converted policy acts like the original one."""
        return self.max_difference <= self.tolerance

    @property
    def failure(self) -> str:
        """How the policies differ, for a proof that does not hold."""
        return (
            "the converted policy acts with other probabilities than the original one: "
            f"they differ by {self.max_difference:.1e}"
        )


@small_networks()
def prove(
    policy: ConvertiblePolicy,
    converted: PPOPolicy[Any, Any],
    env: posggym.Env[Any, Any, Any],
    min_observations: int = MIN_OBSERVATIONS,
    seed: int = 0,
) -> Proof:
    """Compare a converted policy with the trained one on real episodes.

    The trained policy plays the agent of the converted policy, and all other agents if
    it is proved in self-play and has no role; otherwise, these act randomly. POSGGym's
    own `PPOPolicy` runs the converted policy on each observation of its agent.

    Parameters
    ----------
    policy
        The trained policy, evaluated in float64.
    converted
        The converted policy, from `posggym.agents.make` or `PPOPolicy.load_from_path`.
    env
        The environment that the policy will be registered for.
    min_observations
        Episodes are played until this number of observations has been compared.
    seed
        Seed of the first episode; later ones count up.

    Raises
    ------
    ValueError
        If the policy does not match the environment.
    """
    agent = converted.agent_id
    in_self_play = policy.proved_in_self_play and policy.metadata.role is None
    seats = env.possible_agents if in_self_play else (agent,)
    players = {i: policy.reference_agent(env.model, i) for i in seats}
    for space in env.action_spaces.values():
        space.seed(seed)
    comparison = _comparison(policy, converted, env.action_spaces[agent])
    while comparison.count < min_observations:
        observations, _ = env.reset(seed=seed)
        comparison.start(seed)
        for player in players.values():
            player.reset(seed=seed)
        seed += 1
        done = False
        while not done:
            actions = {}
            for i in env.agents:
                if i not in players:
                    actions[i] = env.action_spaces[i].sample()
                    continue
                decision = players[i].decide(observations[i])
                if i == agent:
                    comparison.add(observations[i], decision)
                actions[i] = players[i].act(decision)
            observations, _, _, _, done, _ = env.step(actions)
    return comparison.proof()


class _Comparison(abc.ABC):
    """Compares a converted policy with the trained one on each observation."""

    def __init__(self, converted: PPOPolicy[Any, Any]) -> None:
        self.count = 0
        self._converted = converted

    def start(self, seed: int) -> None:
        """Start an episode."""
        self._converted.reset(seed=seed)
        self._state = self._converted.get_initial_state()

    def add(self, observation: Any, trained: Any) -> None:
        """Compare the response to an observation with the trained policy's decision."""
        self.count += 1
        before = self._state
        self._state = self._converted.get_next_state(None, observation, before)
        self._compare(trained, before["lstm_state"])

    @abc.abstractmethod
    def _compare(self, trained: Any, lstm_before: Any) -> None:
        """Compare the state that has followed.

        Parameters
        ----------
        trained
            What the trained policy decided.
        lstm_before
            POSGGym's state of the LSTM before the observation.
        """

    @abc.abstractmethod
    def proof(self) -> Proof:
        """Return the result."""


class _ProbabilityComparison(_Comparison):
    def __init__(self, converted: PPOPolicy[Any, Any]) -> None:
        super().__init__(converted)
        self._largest = 0.0

    def _compare(self, trained: Any, lstm_before: Any) -> None:
        found = np.float64(self._state["action_probs"]).ravel()
        difference = np.abs(found - trained.ravel()).max()
        # This keeps a NaN, which never agrees.
        self._largest = float(np.maximum(self._largest, difference))

    def proof(self) -> ProbabilityProof:
        return ProbabilityProof(self.count, self._largest)


class _ActionComparison(_Comparison):
    """Compares actions, and the networks' outputs in float64."""

    def __init__(self, converted: PPOPolicy[Any, Any]) -> None:
        super().__init__(converted)
        self._exact = Float64Model(converted.policy_model)

    def start(self, seed: int) -> None:
        """Start an episode."""
        super().start(seed)
        self._exact_state = self._exact.start()

    def _compare(self, trained: Any, lstm_before: Any) -> None:
        before = [
            (output[0].numpy().astype(np.float64), cell[0].numpy().astype(np.float64))
            for output, cell in zip(*lstm_before, strict=True)
        ]
        seen = self._state["obs"]
        exact, self._exact_state = self._exact.step(seen, self._exact_state)
        # Starting from the float32 state gives the bounds of a single step.
        bounded, _ = self._exact.step(seen, before)
        answer = self._converted.sample_action(self._state)
        self._compare_actions(trained, exact.value, bounded, answer)

    @abc.abstractmethod
    def _compare_actions(
        self, trained: Any, exact: np.ndarray, bounded: Bounded, answer: Any
    ) -> None:
        """Compare actions.

        Parameters
        ----------
        trained
            The trained policy's action.
        exact
            Outputs of the converted network in float64.
        bounded
            Outputs that POSGGym's network may have, as it computes in float32.
        answer
            POSGGym's action.
        """


class _DiscreteComparison(_ActionComparison):
    def __init__(self, converted: PPOPolicy[Any, Any]) -> None:
        super().__init__(converted)
        self._different, self._ties = 0, 0

    def _compare_actions(
        self, trained: Any, exact: np.ndarray, bounded: Bounded, answer: Any
    ) -> None:
        if int(answer) == trained:
            return
        self._different += 1
        # Whether rounding alone can make the trained policy's action the best.
        self._ties += bool(bounded.high[trained] >= bounded.low.max())

    def proof(self) -> ActionProof:
        return ActionProof(self.count, None, self._different, self._ties)


class _BoxComparison(_ActionComparison):
    def __init__(
        self, converted: PPOPolicy[Any, Any], space: gymnasium.Space[Any]
    ) -> None:
        super().__init__(converted)
        self._range = _action_range(space)
        self._largest = np.zeros(3)

    def _compare_actions(
        self, trained: Any, exact: np.ndarray, bounded: Bounded, answer: Any
    ) -> None:
        processor = self._converted.action_processor
        size = len(exact) // 2
        action = np.float64(processor.unprocess(exact[:size]))
        computed = np.float64(self._state["action_probs"]).reshape(2, size)[0]
        differences = (
            (action - trained) / self._range,
            (np.float64(answer) - trained) / self._range,
            (computed - bounded.value[:size]) / bounded.error[:size],
        )
        found = [np.abs(difference).max() for difference in differences]
        # This keeps a NaN, which never agrees.
        self._largest = np.maximum(self._largest, found)

    def proof(self) -> ActionProof:
        difference, rounding, share = map(float, self._largest)
        return ActionProof(self.count, difference, None, 0, rounding, share)


def _comparison(
    policy: ConvertiblePolicy,
    converted: PPOPolicy[Any, Any],
    space: gymnasium.Space[Any],
) -> _Comparison:
    if not policy.deterministic:
        return _ProbabilityComparison(converted)
    if isinstance(space, spaces.Discrete):
        return _DiscreteComparison(converted)
    return _BoxComparison(converted, space)


def _action_range(space: gymnasium.Space[Any]) -> np.ndarray:
    """Return the width of each component (1 where infinite)."""
    assert isinstance(space, spaces.Box)
    width = np.float64(space.high) - np.float64(space.low)
    return np.where(np.isfinite(width), width, 1.0)
