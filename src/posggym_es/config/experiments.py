"""The config file: experiments, scales, and the paths of everything they make.

This module is imported by the Snakefile at start-up, so it imports neither PyTorch nor
posggym.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pgpelib.training.config import TrainingConfig
from pgpelib.training.credentials import HINT, has_literal_password
from pgpelib.utils.hints import did_you_mean
from pgpelib.utils.settings import SettingsError
from posggym_es.config.scales import FULL_SCALE
from posggym_es.policies.checkpoint_names import CheckpointError
from posggym_es.policies.ppo_checkpoints import usable_checkpoints
from posggym_es.registration.spec import ProcessorSpec, check_policy_name

# The group of all agents together has its folder beside those of the experiments.
REGISTRY_GROUP = "registry"

# Beside the experiments' own folders in the results.
RESERVED_NAMES = {
    REGISTRY_GROUP: "the registry of all agents",
    "crossplay": "cross-play",
    "docs_all": "the documentation pages of all agents",
}

# Beside the agents' folders in those of an experiment.
_RESERVED_LABELS = {
    "staged",
    "docs",
    "posggym-tree",
    "posggym-agent-models",
    "index.html",
    "readme.md",
    "config.json",
    "summary.json",
    "learning_curve.png",
    "learning_curve.svg",
}

# How an agent is registered, in its folder.
SPEC_FILE = "spec.json"

# Where the policies of an experiment come from.
SOURCES = ("train", "policy_file", "checkpoint_dir")


class ConfigError(ValueError):
    """A config that cannot work; names the key, what is wrong and what to do."""


@dataclasses.dataclass(frozen=True)
class Agent:
    """One agent that an experiment registers.

    Parameters
    ----------
    label
        Name of its folder.
    seed
        Seed of the run that trains it.
    role
        The agent id of the environment that it plays; None for all of them.
    source
        The file of a policy that is given instead of trained.
    policy_id
        What the given file calls its policy.
    """

    label: str
    seed: int
    role: str | None = None
    source: str | None = None
    policy_id: str = ""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One entry of `experiments:`.

    Parameters
    ----------
    name
        Key of the entry, and name of its folders.
    train
        Settings of `TrainingConfig`, scaled; None without training.
    policy_file
        A saved policy to register instead of training one.
    checkpoint_dir
        A checkpoint of the PPO baselines to register instead, or a folder of them.
    seeds
        Seeds, one training run each.
    checkpoint
        Which policy of a run is registered: "latest" or "best".
    verify_episodes
        Episodes of references that are not the trainer's own re-evaluation.
    env_modules
        Modules that register the environments of policies: those that `train` names,
        and those that are given.
    register
        Registration settings; `policy_name` may contain `{seed}` and `{role}`.
    resources
        `threads` and `mem_mb` of each node, `runtime` (minutes) and `nodes` of a
        training job.
    scale
        Scale of the config. What was trained at another than `FULL_SCALE` says so.
    """

    name: str
    train: dict[str, Any] | None
    policy_file: str | None
    checkpoint_dir: str | None
    seeds: list[int]
    checkpoint: str
    verify_episodes: int
    register: dict[str, Any]
    resources: dict[str, int]
    env_modules: list[str]
    scale: str = FULL_SCALE

    def training_config(self, seed: int) -> TrainingConfig:
        """Return the config of one run."""
        assert self.train is not None
        settings = {**self.train, "seed": seed}
        if self.resources["nodes"] > 1:
            settings["engine"] = "slurm"
        return TrainingConfig.from_dict(settings)

    @property
    def roles(self) -> list[str]:
        """Agent ids of the environment that get policies of their own."""
        return list((self.train or {}).get("roles", []))

    @property
    def agents(self) -> dict[str, Agent]:
        """The agents by label: one a seed, a seed and role, or a given policy."""
        if self.checkpoint_dir is not None:
            role = next(iter(self.register.get("valid_agent_ids", [])), None)
            latest = usable_checkpoints(Path(self.checkpoint_dir))
            agents = [
                Agent(_label(policy_id), 0, role, str(path), policy_id)
                for policy_id, path in latest.items()
            ]
        elif self.policy_file is not None:
            agents = [Agent("seed0", 0, source=self.policy_file)]
        elif len(self.roles) > 1:
            agents = [
                Agent(f"seed{seed}_{role}", seed, role)
                for seed in self.seeds
                for role in self.roles
            ]
        else:
            role = self.roles[0] if self.roles else None
            agents = [Agent(f"seed{seed}", seed, role) for seed in self.seeds]
        return {agent.label: agent for agent in agents}

    def registration(self, label: str) -> dict[str, Any]:
        """Return the registration settings of one agent."""
        agent = self.agents[label]
        name = self.register["policy_name"].replace("{seed}", str(agent.seed))
        name = name.replace("{policy_id}", agent.policy_id)
        settings = {**self.register}
        if agent.role is not None:
            name = name.replace("{role}", agent.role)
            settings.setdefault("valid_agent_ids", [agent.role])
        if self.train is not None and self.scale != FULL_SCALE:
            text = self.register.get("description", "")
            mark = f"Rehearsal at scale {self.scale}"
            settings["description"] = f"{mark}. {text}" if text else mark
        return {**settings, "policy_name": name}


def _label(policy_id: str) -> str:
    """Return a name for the folder of a policy."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", policy_id)


def _check_policy_ids(files: Mapping[str, Path], where: str) -> None:
    """Refuse policy ids that cannot name folders of their own.

    Raises
    ------
    ConfigError
        Naming the files.
    """
    taken: dict[str, Path] = {}
    for policy_id, path in files.items():
        # Some file systems do not tell capitals apart.
        folder = _label(policy_id).lower()
        if folder.startswith(".") or folder in _RESERVED_LABELS:
            raise ConfigError(
                f"{where}.checkpoint_dir: {path}: the policy id {policy_id!r} cannot "
                "name a folder; rename the file"
            )
        if folder in taken:
            raise ConfigError(
                f"{where}.checkpoint_dir: {taken[folder]} and {path} would share the "
                f"folder {folder!r}; rename one of them"
            )
        taken[folder] = path


class Experiments:
    """All experiments of a config at its scale.

    Parameters
    ----------
    config
        The config, validated against the schema.
    folder
        Where Snakemake works. Experiments that are not selected, but have results
        there, keep their agents in the registry.

    Raises
    ------
    ConfigError
        If entries contradict each other or themselves.
    """

    def __init__(self, config: dict[str, Any], folder: Path = Path()) -> None:
        if has_literal_password(config.get("mongo_db", "")):
            raise ConfigError(f"mongo_db: has a password in it: {HINT}")
        self.scale = str(config.get("scale", FULL_SCALE))
        scales: dict[str, dict[str, Any]] = config.get("scales", {})
        if self.scale != FULL_SCALE and self.scale not in scales:
            raise ConfigError(
                f"scale: {self.scale!r} is not one of "
                f"{', '.join([FULL_SCALE, *scales])}"
            )
        if FULL_SCALE in scales:
            raise ConfigError(
                f"scales: {FULL_SCALE} has no limits; choose another name"
            )
        taken = RESERVED_NAMES | dict.fromkeys(scales, "a scale")
        for name in config["experiments"]:
            if name in taken:
                raise ConfigError(
                    f"experiments.{name}: results/{name} is the folder of "
                    f"{taken[name]}; choose another name"
                )
        limits = scales.get(self.scale, {})
        self._entries = {
            name: _experiment(name, entry, limits, self.scale)
            for name, entry in config["experiments"].items()
        }
        self.crossplay_episodes = min(
            (config.get("crossplay") or {}).get("episodes", 100),
            limits.get("re_eval_num_episodes", 10**9),
        )
        self.selected = self._select(config.get("only"))
        self.kept = [
            name
            for name in self.names
            if name not in self.selected
            and all(
                (folder / self.results_root / name / label / SPEC_FILE).is_file()
                for label in self[name].agents
            )
        ]
        self._check_ids()

    def __getitem__(self, name: str) -> Experiment:
        return self._entries[name]

    @property
    def names(self) -> list[str]:
        """All experiments, in the order of the config."""
        return list(self._entries)

    @property
    def run_root(self) -> Path:
        """Folder of all intermediate files at this scale."""
        return Path("runs") / self.scale

    @property
    def results_root(self) -> Path:
        """Folder of all that is published at this scale."""
        results = Path("results")
        return results if self.scale == FULL_SCALE else results / self.scale

    @property
    def posggym_envs(self) -> list[str]:
        """Ids of the POSGGym environments that selected experiments train in."""
        names = [
            self[name].training_config(self[name].seeds[0]).task.re_eval_env_name
            for name in self.selected
            if self[name].train is not None
        ]
        ids = [n.removeprefix("posggym:") for n in names if n.startswith("posggym:")]
        return list(dict.fromkeys(ids))

    def planned_agents(self, names: Collection[str]) -> list[dict[str, Any]]:
        """Return what is known of agents before they are trained, as plain data.

        Parameters
        ----------
        names
            Experiments that train agents.

        Returns
        -------
        list of dict
            The fields of `posggym_es.config.preflight.PlannedAgent`.
        """
        return [
            {
                "experiment": name,
                "train": self[name].training_config(agent.seed).to_dict(),
                "settings": self[name].registration(label),
            }
            for name in self.names
            if name in names
            for label, agent in self[name].agents.items()
        ]

    def members(self, group: str) -> list[tuple[str, str]]:
        """Return (experiment, label) of the agents of a group.

        Parameters
        ----------
        group
            An experiment, or `REGISTRY_GROUP` for all selected and all kept ones.
        """
        registered = {*self.selected, *self.kept}
        names = [name for name in self.names if name in registered]
        if group != REGISTRY_GROUP:
            names = [group]
        return [(name, label) for name in names for label in self[name].agents]

    def _select(self, only: str | list[str] | None) -> list[str]:
        if only is None:
            return self.names
        chosen = only.split(",") if isinstance(only, str) else list(only)
        for name in chosen:
            if name not in self._entries:
                raise ConfigError(f"only: {_unknown_experiment(name, self.names)}")
        return chosen

    def _check_ids(self) -> None:
        """Refuse two agents of one name for one environment before training starts."""
        owners: dict[tuple[str, str, str, int], str] = {}
        for name, label in self.members(REGISTRY_GROUP):
            experiment = self[name]
            if experiment.train is None:
                continue
            settings = experiment.registration(label)
            config = experiment.training_config(experiment.agents[label].seed)
            env = config.task.re_eval_env_name
            key = (
                env,
                repr(sorted(config.env_config.items())),
                settings["policy_name"],
                settings.get("version", 0),
            )
            owner = f"{name} ({label})"
            if key in owners:
                raise ConfigError(
                    f"experiments: {owners[key]} and {owner} would both register "
                    f"{key[2]}-v{key[3]} for {env}; change policy_name or version, or "
                    "put {seed} into policy_name"
                )
            owners[key] = owner


def _unknown_experiment(name: str, known: list[str]) -> str:
    return f"there is no experiment {name!r}{did_you_mean(name, known)}"


def _experiment(
    name: str, entry: dict[str, Any], limits: dict[str, Any], scale: str
) -> Experiment:
    where = f"experiments.{name}"
    register = entry["register"]
    seeds = list(entry.get("seeds", [0]))
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{where}.seeds: the same seed twice")
    if len(seeds) > 1 and "{seed}" not in register["policy_name"]:
        raise ConfigError(
            f"{where}.register.policy_name: {len(seeds)} seeds make {len(seeds)} "
            "agents; put {seed} into the name"
        )
    roles = (entry.get("train") or {}).get("roles", [])
    if len(roles) > 1 and "{role}" not in register["policy_name"]:
        raise ConfigError(
            f"{where}.register.policy_name: {len(roles)} roles make {len(roles)} "
            "agents; put {role} into the name"
        )
    if len(roles) > 1 and entry.get("checkpoint", "latest") != "latest":
        raise ConfigError(
            f"{where}.checkpoint: roles that are trained together are registered from "
            "the same generation; use latest"
        )
    plain_name = register["policy_name"].replace("{seed}", "0")
    if "checkpoint_dir" in entry:
        try:
            found = usable_checkpoints(Path(entry["checkpoint_dir"]))
        except CheckpointError as error:
            raise ConfigError(f"{where}.checkpoint_dir: {error}") from error
        if len(found) > 1 and "{policy_id}" not in register["policy_name"]:
            raise ConfigError(
                f"{where}.register.policy_name: {len(found)} policy ids make "
                f"{len(found)} agents; put {{policy_id}} into the name"
            )
        _check_policy_ids(found, where)
        plain_name = plain_name.replace("{policy_id}", "0")
    if roles:
        plain_name = plain_name.replace("{role}", "0")
    try:
        check_policy_name(plain_name)
        if "action_processor" in register:
            ProcessorSpec.from_json(register["action_processor"])
    except ValueError as error:
        raise ConfigError(f"{where}.register: {error}") from error
    train = entry.get("train")
    sources = [key for key in SOURCES if entry.get(key) is not None]
    if len(sources) != 1:
        raise ConfigError(
            f"{where}: give one of {', '.join(SOURCES)}, not "
            f"{' and '.join(sources) or 'none'}"
        )
    verify_episodes = entry.get("verify_episodes", 16)
    if train is not None:
        try:
            train = scaled(train, limits, ("experiments", name, "train"))
        except SettingsError as error:
            raise ConfigError(str(error)) from error
    if "re_eval_num_episodes" in limits:
        verify_episodes = min(verify_episodes, limits["re_eval_num_episodes"])
    resources = {"threads": 1, "mem_mb": 4000, "runtime": 60, "nodes": 1}
    return Experiment(
        name=name,
        train=train,
        policy_file=entry.get("policy_file"),
        checkpoint_dir=entry.get("checkpoint_dir"),
        seeds=seeds,
        checkpoint=entry.get("checkpoint", "latest"),
        verify_episodes=verify_episodes,
        register=register,
        resources=resources | entry.get("resources", {}),
        env_modules=_env_modules(entry),
        scale=scale,
    )


def _env_modules(entry: dict[str, Any]) -> list[str]:
    """Return the modules that the config names, in `env_modules` or before an id."""
    train = entry.get("train") or {}
    names = [train.get(key) or "" for key in ("env_name", "re_eval_env_name")]
    modules = {name.rpartition(":")[0] for name in names}
    return sorted((modules - {"", "posggym"}) | set(entry.get("env_modules", [])))


def scaled(
    train: dict[str, Any], limits: dict[str, Any], path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return training settings with every budget at most at its limit.

    Settings that are left at their defaults are limited as well; a setting of None
    (no such budget) stays None.
    """
    defaults = TrainingConfig.from_dict(train, path).to_dict()
    return train | {
        name: min(defaults[name], limit)
        for name, limit in limits.items()
        if defaults[name] is not None
    }
