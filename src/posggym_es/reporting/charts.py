"""Charts of training runs, as image files and as SVG elements of web pages."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter, MaxNLocator

from pgpelib.training.run_folder import METRIC_COLUMNS, METRICS_FILE
from pgpelib.utils.files import write_text
from posggym_es.agents.loading import short_id
from posggym_es.utils.return_statistics import format_return, student_margin

mpl.use("Agg")

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind people can distinguish, too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# Of the runs of one colour, where there are more runs than colours.
MARKERS = ("o", "s", "^", "v", "D")
# Placeholder for text and lines, which `svg` replaces by the page's text colour.
_INK = "#010203"
_PAPER_SETTINGS = {
    # The same file for the same data: no random ids.
    "svg.hashsalt": "posggym-es",
    # Text remains text, which can be searched, in the page's font.
    "svg.fonttype": "none",
}
_PAGE_SETTINGS = {
    **_PAPER_SETTINGS,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.facecolor": "none",
    "legend.edgecolor": "none",
    "font.size": 10,
}
# Of the returns to compare with.
LINE_STYLES = ("--", ":", "-.")
RANDOM = "random actions"
ALL_SEEDS = "all seeds"
# Confidence level of intervals of means over seeds or episodes.
CONFIDENCE = 0.95

Tables = Mapping[str, pd.DataFrame]
Value = TypeVar("Value")


def tables_of_run(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the metrics of a run by label, see `label_of_agent`."""
    table = pd.read_csv(folder / METRICS_FILE, dtype={"role": str})
    # Runs of earlier versions lack the newer columns.
    table = table.reindex(columns=METRIC_COLUMNS)
    if table.role.nunique() < 2:
        return {label_of_agent(folder.name): table}
    return {
        label_of_agent(f"{folder.name}_{role}"): rows
        for role, rows in table.groupby("role")
    }


def label_of_agent(folder: str) -> str:
    """Return what charts call the agent in a folder, such as `br_seed0_1`.

    This is "seed 0"; in a population, the name of the member follows, and with several
    roles the agent id: "seed 0, br, agent 1".
    """
    member, _, rest = folder.rpartition("seed")
    seed, _, role = rest.partition("_")
    parts = [f"seed {seed}", member.rstrip("_"), role and f"agent {role}"]
    return ", ".join(filter(None, parts))


def learning_curve(
    tables: Tables,
    levels: Mapping[str, float],
    random: Mapping[str, float],
    title: str,
    path: Path,
) -> None:
    """Plot population medians and re-evaluations over simulator steps.

    Parameters
    ----------
    tables
        `metrics.csv` of each policy, by label. Of a single one, the standard deviation
        of re-evaluated returns is shown as well.
    levels, random
        Returns to compare with, see `page_charts`.
    title
        Title of the figure.
    path
        File to write; its suffix determines the format.
    """
    from matplotlib import pyplot as plt

    median: dict[str, Any] = {"alpha": 0.4, "linewidth": 1}
    re_evaluation: dict[str, Any] = {"markersize": 3}
    with mpl.rc_context(_PAPER_SETTINGS):
        figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
        styles = itertools.cycle(itertools.product(MARKERS, COLORS))
        runs = zip(styles, tables.items(), strict=False)
        for (marker, color), (label, table) in runs:
            axes.plot(table.timesteps, table.pop_median, color=color, **median)
            seen = table.dropna(subset=["re_eval_mean"])
            mean, stdev = seen.re_eval_mean, seen.re_eval_stdev
            axes.plot(
                seen.timesteps,
                mean,
                color=color,
                marker=marker,
                label=label,
                **re_evaluation,
            )
            if len(tables) == 1:
                band = mean - stdev, mean + stdev
                axes.fill_between(
                    seen.timesteps,
                    *band,
                    color=color,
                    alpha=0.15,
                    label="± 1 stdev",
                )
        # What the kinds of lines mean, once for all colours.
        axes.plot([], [], "o-", color="grey", label="re-evaluation", **re_evaluation)
        axes.plot([], [], color="grey", label="population median", **median)
        shown = dict(levels)
        for role, returns in random_levels(random).items():
            name = RANDOM if role == ALL_SEEDS else f"{RANDOM}, {role}"
            shown[name] = returns
        _draw_levels(axes, shown)
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.set_xlabel("simulator steps")
        axes.set_ylabel("mean return")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper", fontsize="small")
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=120, metadata=metadata)
        plt.close(figure)


def groups_of(values: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Group values by label by their role, or as `ALL_SEEDS` if there are no roles."""
    groups: dict[str, dict[str, Value]] = {}
    for label, value in values.items():
        seed, _, role = label.partition(", ")
        groups.setdefault(role or ALL_SEEDS, {})[seed] = value
    return groups


def random_levels(random: Mapping[str, float]) -> dict[str, float]:
    """Return the mean return of random actions of each role."""
    groups = groups_of(random)
    return {role: float(np.mean([*seeds.values()])) for role, seeds in groups.items()}


def _coloured(tables: Tables) -> Iterator[tuple[str, tuple[str, pd.DataFrame]]]:
    """Yield a colour with each labelled table; they repeat after the last one."""
    return zip(itertools.cycle(COLORS), tables.items(), strict=False)


def over_seeds(runs: Sequence[pd.DataFrame], x: str, episodes: int) -> pd.DataFrame:
    """Return the mean re-evaluations of several runs, with confidence intervals.

    Parameters
    ----------
    runs
        Metrics of runs that differ only in their seed.
    x
        Column for the x-axis, averaged over the runs for each generation.
    episodes
        Episodes per re-evaluation.

    Returns
    -------
    DataFrame
        Columns `x`, `mean`, `low` and `high`, for each generation that all runs
        re-evaluated. Intervals are Student's, of the mean over the seeds, or for a
        single run of the mean over its episodes.
    """
    evaluated = [run.dropna(subset=["re_eval_mean"]) for run in runs]
    together = pd.concat(evaluated).groupby("generation")
    mean = together.re_eval_mean.mean()
    if len(runs) > 1:
        count, stdev = len(runs), together.re_eval_mean.std(ddof=1)
    else:
        count, stdev = episodes, together.re_eval_stdev.first()
    margin = student_margin(stdev, count, CONFIDENCE).fillna(0.0)
    table = pd.DataFrame(
        {
            "x": together[x].mean(),
            "mean": mean,
            "low": mean - margin,
            "high": mean + margin,
        }
    )
    return table[together.size() == len(runs)]


def page_charts(
    tables: Tables,
    episodes: int,
    levels: Mapping[str, float],
    random: Mapping[str, float],
) -> dict[str, str]:
    """Return the charts of an experiment's page as SVG elements, keyed by title.

    Roles, and members of a population, have charts of their own.

    Parameters
    ----------
    tables
        `metrics.csv` of each policy, by label.
    episodes
        Episodes per re-evaluation.
    levels
        Returns to compare with, by their names, such as "published".
    random
        Mean returns of random actions, by the labels of the agents whose place they
        took.
    """
    groups, of_roles = groups_of(tables), random_levels(random)
    charts = {}
    for role, members in groups.items():
        shown = {**levels, **({RANDOM: of_roles[role]} if role in of_roles else {})}
        drawers: dict[str, Callable[[Axes, Tables], None]] = {
            "Return over simulator steps": _returns("timesteps", episodes, shown),
            "Return over wall time": _returns("elapsed", episodes, shown),
            "Population": _draw_population,
            "Search distribution": _draw_stdev,
            "Throughput": _draw_throughput,
        }
        for title, draw in drawers.items():
            charts[title, role] = svg(lambda axes, d=draw, m=members: d(axes, m))  # type: ignore[misc]
    titles = dict.fromkeys(title for title, _ in charts)
    return {
        f"{title}, {role}" if len(groups) > 1 else title: charts[title, role]
        for title in titles
        for role in groups
    }


def _returns(
    column: str, episodes: int, levels: Mapping[str, float]
) -> Callable[[Axes, Tables], None]:
    """Return a function that draws re-evaluations over steps or seconds."""

    def draw(axes: Axes, tables: Tables) -> None:
        runs = list(tables.values())
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if column == "timesteps":
            unit, name = 1.0, "simulator steps"
            axes.xaxis.set_major_formatter(EngFormatter())
        else:
            unit, name = _unit_of_time(max(run.elapsed.max() for run in runs))
        shown = _draw_runs(axes, runs, column, unit, episodes)
        _draw_levels(axes, levels)
        if levels:
            axes.legend(fontsize="small")
        _limit(axes, [*shown, *levels.values()])
        axes.set_xlim(left=0)
        axes.set_xlabel(name)
        axes.set_ylabel("re-evaluated mean return")

    return draw


def _draw_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Draw returns to compare with as lines, in the colour of the text."""
    for (label, level), style in zip(levels.items(), itertools.cycle(LINE_STYLES)):
        axes.axhline(
            level, color=mpl.rcParams["text.color"], lw=1, ls=style, label=label
        )


def _unit_of_time(seconds: float) -> tuple[float, str]:
    """Return the unit for times up to this one, in seconds, and its name."""
    if seconds < 120:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 7200 else (3600.0, "hours")


def _limit(axes: Axes, values: Sequence[float]) -> None:
    """Limit the vertical axis to most values: a single outlier would flatten all."""
    low, high = np.nanpercentile(values, [3, 97])
    room = 0.15 * (high - low)
    # Those that differ by rounding are equal.
    if not np.isclose(low, high):
        axes.set_ylim(
            max(low - room, np.nanmin(values) - 0.3 * room),
            min(high + room, np.nanmax(values) + 0.3 * room),
        )


def _draw_runs(
    axes: Axes,
    runs: Sequence[pd.DataFrame],
    column: str,
    unit: float,
    episodes: int,
) -> list[float]:
    """Draw the mean re-evaluation of runs with its interval, and each run.

    Returns
    -------
    list of float
        The returns that were drawn.
    """
    table = over_seeds(runs, column, episodes)
    x, color = table.x / unit, COLORS[0]
    label = "mean of the seeds" if len(runs) > 1 else "this agent"
    axes.plot(x, table["mean"], color=color, marker="o", ms=3, label=label)
    axes.fill_between(x, table.low, table.high, color=color, alpha=0.2, linewidth=0)
    shown = list(table["mean"])
    for run in runs if len(runs) > 1 else []:
        evaluated = run.dropna(subset=["re_eval_mean"])
        axes.plot(
            evaluated[column] / unit,
            evaluated.re_eval_mean,
            color=color,
            lw=0.6,
            alpha=0.6,
        )
        shown += list(evaluated.re_eval_mean)
    return shown


def _draw_population(axes: Axes, tables: Tables) -> None:
    """Draw the fitness of the population over generations."""
    for color, (label, table) in _coloured(tables):
        generation = table.generation
        axes.fill_between(
            generation, table.pop_min, table.pop_max, color=color, alpha=0.1, lw=0
        )
        axes.fill_between(
            generation, table.pop_q25, table.pop_q75, color=color, alpha=0.3, lw=0
        )
        _line(axes, table, "pop_median", color, label)
    _finish(axes, tables, "return (median, quartiles, range)")
    # Cut off outliers: a few solutions can be much worse than all others.
    rows = pd.concat(list(tables.values()))
    low = rows.pop_q25.min() - 2 * (rows.pop_q75.max() - rows.pop_q25.min())
    if np.isfinite(low):
        axes.set_ylim(bottom=max(low, rows.pop_min.min()))


def _draw_stdev(axes: Axes, tables: Tables) -> None:
    """Draw the standard deviations of the search distribution over generations."""
    for color, (label, table) in _coloured(tables):
        axes.fill_between(
            table.generation,
            table.stdev_min,
            table.stdev_max,
            color=color,
            alpha=0.2,
            lw=0,
        )
        _line(axes, table, "stdev_mean", color, label)
    _finish(axes, tables, "standard deviation (mean, range)")


def _draw_throughput(axes: Axes, tables: Tables) -> None:
    """Draw simulator steps per second over generations."""
    for color, (label, table) in _coloured(tables):
        _line(axes, table, "steps_per_second", color, label)
    _finish(axes, tables, "simulator steps/s")
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.set_ylim(bottom=0)


def _line(axes: Axes, table: pd.DataFrame, column: str, color: str, label: str) -> None:
    """Draw a column over generations; a single generation as a dot."""
    marker = "o" if len(table) == 1 else None
    axes.plot(
        table.generation, table[column], color=color, lw=1, marker=marker, label=label
    )


def _finish(axes: Axes, tables: Tables, name: str) -> None:
    axes.set_xlabel("generation")
    last = max(table.generation.max() for table in tables.values())
    axes.set_xlim(0, 1.02 * last)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel(name)
    if 1 < len(tables) <= len(COLORS):
        axes.legend(fontsize="small")


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = (4.6, 3.0)) -> str:
    """Return a chart as an SVG element in the colours and font of its page.

    Parameters
    ----------
    draw
        Draws the chart on the given axes.
    size
        Width and height in inches; pages scale charts to the width of their column.
    """
    from matplotlib import pyplot as plt

    with mpl.rc_context(_PAGE_SETTINGS):
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.grid(alpha=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    element = text.getvalue()
    element = element[element.index("<svg") :]
    # Ids must be unique on a page with several charts.
    prefix = f"c{abs(hash_of(element)):x}"
    element = re.sub(r'(id="|href="#|url\(#)', rf"\1{prefix}-", element)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r"<style[^>]*>.*?</style>", "", element, flags=re.DOTALL)
    element = re.sub(r"font: ?([^;\"']*?px)[^;\"']*", r"font-size: \1", element)
    element = element.replace(_INK, "currentColor")
    return re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', element)


def hash_of(text: str) -> int:
    """Return a hash of a text that is the same in every process, unlike `hash`."""
    import zlib

    return zlib.crc32(text.encode())


def heat_map(means: pd.DataFrame, margins: pd.DataFrame) -> Callable[[Axes], None]:
    """Return a function that draws a payoff matrix with confidence intervals.

    Parameters
    ----------
    means, margins
        Mean returns and half the widths of their intervals, with the same rows and
        columns. Cells with NaN remain empty.
    """

    def draw(axes: Axes) -> None:
        values = means.to_numpy(np.float64)
        image = axes.imshow(values, cmap="cividis", aspect="auto")
        axes.figure.colorbar(image, ax=axes, label="mean return")
        axes.grid(visible=False)
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for row, column in np.ndindex(values.shape):
            if np.isfinite(values[row, column]):
                margin = margins.iat[row, column]
                axes.text(
                    column,
                    row,
                    f"{format_return(values[row, column])}\n± {format_return(margin)}",
                    ha="center",
                    va="center",
                    fontsize="small",
                    linespacing=1.4,
                    color="white" if values[row, column] <= middle else "black",
                )
        names = [short_id(str(policy)) for policy in means.index]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("the other agents' policy")
        axes.set_ylabel("policy")

    return draw


def write_svg(element: str, path: Path) -> None:
    """Write a chart returned by `svg` to a separate file, black on white."""
    opening = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink='
    opening += '"http://www.w3.org/1999/xlink" style="background: white" '
    opening += 'font-family="DejaVu Sans, sans-serif" color="black" '
    write_text(path, element.replace("<svg ", opening, 1))
