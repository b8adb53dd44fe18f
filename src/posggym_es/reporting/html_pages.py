"""Web pages of results, as self-contained files that can be opened from disk."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup
from matplotlib.ticker import EngFormatter
from PIL import Image

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.utils.files import read_json, write_json, write_text
from posggym_es.agents.loading import arguments_of, short_id
from posggym_es.config.scales import FULL_SCALE
from posggym_es.config.training_settings import ExperimentTraining
from posggym_es.evaluation.file_names import (
    FILM_FACTS_FILE,
    FILM_FILE,
    FILM_FOLDER,
    PREVIEW_FILE,
)
from posggym_es.evaluation.payoffs import Variant, diversity, matrix, regret
from posggym_es.registration.spec import AgentSpec
from posggym_es.reporting.charts import (
    RANDOM,
    Tables,
    heat_map,
    label_of_agent,
    page_charts,
    svg,
    write_svg,
)
from posggym_es.reporting.published_scores import published_score, reference_levels
from posggym_es.utils.return_statistics import (
    format_interval,
    format_return,
    mean_interval,
)

SUMMARY_FILE = "summary.json"
PAGE_FILE = "index.html"
# The packages that results depend on most; the environment's lock file has all.
PACKAGES = (
    *("numpy", "torch", "gymnasium", "pybullet", "Box2D", "mujoco", "posggym"),
    *("sacred", "snakemake"),
)

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("posggym_es.reporting"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Render a page.

    Parameters
    ----------
    template
        Name of a file in `templates/`.
    **values
        Values for the template; text is escaped, `Markup` is not.
    """
    return _templates.get_template(template).render(**values)


def rehearsal(scale: str) -> str | None:
    """Return the notice on pages of results at a reduced scale; None at full scale."""
    if scale == FULL_SCALE:
        return None
    return (
        f"Rehearsal at scale {scale}: budgets were limited, so returns say nothing "
        "about the method."
    )


def with_margin(returns: Sequence[float]) -> str:
    """Format a mean and half the width of its 95 % interval."""
    return format_interval(*mean_interval(returns))


def conversion_text(proof: Mapping[str, Any]) -> str:
    """Summarise the proof of a conversion in one line."""
    if proof["max_difference"] is None:
        exactness = f"{proof['different_actions']} different actions"
    else:
        exactness = f"max. difference {proof['max_difference']:.1e} of the range"
    return f"{exactness} over {proof['observations']} observations"


def key_figures(
    name: str,
    specs: Sequence[AgentSpec],
    verifications: Sequence[Mapping[str, Any]],
    tables: Tables,
    folders: Sequence[str],
    scale: str,
) -> dict[str, Any]:
    """Return an experiment's key figures, for the page of all experiments.

    Parameters
    ----------
    name
        Name of the experiment.
    specs, verifications
        Spec and verification report of each agent.
    tables
        Metrics of each trained policy; empty if policies were given.
    folders
        The agents' folders below that of the experiment.
    scale
        The scale of the config.
    """
    means = [verified["mean_return"] for verified in verifications]
    best = max(range(len(means)), key=means.__getitem__)
    mean, margin = mean_interval(verifications[best]["returns"])
    last = [table.iloc[-1] for table in tables.values()]
    return {
        "experiment": name,
        "scale": scale,
        "env_id": specs[best].env_id,
        "agents": [spec.id for spec in specs],
        "best_agent": specs[best].id,
        "best_folder": folders[best],
        "best_return": mean,
        "best_margin": margin,
        "published": published_score(specs[best].env_id),
        "random": _random_return(verifications[best]),
        "generations": max((int(row.generation) for row in last), default=None),
        "timesteps": sum(int(row.timesteps) for row in last) if last else None,
        "seconds": sum(float(row.elapsed) for row in last) if last else None,
    }


def experiment_page(
    description: Mapping[str, Any],
    figures: Mapping[str, Any],
    agents: Sequence[Mapping[str, Any]],
    tables: Tables,
    output: Path,
) -> None:
    """Write the page of an experiment.

    Parameters
    ----------
    description
        The resolved config.
    figures
        Key figures, as returned by `key_figures`.
    agents
        `spec`, `verification`, `conversion`, `metadata`, `load` (lines of Python) and
        `folder` (in `output`, with the agent's files) of each agent.
    tables
        Metrics of each trained policy, by label; empty if policies were given.
    output
        The experiment's folder, complete except for this page.
    """
    tiles = [("Best return (95 %)", _best(figures))]
    levels = reference_levels(figures["env_id"])
    compared = {**levels, RANDOM: figures["random"]}
    tiles += [
        (name.capitalize(), format_return(level))
        for name, level in compared.items()
        if level is not None
    ]
    tiles.append(("Agents", str(len(agents))))
    if figures["timesteps"] is not None:
        tiles += [
            ("Generations", f"{figures['generations']:,}"),
            ("Simulator steps", with_unit(figures["timesteps"])),
            ("Training time", _duration(figures["seconds"])),
        ]
    charts = {}
    if tables:
        episodes = agents[0]["metadata"].re_eval_num_episodes
        drawn = page_charts(tables, episodes, levels, random_returns(agents))
        charts = {title: Markup(chart) for title, chart in drawn.items()}
    spec = agents[0]["spec"]
    page = render(
        "experiment.html",
        name=figures["experiment"],
        rehearsal=rehearsal(figures["scale"]),
        environment=f"{spec.env_id}{arguments_of(spec)}",
        tiles=tiles,
        charts=charts,
        agents=[_agent_values(agent) for agent in agents],
        provenance=_provenance(agents),
        settings=_effective_settings(description),
        files=_digests(output, [agent["folder"] for agent in agents]),
        config=yaml.safe_dump(dict(description), sort_keys=False),
    )
    write_text(output / PAGE_FILE, page)


def _random_return(verification: Mapping[str, Any]) -> float | None:
    """Return the mean return of random actions; None in reports that lack it."""
    returns = verification.get("random_returns")
    return statistics.fmean(returns) if returns else None


def random_returns(agents: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean return of random actions in the place of each agent.

    Parameters
    ----------
    agents
        `verification` and `folder` of each agent.

    Returns
    -------
    dict
        By the agents' labels in charts, without those where it is unknown.
    """
    known = {
        label_of_agent(agent["folder"].name): _random_return(agent["verification"])
        for agent in agents
    }
    return {label: value for label, value in known.items() if value is not None}


def with_unit(number: float) -> str:
    """Format a large number in short, such as 1.5 M."""
    return EngFormatter(places=1, sep=" ")(number).replace(".0", "").strip()


def _effective_settings(
    description: Mapping[str, Any],
) -> list[tuple[str, str, bool]]:
    """Return name, value and whether it was given, of each training setting."""
    if not description.get("train"):
        return []
    train = ExperimentTraining.from_dict(description["train"])
    given = train.given()
    return [(k, json.dumps(v), k in given) for k, v in train.to_dict().items()]


def _best(figures: Mapping[str, Any]) -> str:
    return format_interval(figures["best_return"], figures["best_margin"])


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def _agent_values(agent: Mapping[str, Any]) -> dict[str, Any]:
    """Return an agent's values for the template of an experiment's page."""
    spec, verified = agent["spec"], agent["verification"]
    values = {
        "id": spec.id,
        "name": short_id(spec.id),
        "description": spec.description,
        "registered": with_margin(verified["returns"]),
        "trained": with_margin(verified["reference_returns"]),
        "difference": (
            f"{verified['difference']:+.3g} ({verified['allowed_difference']:.3g})"
        ),
        "episodes": len(verified["returns"]),
        "conversion": conversion_text(agent["conversion"]["proof"]),
        "load": agent["load"],
        "film": None,
        "no_film": None,
    }
    folder = agent["folder"] / FILM_FOLDER
    if folder.is_dir():
        facts = read_json(folder / FILM_FACTS_FILE)
        if "reason" in facts:
            values["no_film"] = facts["reason"]
        else:
            values["film"] = {
                **facts,
                "shown_return": format_return(facts["return"]),
                "source": _data_url("video/mp4", (folder / FILM_FILE).read_bytes()),
                "poster": _data_url("image/webp", poster(folder / PREVIEW_FILE)),
            }
    return values


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def poster(preview: Path) -> bytes:
    """Return the frame in the middle of a film's preview, as a WebP image."""
    image = io.BytesIO()
    with Image.open(preview) as frames:
        frames.seek(getattr(frames, "n_frames", 1) // 2)
        frames.convert("RGB").save(image, "webp", quality=70)
    return image.getvalue()


def _provenance(agents: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    known: list[PolicyMetadata] = [agent["metadata"] for agent in agents]
    commits = sorted({each.commit for each in known if each.commit})
    seeds = [str(each.seed) for each in known if each.seed is not None]
    verified = [agent["verification"]["seeds"] for agent in agents]
    rows = [
        ("Commit", ", ".join(commits) or "unknown"),
        ("Seeds of training", ", ".join(dict.fromkeys(seeds)) or "policies were given"),
        ("Seeds of verification", ", ".join(map(str, verified[0]))),
    ]
    # The conda environment of a rule may lack packages of other rules.
    installed = [name for name in PACKAGES if importlib.util.find_spec(name)]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in installed]
    rows.append(("Packages", ", ".join(versions)))
    for agent, metadata in zip(agents, known, strict=True):
        if metadata.origin is not None:
            text = f"{metadata.origin.file}, SHA-256 {metadata.origin.sha256}"
            rows.append((f"{agent['folder'].name} comes from", text))
    return rows


def _digests(output: Path, folders: Sequence[Path]) -> list[tuple[str, str]]:
    paths = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".snakemake_timestamp"
    ]
    return [
        (
            str(path.relative_to(output)),
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in paths
    ]


HEADINGS = (
    ("Experiment", False),
    ("Film", False),
    ("Environment", False),
    ("Best return", True),
    ("Random", True),
    ("Published", True),
    ("Over published", True),
    ("Agents", True),
    ("Generations", True),
    ("Steps", True),
    ("Training time", True),
)


def index_page(results: Path) -> str:
    """Return the page of all experiments in a results folder.

    Parameters
    ----------
    results
        Folder with one folder per experiment, and possibly folders of rehearsals.

    Raises
    ------
    ValueError
        If the folder does not exist.
    """
    if not results.is_dir():
        raise ValueError(f"{results}: no such folder")
    found: dict[str, list[dict[str, Any]]] = {FULL_SCALE: []}
    for pattern in (f"[!.]*/{SUMMARY_FILE}", f"[!.]*/[!.]*/{SUMMARY_FILE}"):
        for path in sorted(results.glob(pattern)):
            folder = path.parent.relative_to(results)
            figures = {**read_json(path), "folder": folder.as_posix()}
            found.setdefault(figures.get("scale", FULL_SCALE), []).append(figures)
    crossplay = [
        (
            path.parent.parent.name,
            path.parent.name,
            str(path.relative_to(results)),
        )
        for path in sorted(results.glob(f"crossplay/[!.]*/[!.]*/{PAGE_FILE}"))
    ]
    return render(
        "index.html",
        sections=[
            {"rehearsal": rehearsal(scale), **_index_table(results, experiments)}
            for scale, experiments in found.items()
            if experiments
        ],
        crossplay=crossplay,
    )


def write_index(path: Path) -> None:
    """Write the page of all experiments to a file in the results folder.

    Raises
    ------
    ValueError
        If the folder does not exist.
    """
    write_text(path, index_page(path.parent))


def _index_table(
    results: Path, experiments: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return headings and rows, best first, without columns that are empty."""
    # Returns of different environments cannot be compared.
    ordered = sorted(experiments, key=lambda f: (f["env_id"], -f["best_return"]))
    rows = [_index_row(results, figures) for figures in ordered]
    columns = [
        number
        for number in range(len(HEADINGS))
        if any(row[number]["value"] != "" or row[number]["picture"] for row in rows)
    ]
    headings = [{"name": name, "number": number} for name, number in HEADINGS]
    return {
        "headings": [headings[column] for column in columns],
        "rows": [[row[column] for column in columns] for row in rows],
    }


def _index_row(results: Path, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    def cell(value: Any, text: str | None = None, **more: Any) -> dict[str, Any]:
        return {
            "value": "" if value is None else value,
            "text": "-" if value is None else text or str(value),
            "number": isinstance(value, int | float),
            "link": None,
            "picture": None,
            **more,
        }

    folder, published = figures["folder"], figures["published"]
    best, steps = figures["best_return"], figures["timesteps"]
    # Summaries of earlier versions have no figure for random actions.
    random = figures.get("random")
    seconds = figures["seconds"]
    film = f"{folder}/{figures['best_folder']}/{FILM_FOLDER}/{PREVIEW_FILE}"
    ratio = None if published is None else best / published
    return [
        cell(figures["experiment"], link=f"{folder}/{PAGE_FILE}"),
        cell("", "-", picture=film if (results / film).is_file() else None),
        cell(figures["env_id"]),
        cell(best, _best(figures)),
        cell(random, None if random is None else format_return(random), number=True),
        cell(published, published and format_return(published), number=True),
        cell(ratio, ratio and f"{ratio:.2f}", number=True),
        cell(len(figures["agents"])),
        cell(figures["generations"], number=True),
        cell(steps, steps and with_unit(steps), number=True),
        cell(seconds, seconds and _duration(seconds), number=True),
    ]


# Explanations of measures on pages of cross-play.
MEASURES = {
    "Proportional loss": "Proportional loss: (self-play - cross-play) / |self-play| "
    "(Lanctot et al., 2017).",
    "Expected cardinality": "Expected cardinality: of a determinantal point process "
    "over the rows of the payoff matrix, from 0 to half the number of policies "
    "(Perez Nieves et al., 2021).",
}


def crossplay_folder(
    variant: Variant,
    table: pd.DataFrame,
    left_out: Mapping[str, str],
    output: Path,
    scale: str = FULL_SCALE,
) -> None:
    """Write the payoffs of an environment to a folder: CSV files, heat map and page.

    Parameters
    ----------
    variant
        The environment.
    table
        Payoffs, as returned by `play_all`.
    left_out
        Reasons why policies could not be created, by their ids.
    output
        Folder to write.
    scale
        The scale of the config.
    """
    means, margins = matrix(table), matrix(table, "margin")
    regrets = regret(means)
    measures = diversity(means)
    output.mkdir(parents=True)
    table.to_csv(output / "payoffs.csv", index=False)
    means.to_csv(output / "matrix.csv")
    regrets.to_csv(output / "regret.csv")
    write_json(output / "diversity.json", dataclasses.asdict(measures))
    side = 2.0 + 0.8 * len(means)
    chart = svg(heat_map(means, margins), (max(side, 5.0), max(0.7 * side, 3.5)))
    write_svg(chart, output / "heat_map.svg")
    known = {
        name: measure
        for name, measure in {
            "Self-play": measures.self_play,
            "Cross-play": measures.cross_play,
            "Proportional loss": measures.proportional_loss,
            "Expected cardinality": measures.expected_cardinality,
        }.items()
        if measure is not None
    }
    page = render(
        "crossplay.html",
        env_id=variant.env_id,
        arguments=", ".join(f"{k}={v!r}" for k, v in variant.env_args.items()),
        episodes=int(table.episodes.iloc[0]),
        policies=list(means.index),
        heat_map=Markup(chart),
        heat_map_width=5 + 4 * len(means),
        tiles=[(name, f"{measure:.2f}") for name, measure in known.items()],
        explanations=[MEASURES[name] for name in known if name in MEASURES],
        regrets=[
            (policy, short_id(policy), f"{row.mean():.2f}", f"{row.max():.2f}")
            for policy, row in regrets.iterrows()
        ],
        left_out=left_out,
        rehearsal=rehearsal(scale),
    )
    write_text(output / PAGE_FILE, page)
