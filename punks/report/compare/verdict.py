"""Which column is recommended, and how sure that is: paired over the rows, worded as measured."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from punks.report.compare.grid import Grid
from punks.report.compare.scores import MEASURES, SCORED, Score, mean_scores, shown

SURE = 0.05  # the chance that luck alone explains a difference, under which it is one
EXACT = 14  # pairs up to which every sign is tried
DRAWS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A column against the recommended one: mean of the paired differences in points, and the chance of luck, 0-1."""

    column: int
    pairs: int
    difference: float
    luck: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """`column` is the recommended one; None where nothing can be. `reasons` are sentences."""

    column: int | None
    means: list[dict[str, float | None]]
    comparisons: list[Comparison]
    reasons: list[str]


def judge(grid: Grid, scores: Sequence[Sequence[Score | None]], ratings: Mapping[str, float] | None = None) -> Verdict:
    """Compares columns of scores (None: not painted). `ratings` are the owner's, by column title.

    The column without LoRA is measured, and never recommended.
    """
    means = [mean_scores([one for one in column if one]) for column in scores]
    points = [-1.0 if (value := one["points"]) is None else value for one in means]
    able = [at for at, column in enumerate(grid.columns) if not column.base and points[at] >= 0]
    if not able:
        return Verdict(column=None, means=means, comparisons=[], reasons=["Nothing is painted yet."])
    best = max(able, key=lambda at: points[at])
    comparisons = [compare(at, scores[at], scores[best]) for at in able if at != best]
    return Verdict(
        column=best,
        means=means,
        comparisons=comparisons,
        reasons=_reasons(grid, means, best, comparisons, ratings or {}),
    )


def compare(column: int, one: Sequence[Score | None], best: Sequence[Score | None]) -> Comparison:
    """The paired difference best - one, and how often signs drawn at random make one as large (Fisher, 1935)."""
    gaps = np.array([b.points - a.points for a, b in zip(one, best, strict=True) if a and b])
    return Comparison(
        column=column, pairs=len(gaps), difference=float(gaps.mean()) if len(gaps) else 0.0, luck=_luck(gaps)
    )


def _luck(gaps: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    if not len(gaps) or not gaps.any():
        return 1.0
    if len(gaps) <= EXACT:
        signs = np.array(list(itertools.product((-1, 1), repeat=len(gaps))))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), (DRAWS, len(gaps)))
    return float((np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9).mean())


def _reasons(
    grid: Grid,
    means: Sequence[Mapping[str, float | None]],
    best: int,
    comparisons: Sequence[Comparison],
    ratings: Mapping[str, float],
) -> list[str]:
    title = grid.columns[best].title
    count = len(grid.rows)
    points = means[best]["points"] or 0.0
    if not comparisons:
        return [f"{title}: {points:.3f} points of 1; there is nothing to compare it with."]
    said = [
        f"Recommended: {title}, {points:.3f} points of 1, the most of {len(comparisons) + 1} columns, {count} rows."
    ]
    leads = [
        f"{one.title} {shown(one, means[best][one.name])}"
        for one in SCORED
        if (own := means[best][one.name]) is not None
        and all(_not_worse(one.better, own, means[other.column][one.name]) for other in comparisons)
        and any(own != means[other.column][one.name] for other in comparisons)
    ]
    if leads:
        said.append(f"It leads, alone or with others, in {', '.join(leads)}.")
    noise = [one for one in comparisons if one.luck >= SURE]
    for one in sorted(comparisons, key=lambda each: -(means[each.column]["points"] or 0)):
        verdict = "a difference" if one.luck < SURE else "within noise"
        other = means[one.column]["points"] or 0.0
        said.append(
            f"{grid.columns[one.column].title}: {other:.3f}, {one.difference:.3f} less in {one.pairs} pairs; "
            f"luck alone does that with chance {one.luck:.2g}: {verdict}."
        )
    if noise:
        names = ", ".join(grid.columns[one.column].title for one in noise)
        said.append(f"These pictures do not tell {title} from {names}; more rows can (--rows seed=..., more prompts).")
    if ratings:
        rated = sorted(ratings.items(), key=lambda pair: -pair[1])
        said.append(
            "Ratings by eye, which count for nothing here: " + ", ".join(f"{k} {v:.1f}" for k, v in rated) + "."
        )
    return said


def _not_worse(better: int, own: float, other: float | None) -> bool:
    return other is None or better * own >= better * other


def table(grid: Grid, verdict: Verdict, ratings: Mapping[str, float] | None = None) -> list[list[str]]:
    """The scorecard as rows of text, titles first; the recommended column is marked."""
    rated = ratings or {}
    head = ["", *(one.title for one in MEASURES), "points", *(["by eye"] if rated else [])]
    rows = [head]
    for at, (column, means) in enumerate(zip(grid.columns, verdict.means, strict=True)):
        points = means["points"]
        rows.append(
            [
                ("> " if at == verdict.column else "  ") + column.title,
                *(shown(one, means[one.name]) for one in MEASURES),
                "-" if points is None or math.isnan(points) else f"{points:.3f}",
                *([f"{rated[column.title]:.1f}" if column.title in rated else "-"] if rated else []),
            ]
        )
    return rows
