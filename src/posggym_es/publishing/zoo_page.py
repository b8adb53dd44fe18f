"""The page of the zoo, in Markdown."""

from __future__ import annotations

import itertools
import statistics
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pgpelib.utils.files import read_json
from posggym_es.agents.folders import agent_folders
from posggym_es.agents.loading import short_id
from posggym_es.config.result_names import CURVE_FILE
from posggym_es.evaluation.verified_agent import FILM, VerifiedAgent
from posggym_es.publishing.zoo_folder import PAYOFFS_FOLDER, SETUP
from posggym_es.utils.return_statistics import format_interval, format_return

_HEAD = """\
<!-- Written by `snakemake zoo` from the files in zoo/; edits are lost. -->

# The zoo

{count} trained agents for {environments} environments come with posggym-es. An import
registers them with the installed posggym, and nothing is downloaded:

```python
{example}
```

`posggym_es.zoo.AGENTS` lists the ids, of which the tables have the last part. Returns
are means over the episodes of an agent's verification, with their 95 % intervals. The
folder of an agent has its card, spec, trained policy, policy file, proof of conversion,
and verification.

An entry in `config/zoo.yaml` and `snakemake --cores 2 zoo --configfile config/zoo.yaml`
add agents. `snakemake --cores 1 zoo_check` derives all policy files again, and replays
verified episodes.
"""


def zoo_page(zoo: Path) -> str:
    """Return the page of all agents, for a file in a folder next to `zoo`.

    Raises
    ------
    ValueError
        If the zoo is empty, or a file of an agent is damaged.
    """
    agents = sorted(
        map(VerifiedAgent.read, agent_folders(zoo)),
        key=lambda a: (a.spec.env_id, a.folder),
    )
    if not agents:
        raise ValueError(f"{zoo}: no agents")
    environments = {
        env_id: list(members)
        for env_id, members in itertools.groupby(agents, lambda a: a.spec.env_id)
    }
    head = _HEAD.format(
        count=len(agents),
        environments=len(environments),
        example=agents[0].example(SETUP),
    )
    sections = [
        f"\n## {env_id}\n"
        + "".join([*_tables(zoo, members), *_comparisons(zoo, env_id)])
        for env_id, members in environments.items()
    ]
    return head + "".join(sections)


def _tables(zoo: Path, agents: Sequence[VerifiedAgent]) -> Iterator[str]:
    """Yield the table of each experiment of an environment."""

    def shared(agent: VerifiedAgent) -> tuple[Path, str]:
        return agent.folder.parent, agent.spec.id.rpartition("/")[0]

    for (folder, beginning), members in itertools.groupby(agents, shared):
        link = _link(zoo, folder)
        rows = [_row(agent, f"{link}/{agent.folder.name}") for agent in members]
        yield (
            f"\n[{folder.name}]({link}), [learning curve]({link}/{CURVE_FILE}); "
            f"ids begin with `{beginning}/`\n\n"
            "| Agent | Plays | With | Mean return | Episodes | Mean steps | Film |\n"
            "|---|---|---|---|---|---|---|\n" + "".join(rows)
        )


def _comparisons(zoo: Path, env_id: str) -> Iterator[str]:
    """Yield the table of payoffs for each set of arguments of an environment."""
    for file in sorted((zoo / env_id / PAYOFFS_FOLDER).glob("*.json")):
        report = read_json(file)
        arguments = ", ".join(f"{k}={v}" for k, v in report["env_args"].items())
        yield (
            f"\nReturns in cross-play with POSGGym's own policies, means over "
            f"[{report['episodes']} episodes of each pair]({_link(zoo, file)})"
            f"{f', {arguments}' if arguments else ''}{_limit(report)}:\n\n"
            "| Policy | From | With itself | With the others |\n|---|---|---|---|\n"
        )
        pairs = {(each["row"], each["column"]): each for each in report["payoffs"]}
        for policy in dict.fromkeys(row for row, _ in pairs):
            alone = pairs.get((policy, policy))
            others = [
                pair["mean"]
                for (row, column), pair in pairs.items()
                if row == policy != column
            ]
            yield (
                f"| `{short_id(policy)}` "
                f"| {'zoo' if report['policies'][policy] else 'POSGGym'} "
                f"| {format_interval(alone['mean'], alone['margin']) if alone else ''} "
                f"| {format_return(statistics.fmean(others)) if others else ''} |\n"
            )
        if report["left_out"]:
            names = ", ".join(report["left_out"])
            yield f"\nWithout {names}, which could not be loaded.\n"


def _link(zoo: Path, path: Path) -> str:
    # Markdown would take a parenthesis in an argument for the end of the link.
    inner = urllib.parse.quote(path.relative_to(zoo).as_posix(), safe="/=,")
    return f"../{zoo.name}/{inner}"


def _limit(report: Mapping[str, Any]) -> str:
    limit = report["endless_length"]
    return "" if limit is None else f"; episodes end after {limit:,} steps"


def _row(agent: VerifiedAgent, link: str) -> str:
    picture = f"![film]({link}/{FILM})" if agent.has_film else ""
    plays = ", ".join(agent.spec.valid_agent_ids or ["all"])
    cells = [
        f"[`{short_id(agent.spec.id)}`]({link})",
        plays,
        agent.company,
        agent.mean_return,
        str(agent.episodes),
        agent.steps,
        picture,
    ]
    return f"| {' | '.join(cells)} |\n"
