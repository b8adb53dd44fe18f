"""The settings that define a training run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, Tag, model_validator
from typing_extensions import Self

from pgpelib.engines.evaluation import TaskConfig
from pgpelib.policies.partners import Partners, read_partners
from pgpelib.policies.saving import load_partners, load_saved, with_standard_names
from pgpelib.tasks.registry import family_of, standard_env_name
from pgpelib.utils.plain_data import is_integer
from pgpelib.utils.settings import (
    AS_TUPLE,
    FILE,
    LIST,
    LIST_OR_MAPPING_OR_FILE,
    MAPPING,
    Count,
    DecayFactor,
    FieldError,
    IntLimit,
    NotNegativeNumber,
    Number,
    NumberLimit,
    PositiveInt,
    PositiveNumber,
    Settings,
    Text,
    follows,
)

# Settings that change how long a run continues or where it is computed, but not the
# numbers of any generation. A change of any other setting makes it a different run.
BUDGET_KEYS = ("niters", "target_return", "num_cpus", "engine", "worker_timeout")
ORIGINAL_LAYERS = {"hidden_size": 64, "num_hidden": 1}
"""The original trainer's two settings for `hidden`, and their defaults."""
_MAX_LAYERS = 1000


def _positive_or_all(value: int) -> int:
    if value < 1 and value != -1:
        raise ValueError(f"must be at least 1, or -1, not {value}")
    return value


_PositiveOrAll = Annotated[
    int,
    Field(json_schema_extra={"minimum": -1, "not": {"const": 0}}),
    AfterValidator(_positive_or_all),
]


def _follows_popsize(factor: int) -> Any:
    """Return a field that follows popsize where the paper adapts the population.

    The paper does in locomotion, whose episodes grow from some dozens of steps to a
    thousand. In other suites it would only hide how many solutions there are.
    """

    def default(values: dict[str, Any]) -> int | None:
        if family_of(values["env_name"]) is not None:
            return None
        return factor * int(values["popsize"])

    text = f"{factor} * popsize; none in POSGGym environments"
    return Field(default_factory=default, json_schema_extra={"x-default": text})


_Sizes = Annotated[tuple[PositiveInt, ...], AS_TUPLE]
_Role = Annotated[str, Field(pattern="^[A-Za-z0-9_]+$")]


def with_own_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace names and values of the original trainer by those of `TrainSettings`.

    Layers are given by `hidden_size` and `num_hidden` there, and an empty
    `re_eval_env_name` is the training environment itself.

    Raises
    ------
    FieldError
        If layers are given in both ways, or not by integers.
    """
    own = dict(settings)
    given = [name for name in ORIGINAL_LAYERS if name in own]
    if given and "hidden" in own:
        raise FieldError(given[0], "and hidden are alternatives: give only one")
    if given:
        layers = {name: own.pop(name, value) for name, value in ORIGINAL_LAYERS.items()}
        for name, value in layers.items():
            if not is_integer(value):
                raise FieldError(name, f"must be an integer, not {value!r}")
        size, number = layers.values()
        if number > _MAX_LAYERS:
            raise FieldError("num_hidden", f"must be at most {_MAX_LAYERS}")
        own["hidden"] = [size] * number if size > 0 else []
    if own.get("re_eval_env_name") == "":
        # None can stand for a variant of it.
        default = TrainSettings.model_fields["env_name"].default
        own["re_eval_env_name"] = own.get("env_name", default)
    return own


def _with_original_names(schema: dict[str, Any]) -> None:
    """Add the original trainer's names to a JSON schema."""
    schema["properties"] |= {
        name: {
            "type": "integer",
            "description": "As in the original trainer, instead of hidden.",
        }
        for name in ORIGINAL_LAYERS
    }


class TrainSettings(Settings):
    """What a training run does; names and defaults are the original trainer's.

    The defaults are the paper's HumanoidBullet configuration (arXiv 2008.02387). The
    text below each setting is its description in schemas, tables and on the command
    line. `with_own_names` says what else the original trainer's users may write.
    """

    model_config = ConfigDict(json_schema_extra=_with_original_names)

    env_name: Text = "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0"
    """Environment to train in: a Gymnasium id (old spellings are understood), or
    posggym: followed by a POSGGym id, for self-play."""
    env_config: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the environment."""
    re_eval_env_name: str | None = None
    """Environment of re-evaluations, and the one that the agent is registered for; null
    for the standard form of env_name."""
    hidden: _Sizes = (64,)
    """Sizes of the hidden layers; [] for a linear policy. As in the original trainer,
    also hidden_size: 64 with num_hidden: 1."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation of the hidden layers: tanh or relu."""
    lstm_size: Count = 0
    """Cells of an LSTM after the hidden layers; 0 for none."""
    head: _Sizes = ()
    """Sizes of the hidden layers after the LSTM."""
    stochastic: bool = False
    """Draw discrete actions in a POSGGym environment from the softmax of the outputs,
    instead of taking the action of the largest output."""
    roles: Annotated[tuple[_Role, ...], AS_TUPLE] = ()
    """Agent ids of a POSGGym environment that get one policy each, trained together:
    each is evaluated with the centers of the others. [] for one policy that plays all
    agents (self-play)."""
    partners: Annotated[
        Annotated[tuple[str, ...], AS_TUPLE, Tag(LIST)]
        | Annotated[dict[str, PositiveNumber], Tag(MAPPING)]
        | Annotated[Text, Tag(FILE)],
        LIST_OR_MAPPING_OR_FILE,
    ] = ()
    """Policies that play the other agents: the policy is trained as a best response to
    them. Each is the id of a registered policy, or a policy file of this trainer
    (`.pickle`), for the agent that it was trained for. They take turns; with weights,
    {policy: weight}, one is drawn for each episode. The weights may be in a YAML or
    JSON file, named instead of them."""
    obs_norm: bool = True
    """Normalise observations by their running mean and standard deviation."""
    max_episode_length: _PositiveOrAll = -1
    """Maximum steps of a training episode; -1 for the environment's own limit. Required
    if the environment has none; re-evaluations, verification and films then use it,
    too."""
    decrease_rewards_by: Number = 0.0
    """Subtracted from each reward in training, not in re-evaluations."""
    niters: PositiveInt = 1000
    """Generations."""
    popsize: Annotated[int, Field(ge=2, multiple_of=2)] = 10000
    """Solutions sampled at a time; even."""
    popsize_max: IntLimit = _follows_popsize(8)
    """Maximum solutions of a generation; null or -1 for no limit."""
    num_interactions: IntLimit = _follows_popsize(150)
    """Sample more solutions until a generation has this many simulator steps; null or
    -1 for one batch."""
    episodes_per_solution: PositiveInt = 1
    """Episodes whose mean return is the fitness of a solution."""
    common_seeds: bool = False
    """All solutions of a generation play the same episodes (common random numbers)."""
    pair_seeds: bool = False
    """The two solutions of a pair, center + noise and center - noise, play the same
    episodes: their difference then depends less on luck."""
    max_speed: PositiveNumber = 0.15
    """Maximum length of ClipUp's velocity."""
    center_lr: PositiveNumber = follows("max_speed", 0.5)
    """Step size of the center."""
    optimizer: Literal["clipup", "adam"] = "clipup"
    """Optimizer of the center: clipup, or adam, which uses center_lr alone."""
    radius: PositiveNumber = follows("max_speed", 15)
    """Initial distance of solutions from the center:
    stdev_init = sqrt(radius^2 / n_params)."""
    init_gain: NotNegativeNumber = 0.0
    """Gain of the random weights that hidden layers and LSTM start with: their standard
    deviation is init_gain / sqrt(inputs). 0 to start all weights at 0, as in the
    paper."""
    init_policy: Text | None = None
    """Policy file of this trainer (`.pickle`): searches start from its weights and its
    statistics of observations. It has the same network, or the same hidden layers
    (tanh) and no LSTM: with a larger `lstm_size`, the policy gets a memory. In the
    workflow's config also `experiment:NAME/AGENT`, as for partners. null to start
    anew."""
    stdev_lr: NotNegativeNumber = 0.1
    """Learning rate of the standard deviations."""
    stdev_max_change: NumberLimit = 0.2
    """Largest relative change of a standard deviation in one update; null or -1 for no
    limit."""
    max_speed_decay: DecayFactor = 1.0
    """Factor that multiplies max_speed and center_lr after each generation."""
    stdev_decay: DecayFactor = 1.0
    """Factor that multiplies the standard deviations after each generation."""
    solution_ranking: bool = True
    """Use centered ranks as fitnesses."""
    re_eval_interval: Count = 10
    """Generations between re-evaluations of the center; 0 for one at the end."""
    re_eval_num_episodes: PositiveInt = 16
    """Episodes of a re-evaluation."""
    keep_best: bool = False
    """Save the center with the best re-evaluation so far, not the current one."""
    target_return: Number | None = None
    """End the run when the mean of a re-evaluation reaches this; null for never."""
    patience: IntLimit = None
    """Give up the search after this many re-evaluations in a row that are no better
    than its best one; the run then restarts or ends. null or -1 for never."""
    restarts: Count = 0
    """Maximum number of new searches after ones that were given up; requires patience
    and keep_best."""
    save_interval: PositiveInt = 10
    """Generations between saved policies."""
    engine: Literal["local", "ray", "slurm"] = "local"
    """local; ray for the Ray cluster that RAY_ADDRESS names (a new one on this machine
    if it is not set); slurm for a private Ray cluster on all nodes of the Slurm
    allocation (local workers if there is none)."""
    worker_timeout: PositiveNumber = 3600.0
    """Seconds without a result after which workers count as hung and are replaced."""

    @model_validator(mode="before")
    @classmethod
    def _use_own_names(cls, values: Any) -> Any:
        return with_own_names(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _check_policies(self) -> Self:
        """Reject contradictory settings of the policy."""
        if self.head and not self.lstm_size:
            raise FieldError("head", "needs an LSTM; set lstm_size, or use hidden")
        if len(set(self.roles)) < len(self.roles):
            raise FieldError("roles", f"names an agent twice: {', '.join(self.roles)}")
        if self.partners and len(self.roles) > 1:
            raise FieldError(
                "partners",
                "needs one role at most, because a best response is one policy, not "
                f"{', '.join(self.roles)}",
            )
        if self.init_policy is not None and len(self.roles) > 1:
            raise FieldError("init_policy", "needs one role at most: it is one policy")
        if self.init_policy is not None and self.init_gain:
            raise FieldError("init_policy", "and init_gain are alternatives: give one")
        return self

    @model_validator(mode="after")
    def _check_stopping(self) -> Self:
        """Reject stopping rules that need re-evaluations where there are none."""
        if self.restarts and self.patience is None:
            raise FieldError("restarts", "needs patience, which says when to restart")
        if self.restarts and not self.keep_best:
            raise FieldError(
                "restarts",
                "needs keep_best; otherwise the last search's policy is saved, even if "
                "an earlier one was better",
            )
        for name, value in (
            ("keep_best", self.keep_best),
            ("target_return", self.target_return is not None),
            ("patience", self.patience is not None),
        ):
            if not value:
                continue
            if not self.re_eval_interval:
                raise FieldError(name, "needs re-evaluations; set re_eval_interval")
            if len(self.roles) > 1:
                raise FieldError(
                    name,
                    "does not work with several roles: policies that are trained "
                    "together have no best re-evaluation",
                )
        return self


class TrainingConfig(TrainSettings):
    """A complete run configuration: `TrainSettings`, workers and seed."""

    num_cpus: _PositiveOrAll = -1
    """Worker processes (with slurm: on each node); -1 for all cores (with Ray: of the
    cluster)."""
    seed: Count = 0
    """Seed of all random numbers."""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the run that this config defines.

        Configs that differ only in `BUDGET_KEYS` share a digest: their runs agree
        generation by generation, so one can resume where the other stopped. Default
        values are left out, so that new settings do not change existing digests.
        Saved policies count by what they play, wherever their files are.

        Raises
        ------
        ValueError
            If the file of a partner or of `init_policy` cannot be read.
        """
        defaults = TrainingConfig().to_dict()
        values = {
            name: value
            for name, value in self.identity.items()
            if name not in BUDGET_KEYS and value != defaults[name]
        }
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def identity(self) -> dict[str, Any]:
        """All settings as plain data, with saved policies named by what they play."""
        partners = self.partner_names
        names = with_standard_names(partners, load_partners(partners))
        values = {**self.to_dict(), "partners": names}
        if self.init_policy is not None:
            values["init_policy"] = load_saved(Path(self.init_policy)).digest
        return values

    @property
    def partner_names(self) -> Partners:
        """The partners, read from their file if there is one."""
        if isinstance(self.partners, str):
            return read_partners(Path(self.partners))
        return self.partners

    @property
    def registered_env_name(self) -> str:
        """The environment of re-evaluations, which the agent is registered for."""
        return self.re_eval_env_name or standard_env_name(self.env_name)

    @property
    def task(self) -> TaskConfig:
        """The part of the config that workers need."""
        return TaskConfig(
            self.env_name,
            self.env_config,
            self.max_episode_length,
            self.decrease_rewards_by,
            self.registered_env_name,
            self.hidden,
            self.activation,
            self.lstm_size,
            self.head,
            self.partner_names,
            self.episodes_per_solution,
            self.common_seeds,
            self.pair_seeds,
            stochastic=self.stochastic,
        )
