"""The settings of a workflow: what may stand in the config, and what it means.

`tools/write_settings.py` writes the config's JSON schema and the tables of its
reference from these models.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from pgpelib.training.credentials import HINT, has_literal_password
from pgpelib.utils.hints import did_you_mean
from pgpelib.utils.settings import (
    AS_TUPLE,
    Count,
    FieldError,
    PositiveInt,
    Settings,
    Text,
)
from posggym_es.config.populations import PopulationSettings
from posggym_es.config.scales import FULL_SCALE
from posggym_es.config.training_settings import ExperimentTraining, Limits, Resources
from posggym_es.registration.settings import RegisterSettings
from posggym_es.registration.spec import check_policy_name
from posggym_es.sources.base import CHECKPOINTS
from posggym_es.sources.settings import AgentSettings, SourceName

# Name of the group of all agents, whose folder is next to those of the experiments.
REGISTRY_GROUP = "registry"

# Names of other folders and files in the results, next to those of experiments.
RESERVED_NAMES = {
    REGISTRY_GROUP: "the registry of all agents",
    "crossplay": "cross-play",
    "docs_all": "the documentation pages of all agents",
}

# Where the policies of an experiment come from.
SOURCES = ("train", "policy_file", "checkpoint_dir")


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


_Module = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_.]*$")]
# It becomes a folder name.
_ExperimentName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
_Names = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    AS_TUPLE,
    BeforeValidator(_split, json_schema_input_type=Text | list[Text]),
]


class ExperimentSettings(Settings):
    """One experiment: where its policies come from, and how they are registered."""

    train: ExperimentTraining | None = None
    """Training settings, see below."""
    policy_file: Text | None = None
    """A saved policy to register, instead of training one."""
    checkpoint_dir: Text | None = None
    """A folder of checkpoints to register, or a single one: of POSGGym's PPO baselines
    or of other libraries ([which](sources.md)). Where names tell the order, the latest
    of each policy id is registered. Policies without weights are skipped."""
    source: SourceName | None = None
    """Library that wrote the checkpoints; recognised by their content by default."""
    agent: AgentSettings = AgentSettings()
    """What the checkpoints do not say about their agents; a file `<name>.yaml` or
    `agent.yaml` beside them may say it as well."""
    env_modules: Annotated[tuple[_Module, ...], AS_TUPLE] = ()
    """Modules that an `env_name` of the form `module:Id` in a `policy_file` may import.
    Modules in the `env_name` of `train` are always imported."""
    seeds: Annotated[tuple[Count, ...], Field(min_length=1), AS_TUPLE] = (0,)
    """Each seed gives one training run and one agent."""
    checkpoint: Text = "latest"
    """Which policy of a run is registered: the `latest`, or the `best` by mean
    re-evaluation. The best is evaluated again on new episodes, because the maximum of
    many estimates is too high. Otherwise the file of one checkpoint, as for
    `checkpoint_dir`."""
    verify_episodes: PositiveInt = 16
    """Episodes of that new evaluation, and of the evaluation of given policies."""
    registration: RegisterSettings = Field(alias="register")
    """How the agents are registered in POSGGym."""
    resources: Resources = Resources()
    """Resources of a training job."""

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"must not name a seed twice, as {list(seeds)} does")
        return seeds

    @property
    def roles(self) -> tuple[str, ...]:
        """Agent ids of the environment that each get their own policy."""
        return () if self.train is None else self.train.roles

    @property
    def given_checkpoints(self) -> str | None:
        """The checkpoint, or folder of them, that is registered; None for others."""
        names_file = self.checkpoint not in CHECKPOINTS
        return self.checkpoint if names_file else self.checkpoint_dir

    @property
    def chosen_checkpoint(self) -> str:
        """Which policy of a run or a folder is registered, one of `CHECKPOINTS`."""
        known = self.checkpoint in CHECKPOINTS
        return self.checkpoint if known else CHECKPOINTS[0]

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse an experiment that contradicts itself."""
        sources = [key for key in SOURCES if getattr(self, key) is not None]
        if self.checkpoint not in CHECKPOINTS:
            if sources:
                hint = did_you_mean(self.checkpoint, CHECKPOINTS, repr)
                raise FieldError(
                    "checkpoint",
                    f"must be 'latest' or 'best' with {' and '.join(sources)}, not "
                    f"{self.checkpoint!r}{hint}",
                )
        elif len(sources) != 1:
            raise ValueError(
                f"needs one of {', '.join(SOURCES)}, not "
                f"{' and '.join(sources) or 'none'}"
            )
        for key in ("source", "agent"):
            if self.given_checkpoints is None and key in self.model_fields_set:
                raise FieldError(key, "is for checkpoint_dir, or a checkpoint's file")
        if len(self.roles) > 1 and self.checkpoint != "latest":
            raise FieldError(
                "checkpoint",
                "must be 'latest': roles that are trained together are registered from "
                "the same generation",
            )
        name = self.registration.policy_name
        for placeholder, values, what in (
            ("{seed}", self.seeds, "seeds"),
            ("{role}", self.roles, "roles"),
        ):
            if len(values) > 1 and placeholder not in name:
                raise FieldError(
                    "register.policy_name",
                    f"must contain {placeholder}: {len(values)} {what} make "
                    f"{len(values)} agents",
                )
        name = name.replace("{seed}", "0")
        if self.roles:
            name = name.replace("{role}", "0")
        if self.given_checkpoints is not None:
            name = name.replace("{policy_id}", "0")
        try:
            check_policy_name(name)
        except FieldError as error:
            raise FieldError(f"register.{error.key}", error.text) from error
        return self


class Crossplay(Settings):
    """Cross-play of the registered policies."""

    episodes: PositiveInt = 100
    """Episodes of each pair of policies."""
    models_dir: Text | None = None
    """A local copy of POSGGym's models repository. By default, POSGGym downloads its
    policies."""


class WorkflowConfig(Settings):
    """Config of the pipeline; docs/config.md explains every key."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"minProperties": 1}}}
                for name in ("experiments", "populations")
            ]
        }
    )

    scale: Text = FULL_SCALE
    """`full`, or one of `scales`. Results of other scales than `full` are rehearsals:
    they are in `results/<scale>/` and cannot be published."""
    scales: dict[str, Limits] = Field(default_factory=dict)
    """Upper limits of training settings, keyed by the name of the scale: `niters`,
    `popsize`, `popsize_max`, `num_interactions`, `max_episode_length`,
    `re_eval_num_episodes`."""
    only: _Names | None = None
    """Experiments to run, as a list or separated by commas; all by default. Agents of
    other experiments that have results stay in `results/registry`."""
    posggym_repo: Text | None = None
    """A local checkout or git URL of POSGGym. `register_all` then also registers the
    agents on a branch of a clone of it. Requires `agent_models_repo`."""
    agent_models_repo: Text | None = None
    """The same for POSGGym's models repository. Requires `posggym_repo`."""
    branch: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._/-]*$")] = (
        "posggym-es"
    )
    """Branch in the clones of both repositories."""
    agent_models_url: Annotated[str, Field(pattern="^https?://.*/$")] | None = None
    """URL of the raw files of the published models branch, from which `publish`
    downloads; by default the one in the posggym repository."""
    films: bool = True
    """Whether to film each agent."""
    crossplay: Crossplay | None = None
    """Cross-play of the registered policies; `crossplay: {}` makes it part of
    `register_all`."""
    tensorboard: bool = False
    """Whether training runs also write TensorBoard event files
    (`tensorboard --logdir runs`)."""
    mongo_db: Text | None = None
    """Database to record training runs in, as for `train.py -m`
    ([how](slurm.md#runs-in-a-database))."""
    policy: Text | None = None
    """Id of the agent that `snakemake unregister --config policy=ID` removes."""
    experiments: Annotated[
        dict[_ExperimentName, ExperimentSettings],
        Field(default_factory=dict, json_schema_extra={"additionalProperties": False}),
    ]
    """The experiments, keyed by name; folders have the same names."""
    populations: Annotated[
        dict[_ExperimentName, PopulationSettings],
        Field(default_factory=dict, json_schema_extra={"additionalProperties": False}),
    ]
    """Populations of agents ([populations.md](populations.md)), keyed by name; folders
    have the same names."""

    @field_validator("mongo_db")
    @classmethod
    def _check_database(cls, address: str | None) -> str | None:
        if address is not None and has_literal_password(address):
            raise ValueError(f"has a password in it: {HINT}")
        return address

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse a config that contradicts itself."""
        for given, other in (
            ("posggym_repo", "agent_models_repo"),
            ("agent_models_repo", "posggym_repo"),
        ):
            if getattr(self, given) is not None and getattr(self, other) is None:
                raise FieldError(given, f"needs {other}")
        known = [FULL_SCALE, *self.scales]
        if self.scale not in known:
            hint = did_you_mean(self.scale, known, repr)
            raise FieldError(
                "scale", f"must be one of {', '.join(known)}, not {self.scale!r}{hint}"
            )
        if FULL_SCALE in self.scales:
            raise FieldError(
                f"scales.{FULL_SCALE}", "has no limits; choose another name"
            )
        names = [*self.experiments, *self.populations]
        if not names:
            raise FieldError("experiments", "must not be empty")
        taken = RESERVED_NAMES | dict.fromkeys(self.scales, "a scale")
        for section in ("experiments", "populations"):
            for name in getattr(self, section):
                if name in taken:
                    raise FieldError(
                        f"{section}.{name}",
                        f"cannot be a name: results/{name} is the folder of "
                        f"{taken[name]}",
                    )
            taken |= dict.fromkeys(self.experiments, "an experiment")
        for name in self.only or ():
            if name not in names:
                hint = did_you_mean(name, names, repr)
                raise FieldError("only", f"names no experiment: {name!r}{hint}")
        return self
