"""Charts of training runs, as image files and as SVG elements of web pages."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from pgpelib.training.run_folder import METRIC_COLUMNS, METRICS_FILE
from pgpelib.utils.files import write_text
from posggym_es.utils.return_statistics import format_return, student_margin

mpl.use("Agg")

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind people can distinguish, too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
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
# Confidence level of intervals of means over seeds or episodes.
CONFIDENCE = 0.95

Tables = Mapping[str, pd.DataFrame]


def tables_of_run(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the metrics of a run, keyed by "seed <k>", or with its role.

    With roles, keys are "seed <k>, agent <role>"; in a population, the name of the
    member comes after the seed.
    """
    table = pd.read_csv(folder / METRICS_FILE, dtype={"role": str})
    # Runs of earlier versions lack the newer columns.
    table = table.reindex(columns=METRIC_COLUMNS)
    member, _, seed = folder.name.rpartition("seed")
    label = ", ".join([f"seed {seed}", *filter(None, [member.rstrip("_")])])
    if table.role.isna().all():
        return {label: table}
    return {f"{label}, agent {role}": rows for role, rows in table.groupby("role")}


def learning_curve(tables: Tables, title: str, path: Path) -> None:
    """Plot population medians and re-evaluations over simulator steps.

    Parameters
    ----------
    tables
        `metrics.csv` of each policy, by label.
    title
        Title of the figure.
    path
        File to write; its suffix determines the format.
    """
    from matplotlib import pyplot as plt

    with mpl.rc_context(_PAPER_SETTINGS):
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        for number, (label, table) in enumerate(tables.items()):
            color = f"C{number}"
            axes.plot(
                table.timesteps,
                table.pop_median,
                color=color,
                alpha=0.5,
                linewidth=1,
                label=f"{label}: population median",
            )
            evaluated = table.dropna(subset=["re_eval_mean"])
            axes.errorbar(
                evaluated.timesteps,
                evaluated.re_eval_mean,
                yerr=evaluated.re_eval_stdev,
                color=color,
                marker="o",
                markersize=4,
                capsize=2,
                label=f"{label}: re-evaluation (± 1 stdev)",
            )
        axes.set_xlabel("simulator steps")
        axes.set_ylabel("return")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=120, metadata=metadata)
        plt.close(figure)


def groups_of(tables: Tables) -> dict[str, list[pd.DataFrame]]:
    """Group runs by their role, or as "all seeds" if there are no roles."""
    groups: dict[str, list[pd.DataFrame]] = {}
    for label, table in tables.items():
        role = label.partition(", ")[2]
        groups.setdefault(role or "all seeds", []).append(table)
    return groups


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
    tables: Tables, episodes: int, published: float | None
) -> dict[str, str]:
    """Return the charts of an experiment's page as SVG elements, keyed by title.

    Parameters
    ----------
    tables
        `metrics.csv` of each policy, by label.
    episodes
        Episodes per re-evaluation.
    published
        Published score for comparison; None if there is none.
    """
    groups = groups_of(tables)

    def draw_returns(column: str, unit: float, name: str) -> Callable[[Axes], None]:
        def draw(axes: Axes) -> None:
            for color, (label, runs) in zip(COLORS, groups.items(), strict=False):
                _draw_runs(axes, runs, column, unit, episodes, color, label)
            if published is not None:
                axes.axhline(published, color=_INK, lw=1, ls="--", label="published")
            if len(groups) > 1 or published is not None:
                axes.legend(fontsize="small")
            axes.set_xlabel(name)
            axes.set_ylabel("return of the center")

        return draw

    def drawn(draw: Callable[[Axes, Tables], None]) -> str:
        return svg(lambda axes: draw(axes, tables))

    return {
        "Return over simulator steps": svg(draw_returns("timesteps", 1.0, "steps")),
        "Return over wall time": svg(draw_returns("elapsed", 60.0, "minutes")),
        "Population": drawn(_draw_population),
        "Search distribution": drawn(_draw_stdev),
        "Throughput": drawn(_draw_throughput),
    }


def _draw_runs(
    axes: Axes,
    runs: Sequence[pd.DataFrame],
    column: str,
    unit: float,
    episodes: int,
    color: str,
    label: str,
) -> None:
    """Draw the mean re-evaluation of several runs with its interval, and each run."""
    table = over_seeds(runs, column, episodes)
    x = table.x / unit
    axes.plot(x, table["mean"], color=color, marker="o", ms=3, label=label)
    axes.fill_between(x, table.low, table.high, color=color, alpha=0.2, linewidth=0)
    for run in runs if len(runs) > 1 else []:
        evaluated = run.dropna(subset=["re_eval_mean"])
        axes.plot(
            evaluated[column] / unit,
            evaluated.re_eval_mean,
            color=color,
            lw=0.6,
            alpha=0.6,
        )


def _draw_population(axes: Axes, tables: Tables) -> None:
    """Draw the fitness of the population over generations."""
    for color, (label, table) in zip(COLORS, tables.items(), strict=False):
        generation = table.generation
        axes.fill_between(
            generation, table.pop_min, table.pop_max, color=color, alpha=0.1, lw=0
        )
        axes.fill_between(
            generation, table.pop_q25, table.pop_q75, color=color, alpha=0.3, lw=0
        )
        axes.plot(generation, table.pop_median, color=color, lw=1, label=label)
    _finish(axes, tables, "fitness (median, quartiles, range)")
    # Cut off outliers: a few solutions can be much worse than all others.
    rows = pd.concat(list(tables.values()))
    low = rows.pop_q25.min() - 2 * (rows.pop_q75.max() - rows.pop_q25.min())
    if np.isfinite(low):
        axes.set_ylim(bottom=max(low, rows.pop_min.min()))


def _draw_stdev(axes: Axes, tables: Tables) -> None:
    """Draw the standard deviations of the search distribution over generations."""
    for color, (label, table) in zip(COLORS, tables.items(), strict=False):
        axes.fill_between(
            table.generation,
            table.stdev_min,
            table.stdev_max,
            color=color,
            alpha=0.2,
            lw=0,
        )
        axes.plot(table.generation, table.stdev_mean, color=color, label=label)
    _finish(axes, tables, "stdev (mean, range)")


def _draw_throughput(axes: Axes, tables: Tables) -> None:
    """Draw simulator steps per second over generations."""
    for color, (label, table) in zip(COLORS, tables.items(), strict=False):
        axes.plot(table.generation, table.steps_per_second, color=color, label=label)
    _finish(axes, tables, "simulator steps/s")
    axes.set_ylim(bottom=0)


def _finish(axes: Axes, tables: Tables, name: str) -> None:
    axes.set_xlabel("generation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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
        axes.imshow(values, cmap="cividis", aspect="auto")
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
                    color="white" if values[row, column] <= middle else "black",
                )
        names = [str(policy).rpartition("/")[2] for policy in means.index]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)

    return draw


def write_svg(element: str, path: Path) -> None:
    """Write a chart returned by `svg` to a separate file, black on white."""
    opening = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink='
    opening += '"http://www.w3.org/1999/xlink" style="background: white" '
    opening += 'font-family="DejaVu Sans, sans-serif" color="black" '
    write_text(path, element.replace("<svg ", opening, 1))
