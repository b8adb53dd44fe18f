"""The config file: experiments, scales, and the paths of everything they make.

This module is imported by the Snakefile at start-up, so it imports neither PyTorch nor
posggym.
"""

from __future__ import annotations

import dataclasses
import graphlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from exact_gymnasium.ids import canonical_env_id
from pgpelib.training.config import TrainingConfig
from pgpelib.utils.files import read_json
from pgpelib.utils.hints import did_you_mean
from pgpelib.utils.settings import SettingsError
from posggym_es.config.populations import (
    AGENT_PREFIX,
    Member,
    PopulationSettings,
    members_of,
)
from posggym_es.config.result_names import CONFIG_FILE, CURVE_FILE
from posggym_es.config.scales import FULL_SCALE
from posggym_es.config.settings import (
    REGISTRY_GROUP,
    Crossplay,
    ExperimentSettings,
    WorkflowConfig,
)
from posggym_es.config.training_settings import Limits
from posggym_es.registration.spec import SPEC_FILE
from posggym_es.sources.base import PolicySource
from posggym_es.sources.registry import source_of
from posggym_es.tasks.family import RANDOM_POLICY

# Lists the policies that a run trains against, if they had to be trained first.
PARTNERS_FILE = "partners.json"
# The policy that a run's search starts from, if it had to be trained first.
START_FILE = "start.pickle"

# Names of other folders next to those of agents.
_RESERVED_LABELS = {
    "staged",
    "docs",
    "posggym-tree",
    "posggym-agent-models",
    "index.html",
    "readme.md",
    CONFIG_FILE,
    "summary.json",
    CURVE_FILE,
    "learning_curve.svg",
}


# The parts of an entry that its agents do not follow from.
_NOT_DETERMINING = ("name", "resources", "env_modules", "scale")


class ConfigError(SettingsError):
    """A config that cannot work; names the key, what is wrong and what to do."""

    def __init__(self, mistake: str) -> None:
        super().__init__([mistake])


def run_root(scale: str) -> Path:
    """Return the folder of all intermediate files at a scale."""
    return Path("runs") / scale


@dataclasses.dataclass(frozen=True)
class Agent:
    """One agent that an experiment registers.

    Parameters
    ----------
    label
        Name of its folder.
    seed
        Seed of the run that trains it.
    run
        Label of that run; None if its policy is given.
    role
        The agent id of the environment that it plays; None for all of them.
    source
        The file of a policy that is given instead of trained.
    policy_id
        What the given file calls its policy.
    beside
        Other files that are read with the given file.
    """

    label: str
    seed: int
    run: str | None = None
    role: str | None = None
    source: str | None = None
    policy_id: str = ""
    beside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PlannedPartner:
    """A partner of a run, before its own training.

    Parameters
    ----------
    weight
        How often it plays, compared with others.
    name
        Id of a registered policy, or a policy file; "" for an agent of the config.
    run_dir
        Folder of the run that trains the agent.
    role
        The agent id that it plays; None for all.
    checkpoint
        Which of the run's policies plays: "latest", "best", "initial", "middle",
        "final" or a generation.
    """

    weight: float
    name: str = ""
    run_dir: str = ""
    role: str | None = None
    checkpoint: str = ""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One entry of `experiments:`, or of `populations:`.

    Parameters
    ----------
    name
        Key of the entry, and name of its folders.
    settings
        The entry, within the limits of the scale.
    members
        The training runs; none if policies are given.
    scale
        Scale of the config. What was trained at another than `FULL_SCALE` says so.
    """

    name: str
    settings: ExperimentSettings | PopulationSettings
    members: Sequence[Member] = ()
    scale: str = FULL_SCALE

    @property
    def runs(self) -> dict[str, Member]:
        """The training runs by label."""
        return {member.label: member for member in self.members}

    @property
    def entry(self) -> str:
        """Path of the entry's key in the config."""
        is_population = isinstance(self.settings, PopulationSettings)
        return f"{'populations' if is_population else 'experiments'}.{self.name}"

    def run_dir(self, run: str) -> Path:
        """Return the folder of a training run."""
        return run_root(self.scale) / self.name / run

    def training_config(self, run: str) -> TrainingConfig:
        """Return the config of one run.

        If its partners have to be trained or weighted first, it names the file that
        will list them; the same goes for the policy that its search starts from.
        """
        member = self.runs[run]
        values = {**member.train.given(), "seed": member.seed}
        if self.waits_for_partners(run):
            values["partners"] = str(self.run_dir(run) / PARTNERS_FILE)
        if self.waits_for_start(run):
            values["init_policy"] = str(self.run_dir(run) / START_FILE)
        if self.settings.resources.nodes > 1:
            values["engine"] = "slurm"
        return TrainingConfig.from_dict(values)

    def waits_for_partners(self, run: str) -> bool:
        """Return whether a run's partners have to be trained or weighted before it."""
        member = self.runs[run]
        partners = member.train.partners
        names = [] if isinstance(partners, str) else [*partners]
        return member.solves_game or any(map(_is_reference, names))

    def waits_for_start(self, run: str) -> bool:
        """Return whether the policy that a run starts from is trained before it."""
        return _is_reference(self.runs[run].train.init_policy or "")

    @property
    def env_modules(self) -> list[str]:
        """Modules that register the environments of policies.

        Those that `train` names before an id, and those of `env_modules`.
        """
        train = self.settings.train
        names = [] if train is None else [train.env_name, train.re_eval_env_name or ""]
        modules = {name.rpartition(":")[0] for name in names} - {"", "posggym"}
        return sorted(modules | {*self.settings.env_modules})

    @property
    def env_id(self) -> str:
        """Id of the environment that the trained agents are registered for.

        Raises
        ------
        ConfigError
            If the entry trains no agents.
        """
        if not self.members:
            raise ConfigError(f"{self.entry}: trains no agents")
        config = self.training_config(self.members[0].label)
        return canonical_env_id(config.registered_env_name).rpartition(":")[2]

    @property
    def agents(self) -> dict[str, Agent]:
        """The agents by label: one a run, a run and role, or a given policy."""
        settings = self.settings
        if isinstance(settings, PopulationSettings) or settings.train is not None:
            agents = [
                Agent(_agent_label(each, role), each.seed, each.label, role)
                for each in self.members
                for role in each.train.roles or (None,)
            ]
        elif settings.given_checkpoints is not None:
            role = next(iter(settings.registration.valid_agent_ids or ()), None)
            source = _source(settings)
            agents = [
                Agent(
                    _label(policy_id),
                    0,
                    role=role,
                    source=str(path),
                    policy_id=policy_id,
                    beside=tuple(map(str, source.beside(path, settings.agent))),
                )
                for policy_id, path in _checkpoints(settings).items()
            ]
        else:
            agents = [Agent("seed0", 0, source=settings.policy_file)]
        return {agent.label: agent for agent in agents}

    def registration(self, label: str) -> dict[str, Any]:
        """Return the registration settings of one agent, as plain data."""
        agent = self.agents[label]
        settings = self.settings.registration.given()
        if agent.run is None:
            name = settings["policy_name"].replace("{seed}", str(agent.seed))
            name = name.replace("{policy_id}", agent.policy_id)
        else:
            member = self.runs[agent.run]
            name = member.policy_name
            if member.description:
                settings.setdefault("description", member.description)
        if agent.role is not None:
            name = name.replace("{role}", agent.role)
            settings.setdefault("valid_agent_ids", [agent.role])
        if self.members and self.scale != FULL_SCALE:
            text = settings.get("description")
            mark = f"Rehearsal at scale {self.scale}"
            settings["description"] = f"{mark}. {text}" if text else mark
        return {**settings, "policy_name": name}

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as plain data, with its name and scale."""
        given = self.settings.given()
        return {
            "name": self.name,
            **self.settings.to_dict(),
            # Defaults of these are many, and the run's and the agent's own files.
            "train": given.get("train"),
            "register": given.get("register", {}),
            "env_modules": self.env_modules,
            "scale": self.scale,
        }

    def made(self, folder: Path) -> bool:
        """Return whether the agents in a folder are those of this entry.

        A setting that the folder does not know is newer: the entry must not use it.
        """
        path = folder / CONFIG_FILE
        if not path.is_file():
            return False
        found, entry = read_json(path), json.loads(json.dumps(self.to_dict()))
        given = self.settings.given()
        return all(
            found[key] == value if key in found else key not in given
            for key, value in entry.items()
            if key not in _NOT_DETERMINING
        )


def _is_reference(partner: str) -> bool:
    return partner.startswith(AGENT_PREFIX)


def _agent_label(run: Member, role: str | None) -> str:
    """Return the label of a run's agent: the run's own if it trains only one."""
    return f"{run.label}_{role}" if len(run.train.roles) > 1 else run.label


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
                f"{where}: {path}: the policy id {policy_id!r} cannot "
                "name a folder; rename the file"
            )
        if folder in taken:
            raise ConfigError(
                f"{where}: {taken[folder]} and {path} would share the "
                f"folder {folder!r}; rename one of them"
            )
        taken[folder] = path


class Experiments:
    """All experiments of a config at its scale.

    Parameters
    ----------
    config
        The config.
    folder
        Where Snakemake works. Experiments that are not selected, but have results
        there, keep their agents in the registry.

    Raises
    ------
    ConfigError
        If entries contradict each other or themselves.
    """

    def __init__(self, config: WorkflowConfig, folder: Path = Path()) -> None:
        self.scale = config.scale
        limits = config.scales.get(self.scale, Limits())
        self._entries = {
            name: _experiment(name, settings, limits, self.scale)
            for name, settings in config.experiments.items()
        } | {
            name: _population(name, settings, limits, self.scale)
            for name, settings in config.populations.items()
        }
        most = limits.re_eval_num_episodes
        episodes = (config.crossplay or Crossplay()).episodes
        self.crossplay_episodes = episodes if most is None else min(episodes, most)
        self.selected = self.names if config.only is None else list(config.only)
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
        self._check_partners()

    def __getitem__(self, name: str) -> Experiment:
        return self._entries[name]

    @property
    def names(self) -> list[str]:
        """All experiments, in the order of the config."""
        return list(self._entries)

    @property
    def run_root(self) -> Path:
        """Folder of all intermediate files at this scale."""
        return run_root(self.scale)

    @property
    def results_root(self) -> Path:
        """Folder of all that is published at this scale."""
        results = Path("results")
        return results if self.scale == FULL_SCALE else results / self.scale

    @property
    def posggym_envs(self) -> list[str]:
        """Ids of the POSGGym environments that selected experiments train in."""
        names = [
            experiment.training_config(experiment.members[0].label).registered_env_name
            for experiment in map(self.__getitem__, self.selected)
            if experiment.members
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
                "entry": self[name].entry,
                "train": self._planned_training(self[name], str(agent.run)),
                "settings": self[name].registration(label),
            }
            for name in self.names
            if name in names
            for label, agent in self[name].agents.items()
        ]

    def _planned_training(self, experiment: Experiment, run: str) -> dict[str, Any]:
        """Return a run's settings, with a random partner for those not yet trained."""
        # Without defaults: command lines have a limited length.
        settings = experiment.training_config(run).given()
        if experiment.waits_for_start(run):
            del settings["init_policy"]
        if experiment.waits_for_partners(run):
            names = [each.name for each in self.partners_of(experiment.name, run)]
            known = dict.fromkeys(name or RANDOM_POLICY for name in names)
            settings["partners"] = list(known)
        return settings

    def partners_of(self, name: str, run: str) -> list[PlannedPartner]:
        """Return the partners of a run of an experiment, which the config names.

        Raises
        ------
        ConfigError
            If one is an agent that the config does not train.
        """
        experiment = self[name]
        member = experiment.runs[run]
        partners = member.train.partners
        if isinstance(partners, str):
            return []
        weights = partners if isinstance(partners, Mapping) else {}
        found: list[PlannedPartner] = []
        for text in partners:
            weight = float(weights.get(text, 1))
            if _is_reference(text):
                found += self._agents_meant(
                    experiment, member, "partners", text, weight
                )
            else:
                found.append(PlannedPartner(weight, text))
        return found

    def start_of(self, name: str, run: str) -> PlannedPartner | None:
        """Return the agent of the config that a run's search starts from, if any.

        Raises
        ------
        ConfigError
            If the config does not train it, or `init_policy` names several agents.
        """
        experiment = self[name]
        if not experiment.waits_for_start(run):
            return None
        member = experiment.runs[run]
        text = str(member.train.init_policy)
        agents = self._agents_meant(experiment, member, "init_policy", text)
        if len(agents) > 1:
            raise ConfigError(
                f"{experiment.entry}.train.init_policy: {text!r} names {len(agents)} "
                f"agents; name one, such as {text}/seed{{seed}}"
            )
        return agents[0]

    def _agents_meant(
        self,
        experiment: Experiment,
        member: Member,
        key: str,
        text: str,
        weight: float = 1.0,
    ) -> list[PlannedPartner]:
        """Return the agents that a setting of a run refers to."""
        text = text.replace("{seed}", str(member.seed))
        try:
            return self._agents_named(text, weight)
        except ValueError as error:
            raise ConfigError(
                f"{experiment.entry}.train.{key}: {text!r}: {error}"
            ) from error

    def _agents_named(self, text: str, weight: float) -> list[PlannedPartner]:
        """Return the agents that `experiment:NAME[/AGENT][@CHECKPOINT]` stands for."""
        place, _, checkpoint = text.removeprefix(AGENT_PREFIX).partition("@")
        name, _, label = place.partition("/")
        if name not in self._entries:
            raise ValueError(
                f"there is no experiment {name!r}{did_you_mean(name, self.names, repr)}"
            )
        experiment = self[name]
        if not experiment.members:
            raise ValueError(f"{name} trains no policies; name a policy file instead")
        agents = experiment.agents
        if label and label not in agents:
            raise ValueError(
                f"{name} has no agent {label!r}{did_you_mean(label, agents, repr)}; "
                f"it has {', '.join(agents)}"
            )
        return [
            PlannedPartner(
                weight,
                run_dir=str(experiment.run_dir(str(agent.run))),
                role=agent.role,
                checkpoint=checkpoint or experiment.settings.chosen_checkpoint,
            )
            for agent in ([agents[label]] if label else agents.values())
        ]

    def _check_partners(self) -> None:
        """Refuse unknown partners, and runs that would wait for each other."""
        waits: dict[Path, set[Path]] = {
            self[name].run_dir(run): {
                Path(each.run_dir)
                for each in (*self.partners_of(name, run), self.start_of(name, run))
                if each is not None and each.run_dir
            }
            for name in self.names
            for run in self[name].runs
        }
        try:
            tuple(graphlib.TopologicalSorter(waits).static_order())
        except graphlib.CycleError as error:
            circle = " and ".join(
                f"{path.parent.name}/{path.name}" for path in error.args[1][1:]
            )
            raise ConfigError(
                "experiments: partners, and policies to start from, are trained first, "
                f"but {circle} would wait for each other"
            ) from error

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

    def lacking_in(self, zoo: Path, folder: Path = Path()) -> list[Path]:
        """Return the folders in the zoo of selected experiments that have to be made.

        These are not there, belong to other settings, or have results here, which may
        be newer.

        Parameters
        ----------
        zoo
            The zoo, relative to `folder`.
        folder
            Where Snakemake works.
        """
        return [
            zoo / self[name].env_id / name
            for name in self.selected
            if (folder / self.results_root / name).is_dir()
            or not self[name].made(folder / zoo / self[name].env_id / name)
        ]

    def _check_ids(self) -> None:
        """Refuse two agents of one name for one environment before training starts."""
        owners: dict[tuple[str, str, str, int], str] = {}
        for name, label in self.members(REGISTRY_GROUP):
            experiment = self[name]
            agent = experiment.agents[label]
            if agent.run is None:
                continue
            settings = experiment.registration(label)
            config = experiment.training_config(agent.run)
            env = config.registered_env_name
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


def _experiment(
    name: str, settings: ExperimentSettings, limits: Limits, scale: str
) -> Experiment:
    """Return an experiment within limits.

    Raises
    ------
    ConfigError
        If its checkpoints cannot be registered.
    """
    if settings.given_checkpoints is not None:
        _check_checkpoints(settings, f"experiments.{name}")
    members: list[Member] = []
    changes: dict[str, Any] = {}
    if settings.train is not None:
        changes["train"] = train = settings.train.limited(limits)
        members = [
            Member(f"seed{seed}", train, seed, template.replace("{seed}", str(seed)))
            for template in [settings.registration.policy_name]
            for seed in settings.seeds
        ]
    if limits.re_eval_num_episodes is not None:
        changes["verify_episodes"] = min(
            settings.verify_episodes, limits.re_eval_num_episodes
        )
    return Experiment(name, settings.model_copy(update=changes), members, scale)


def _population(
    name: str, settings: PopulationSettings, limits: Limits, scale: str
) -> Experiment:
    """Return a population within limits, as an experiment with many runs."""
    members = [
        dataclasses.replace(member, train=member.train.limited(limits))
        for member in members_of(name, settings)
    ]
    return Experiment(name, settings.limited(limits), members, scale)


def _checkpoints(settings: ExperimentSettings) -> dict[str, Path]:
    """Return the checkpoint of each policy id that an experiment registers."""
    assert settings.given_checkpoints is not None
    return _source(settings).policies(Path(settings.given_checkpoints))


def _source(settings: ExperimentSettings) -> PolicySource:
    assert settings.given_checkpoints is not None
    path = Path(settings.given_checkpoints)
    return source_of(path, settings.source, settings.agent)


def _check_checkpoints(settings: ExperimentSettings, where: str) -> None:
    try:
        found = _checkpoints(settings)
    except ValueError as error:
        raise ConfigError(f"{where}.{_key(settings)}: {error}") from error
    if len(found) > 1 and "{policy_id}" not in settings.registration.policy_name:
        raise ConfigError(
            f"{where}.register.policy_name must contain {{policy_id}}: {len(found)} "
            f"policy ids make {len(found)} agents"
        )
    _check_policy_ids(found, f"{where}.{_key(settings)}")


def _key(settings: ExperimentSettings) -> str:
    return "checkpoint" if settings.checkpoint_dir is None else "checkpoint_dir"
