"""Populations: what may stand in the config, and the training runs that it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from pgpelib.utils.settings import (
    AS_TUPLE,
    Count,
    FieldError,
    PositiveInt,
    Settings,
    SettingsError,
    Text,
)
from posggym_es.config.training_settings import ExperimentTraining, Limits, Resources
from posggym_es.registration.settings import RegisterSettings
from posggym_es.tasks.family import POSGGYM_PREFIX, RANDOM_POLICY

AGENT_PREFIX = "experiment:"
"""Prefix of partners that are agents of the config's experiments."""

_Seeds = Annotated[tuple[Count, ...], Field(min_length=1), AS_TUPLE]
_Checkpoint = Literal["initial", "middle", "final"]


class PopulationRegister(RegisterSettings):
    """Registration settings of a population's agents."""

    policy_name: Text = "{member}"
    """Name in the id. `{member}` is replaced by the method's own name, such as `KLR2`,
    with the seed if there are several, and with the role: `KLR2_seed1_i0`."""


class PopulationSettings(Settings):
    """A population of agents that are trained with or against each other."""

    method: Literal["sp", "klr", "klr_br", "sp_br", "fcp", "psro"]
    """How the agents are trained with each other: self-play (`sp`), k-level reasoning
    (`klr`), the same with a best response to all levels (`klr_br`), self-play with a
    best response (`sp_br`), fictitious co-play (`fcp`), or policy-space response
    oracles (`psro`)."""
    train: ExperimentTraining
    """Training settings of all members, see below. `roles` lists all agents of an
    environment whose agents differ; each gets its own policies."""
    best_response: dict[str, Any] = Field(default_factory=dict)
    """Training settings that differ for best responses."""
    seeds: _Seeds = (0,)
    """Each seed gives one self-play agent, or one hierarchy of levels or iterations."""
    response_seeds: _Seeds = (0,)
    """Seeds of the best responses of `sp_br` and `fcp`."""
    levels: PositiveInt = 4
    """Trained levels of `klr` and `klr_br`; level 0 acts at random."""
    iterations: PositiveInt = 4
    """Iterations of `psro`."""
    checkpoints: Annotated[tuple[_Checkpoint, ...], Field(min_length=1), AS_TUPLE] = (
        "initial",
        "middle",
        "final",
    )
    """Saved policies of the self-play agents that `fcp` trains a best response to."""
    payoff_episodes: PositiveInt = 100
    """Episodes of each pair of policies, from which `psro` computes its mixtures."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which policy of a run is registered and plays as a partner, as in experiments."""
    verify_episodes: PositiveInt = 16
    """As in experiments."""
    registration: PopulationRegister = Field(
        alias="register", default_factory=PopulationRegister
    )
    """How the agents are registered in POSGGym, as in experiments. `policy_name` is
    `{member}` by default, which stands for the method's own names."""
    resources: Resources = Resources()
    """Resources of each training job, as in experiments."""

    @property
    def env_modules(self) -> tuple[str, ...]:
        """POSGGym's environments are in no other modules."""
        return ()

    @property
    def chosen_checkpoint(self) -> str:
        """Which policy of a run is registered."""
        return self.checkpoint

    @field_validator("seeds", "response_seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"must not name a seed twice, as {list(seeds)} does")
        return seeds

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse a population that cannot be trained."""
        if not self.train.env_name.startswith(POSGGYM_PREFIX):
            raise FieldError(
                "train.env_name",
                f"must be a POSGGym environment, {POSGGYM_PREFIX}ID, because others "
                "have one agent",
            )
        for name in ("partners", "roles"):
            if name in self.best_response:
                raise FieldError(f"best_response.{name}", "follows from the method")
        if self.train.partners:
            raise FieldError("train.partners", "follows from the method")
        if len(self.train.roles) == 1:
            raise FieldError("train.roles", "must list all agents, or none")
        name = self.registration.policy_name
        if "{member}" not in name:
            raise FieldError("register.policy_name", "must contain {member}")
        try:
            members_of("population", self)
        except SettingsError as error:
            raise FieldError("best_response", "; ".join(error.mistakes)) from error
        return self

    def limited(self, limits: Limits) -> Self:
        """Return these settings with every budget at most at its limit."""
        most = limits.re_eval_num_episodes
        if most is None:
            return self
        changes = {
            name: min(getattr(self, name), most)
            for name in ("payoff_episodes", "verify_episodes")
        }
        return self.model_copy(update=changes)


@dataclasses.dataclass(frozen=True)
class Member:
    """A training run of a population.

    Parameters
    ----------
    label
        Name of its folder.
    train
        Its settings.
    seed
        Its seed.
    policy_name
        Name of its agents; `{role}` stands for that of an agent.
    description
        What it is, in a sentence.
    solves_game
        Whether it answers the solution of the game between its partners, instead of
        their weights.
    """

    label: str
    train: ExperimentTraining
    seed: int
    policy_name: str
    description: str = ""
    solves_game: bool = False


def members_of(name: str, settings: PopulationSettings) -> list[Member]:
    """Return the training runs of a population.

    Parameters
    ----------
    name
        The population, for references between its members.
    settings
        Its entry in the config.

    Raises
    ------
    SettingsError
        If the settings of best responses are not valid.
    """
    return list(_Expansion(name, settings).members())


class _Expansion:
    """The members of a population; later ones refer to earlier ones by their labels."""

    def __init__(self, name: str, settings: PopulationSettings) -> None:
        self._name, self._settings = name, settings
        self._roles: tuple[str | None, ...] = settings.train.roles or (None,)

    def members(self) -> Iterator[Member]:
        """Yield all members, each after those that it refers to."""
        settings = self._settings
        match settings.method:
            case "klr" | "klr_br":
                for seed in settings.seeds:
                    yield from self._levels(seed)
            case "psro":
                for seed in settings.seeds:
                    yield from self._iterations(seed)
            case method:
                yield from self._self_play()
                if method != "sp":
                    yield from self._response_to_self_play(fictitious=method == "fcp")

    def _self_play(self) -> Iterator[Member]:
        name = "sp_seed{seed}" + ("_i{role}" if self._settings.train.roles else "")
        for seed in self._settings.seeds:
            yield self._member(
                "sp", self._settings.train, seed, name, "Trained in self-play"
            )

    def _response_to_self_play(self, *, fictitious: bool) -> Iterator[Member]:
        settings = self._settings
        checkpoints = [f"@{each}" for each in settings.checkpoints]
        partners = [
            f"{self._agent('sp', seed, role, len(self._roles) > 1)}{checkpoint}"
            for seed in settings.seeds
            for role in self._roles
            for checkpoint in (checkpoints if fictitious else [""])
        ]
        what = "self-play agents" + (" and their checkpoints" if fictitious else "")
        name = "FCP" if fictitious else "SPBR"
        for seed in settings.response_seeds:
            several = len(settings.response_seeds) > 1
            yield from self._responses(
                "br", partners, seed, name, f"Best response to {what}", several
            )

    def _levels(self, seed: int) -> Iterator[Member]:
        several = len(self._settings.seeds) > 1
        levels = [[RANDOM_POLICY]]
        for level in range(1, self._settings.levels + 1):
            text = f"Level {level} of k-level reasoning"
            yield from self._responses(
                f"k{level}", levels[-1], seed, f"KLR{level}", text, several
            )
            levels.append(self._agents(f"k{level}", seed))
        if self._settings.method == "klr_br":
            partners = [partner for level in levels for partner in level]
            text = "Best response to all levels of k-level reasoning"
            yield from self._responses("br", partners, seed, "KLRBR", text, several)

    def _iterations(self, seed: int) -> Iterator[Member]:
        several = len(self._settings.seeds) > 1
        partners = [RANDOM_POLICY]
        for number in range(1, self._settings.iterations + 1):
            yield from self._responses(
                f"it{number}",
                list(partners),
                seed,
                f"PSRO{number}",
                f"Iteration {number} of policy-space response oracles",
                several,
                solves_game=True,
            )
            partners += self._agents(f"it{number}", seed)

    def _responses(
        self,
        label: str,
        partners: list[str],
        seed: int,
        name: str,
        description: str,
        several: bool,
        *,
        solves_game: bool = False,
    ) -> Iterator[Member]:
        """Yield a best response for each role."""
        settings = self._settings
        if several:
            name += "_seed{seed}"
        for role in self._roles:
            values = {
                **settings.train.given(),
                **settings.best_response,
                "partners": partners,
                "roles": [] if role is None else [role],
            }
            yield self._member(
                label if role is None else f"{label}_i{role}",
                ExperimentTraining.from_dict(values),
                seed,
                name if role is None else f"{name}_i{{role}}",
                description,
                solves_game=solves_game,
            )

    def _member(
        self,
        label: str,
        train: ExperimentTraining,
        seed: int,
        name: str,
        description: str,
        *,
        solves_game: bool = False,
    ) -> Member:
        template = self._settings.registration.policy_name
        name = template.replace("{member}", name).replace("{seed}", str(seed))
        label = f"{label}_seed{seed}"
        return Member(label, train, seed, name, description, solves_game)

    def _agents(self, label: str, seed: int) -> list[str]:
        """Return the agents of a member that has a run for each role."""
        return [self._agent(label, seed, role, False) for role in self._roles]

    def _agent(self, label: str, seed: int, role: str | None, together: bool) -> str:
        """Return the name of an agent as a partner."""
        run = f"{label}_seed{seed}"
        if together:
            run += f"_{role}"
        elif role is not None:
            run = f"{label}_i{role}_seed{seed}"
        return f"{AGENT_PREFIX}{self._name}/{run}"
