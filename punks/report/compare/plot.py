"""Each score over the columns, as one PNG. matplotlib is an extra of its own: `pip install "punks[compare]"`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks.report.compare.grid import Grid
from punks.report.compare.scores import MEASURES, Score
from punks.report.compare.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

INK, QUIET, LINE, MARK = "#17161a", "#66646e", "#e3e1db", "#3a4fe0"
PANELS = 3  # a row


def plot(path: Path, grid: Grid, scores: "Sequence[Sequence[Score | None]]", verdict: Verdict) -> bool:
    """Writes small charts, one a measure and one of the points: the mean of each column, its pictures as dots.

    False if matplotlib is not here.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    panels: list[tuple[str, Any, bool]] = [("points", None, False)]
    panels += [(one.title, one, one.show(1) == "100%") for one in MEASURES]
    down = -(-len(panels) // PANELS)
    figure = Figure(figsize=(10.5, 2.6 * down), layout="constrained", facecolor="white")
    titles = [column.title.removeprefix(f"{grid.axis.replace('_', ' ')} ") for column in grid.columns]
    for place, (title, measure, percent) in enumerate(panels):
        axes: Any = figure.add_subplot(down, PANELS, place + 1)
        means = [one[measure.name if measure else "points"] for one in verdict.means]
        for at, column in enumerate(scores):
            values = [one.measures[measure.name] if measure else one.points for one in column if one]
            dots = [(value * 100 if percent else value) for value in values if value is not None]
            if not percent:
                axes.plot([at] * len(dots), dots, "o", color=QUIET, alpha=0.25, markersize=3, markeredgewidth=0)
        known = [(at, value * 100 if percent else value) for at, value in enumerate(means) if value is not None]
        line = [pair for pair in known if not grid.columns[pair[0]].base]
        axes.plot(*zip(*line, strict=True), "-o", color=INK, linewidth=1.6, markersize=4) if line else None
        for at, value in known:
            if grid.columns[at].base:
                axes.plot([at], [value], "o", color=QUIET, markersize=4)
            if at == verdict.column:
                axes.plot([at], [value], "o", color=MARK, markersize=8)
        _dress(axes, title, titles, percent=percent)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(path, metadata={"Software": None})
    return True


def _dress(axes: Any, title: str, titles: list[str], *, percent: bool) -> None:
    axes.set_title(title + (" (%)" if percent else ""), loc="left", fontsize=10, color=INK)
    axes.set_xticks(range(len(titles)), titles, fontsize=8, color=QUIET)
    axes.set_xlim(-0.4, len(titles) - 0.6)
    if percent:
        axes.set_ylim(-4, 104)
    axes.tick_params(axis="y", labelsize=8, labelcolor=QUIET, length=0)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
