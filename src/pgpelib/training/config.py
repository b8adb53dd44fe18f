"""What defines a training run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pgpelib.engines.evaluation import TaskConfig
from pgpelib.tasks.registry import standard_env_name
from pgpelib.utils.plain_data import is_integer, is_number

# Settings that change how long a run goes on, or how it is computed, but no number of
# any generation. All others make a different run.
BUDGET_KEYS = ("niters", "target_return", "num_cpus", "engine", "worker_timeout")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


# What a setting has to be, by its annotation.
_TYPES = {
    "str": ("text", lambda value: isinstance(value, str)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": ("a whole number", is_integer),
    "float": ("a finite number", is_number),
    "dict[str, Any]": ("a mapping", lambda value: isinstance(value, Mapping)),
    "tuple[int, ...]": (
        "a list of whole numbers",
        lambda value: _is_list(value) and all(map(is_integer, value)),
    ),
    "tuple[str, ...]": (
        "a list of texts",
        lambda value: _is_list(value) and all(isinstance(v, str) for v in value),
    ),
}

_POSITIVE = (
    "niters",
    "popsize",
    "popsize_max",
    "num_interactions",
    "max_speed",
    "center_lr",
    "radius",
    "stdev_max_change",
    "re_eval_num_episodes",
    "save_interval",
    "worker_timeout",
    "episodes_per_solution",
    "max_speed_decay",
    "stdev_decay",
    "patience",
)
_NOT_NEGATIVE = ("stdev_lr", "lstm_size", "seed", "re_eval_interval", "restarts")
_AT_MOST_ONE = ("max_speed_decay", "stdev_decay")
# None for no limit, which the original trainer writes as -1.
LIMITS = ("popsize_max", "num_interactions", "stdev_max_change", "patience")
_MINUS_ONE_FOR_ALL = ("max_episode_length", "num_cpus")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Everything that defines a run; names and defaults are the original trainer's.

    The defaults are the paper's HumanoidBullet configuration (arXiv 2008.02387).

    Parameters
    ----------
    env_name
        Environment that gives fitnesses: a Gymnasium id (old spellings are
        understood), or "posggym:" and a POSGGym id.
    env_config
        Keyword arguments of the environment.
    re_eval_env_name
        Environment of re-evaluations; None for the standard form of the training one
        (HumanoidBulletEnv-v0 for TinyTrajHumanoidBulletEnv-v0).
    hidden, activation
        Sizes of hidden layers (empty for a linear policy); "tanh" or "relu".
    lstm_size, head
        Cells of an LSTM after the hidden layers (0 for none), and sizes of the hidden
        layers after it.
    roles
        Agent ids of a POSGGym environment that get policies of their own, trained
        together: each is evaluated with the centers of the others. Empty for one
        policy that plays all agents.
    partners
        Ids of registered policies that play the other agents: the policy is trained as
        a best response to them. With at most one role.
    obs_norm
        Normalise observations by their running mean and standard deviation.
    max_episode_length
        Steps after which a training episode is stopped; -1 for the environment's own.
    decrease_rewards_by
        Subtracted from every reward in training, not in re-evaluations.
    niters
        Generations.
    popsize, popsize_max, num_interactions
        Solutions of a generation; with `num_interactions` more are sampled, `popsize`
        at a time, until that many simulator steps or `popsize_max` solutions. -1 and
        None are no limit.
    episodes_per_solution
        Episodes whose mean return is the fitness of a solution.
    common_seeds
        Whether all solutions of a generation play the same episodes (common random
        numbers), so that they differ by their parameters alone.
    max_speed, center_lr
        ClipUp's bound on the velocity, and its step size; with Adam `center_lr` alone.
    optimizer
        "clipup" or "adam".
    radius
        Initial distance of solutions from the center:
        stdev_init = sqrt(radius^2 / n_params).
    stdev_lr, stdev_max_change
        Learning rate of standard deviations and largest relative change of one update
        (-1 or None for any).
    max_speed_decay
        `max_speed` and `center_lr` are multiplied by it after each generation.
    stdev_decay
        Standard deviations are multiplied by it after each generation.
    solution_ranking
        Use centered ranks as fitnesses.
    re_eval_interval, re_eval_num_episodes
        Generations between re-evaluations of the center (0 for one at the end), and
        episodes of each.
    keep_best
        Save the center with the best re-evaluation so far, not the current one.
    target_return
        End the run when the mean of a re-evaluation reaches this; None for never.
    patience
        Give up the search after this many re-evaluations in a row that are no better
        than its best one; None for never. The run then ends, or restarts.
    restarts
        How many times another search follows one that was given up. It begins as the
        first one did, with other random numbers; the best center of all is saved.
    save_interval
        Generations between saved policies.
    num_cpus
        Worker processes, with "slurm" of each node; -1 for all cores (of the cluster,
        with Ray).
    engine
        "local"; "ray" for the Ray cluster that RAY_ADDRESS names (a new one on this
        machine if it is not set); "slurm" for a Ray cluster of its own on all nodes of
        the Slurm allocation that it runs in (local workers if there is none).
    worker_timeout
        Seconds without any result after which workers count as hung.
    seed
        Seed of everything.

    Raises
    ------
    ValueError
        If a value makes no sense, naming it.
    """

    env_name: str = "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0"
    env_config: dict[str, Any] = dataclasses.field(default_factory=dict)
    re_eval_env_name: str | None = None
    hidden: tuple[int, ...] = (64,)
    activation: str = "tanh"
    lstm_size: int = 0
    head: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    obs_norm: bool = True
    max_episode_length: int = -1
    decrease_rewards_by: float = 0.0
    niters: int = 1000
    popsize: int = 10000
    popsize_max: int | None = 80000
    num_interactions: int | None = 1500000
    episodes_per_solution: int = 1
    common_seeds: bool = False
    max_speed: float = 0.15
    center_lr: float = 0.075
    optimizer: str = "clipup"
    radius: float = 2.25
    stdev_lr: float = 0.1
    stdev_max_change: float | None = 0.2
    max_speed_decay: float = 1.0
    stdev_decay: float = 1.0
    solution_ranking: bool = True
    re_eval_interval: int = 10
    re_eval_num_episodes: int = 16
    keep_best: bool = False
    target_return: float | None = None
    patience: int | None = None
    restarts: int = 0
    save_interval: int = 10
    num_cpus: int = -1
    engine: str = "local"
    worker_timeout: float = 3600.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.check_types(vars(self))
        for name in ("hidden", "head", "roles", "partners"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in LIMITS:
            if getattr(self, name) == -1:
                object.__setattr__(self, name, None)
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} has to be positive, not {value}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} has to be >= 0, not {getattr(self, name)}")
        for name in _AT_MOST_ONE:
            if getattr(self, name) > 1:
                raise ValueError(f"{name} has to be <= 1, not {getattr(self, name)}")
        for name in _MINUS_ONE_FOR_ALL:
            value = getattr(self, name)
            if value < 1 and value != -1:
                raise ValueError(f"{name} has to be positive or -1, not {value}")
        for name in ("hidden", "head"):
            if any(size < 1 for size in getattr(self, name)):
                sizes = list(getattr(self, name))
                raise ValueError(f"{name}: sizes have to be positive, not {sizes}")
        if self.popsize % 2:
            raise ValueError(f"popsize has to be even, not {self.popsize}")
        if self.head and not self.lstm_size:
            raise ValueError("head: only follows an LSTM; set lstm_size, or use hidden")
        if len(set(self.roles)) < len(self.roles):
            raise ValueError(f"roles names an agent twice: {', '.join(self.roles)}")
        if self.partners and len(self.roles) > 1:
            raise ValueError(
                "partners: a best response has one role at most, not "
                f"{', '.join(self.roles)}"
            )
        self._check_stopping()

    def _check_stopping(self) -> None:
        """Refuse settings that re-evaluations cannot follow."""
        if self.restarts and self.patience is None:
            raise ValueError("restarts: set patience, which says when to restart")
        if self.restarts and not self.keep_best:
            raise ValueError(
                "restarts: set keep_best to true; otherwise the policy of the last "
                "search is saved, however bad it is"
            )
        for name, value in (
            ("keep_best", self.keep_best),
            ("target_return", self.target_return is not None),
            ("patience", self.patience is not None),
        ):
            if not value:
                continue
            if not self.re_eval_interval:
                raise ValueError(f"{name}: needs re-evaluations; set re_eval_interval")
            if len(self.roles) > 1:
                raise ValueError(
                    f"{name}: policies that are trained together have no best "
                    "re-evaluation; remove it, or train one role"
                )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Make a config, refusing unknown names.

        Raises
        ------
        ValueError
            If a name is unknown or a value makes no sense.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"unknown settings {', '.join(unknown)}; known ones are "
                f"{', '.join(sorted(known))}"
            )
        return cls(**values)

    @classmethod
    def check_types(cls, values: Mapping[str, Any]) -> None:
        """Refuse settings of another type; other names are not looked at.

        Raises
        ------
        ValueError
            Naming the setting.
        """
        for field in dataclasses.fields(cls):
            if field.name not in values:
                continue
            value = values[field.name]
            kind, _, optional = str(field.type).partition(" | ")
            if optional and value is None:
                continue
            name, is_kind = _TYPES[kind]
            if not is_kind(value):
                other = " or None" if optional else ""
                raise ValueError(f"{field.name} has to be {name}{other}, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data (JSON types)."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the run that this config defines.

        Configs that differ in `BUDGET_KEYS` only share it: such runs agree generation
        by generation, so one can go on where the other stopped. Defaults do not count,
        so a setting that a later version adds leaves the digests of runs as they are.
        """
        defaults = TrainingConfig().to_dict()
        values = {
            name: value
            for name, value in self.to_dict().items()
            if name not in BUDGET_KEYS and value != defaults[name]
        }
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def task(self) -> TaskConfig:
        """What workers need of the config."""
        return TaskConfig(
            self.env_name,
            self.env_config,
            self.max_episode_length,
            self.decrease_rewards_by,
            self.re_eval_env_name or standard_env_name(self.env_name),
            self.hidden,
            self.activation,
            self.lstm_size,
            self.head,
            self.partners,
            self.episodes_per_solution,
            self.common_seeds,
        )
