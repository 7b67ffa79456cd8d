"""A folder of compared pictures: scored, judged and shown, from what its manifest says."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from punks.batch.folder import json_of
from punks.batch.manifest import NAME as MANIFEST
from punks.batch.manifest import Entry, entries
from punks.errors import BatchError
from punks.files.png import write_png
from punks.finish import Finish
from punks.recipe import Recipe
from punks.report.compare.grid import Grid
from punks.report.compare.plot import plot
from punks.report.compare.ratings import NAME as RATINGS
from punks.report.compare.ratings import Ratings, read_ratings
from punks.report.compare.scores import Score, score
from punks.report.compare.verdict import Verdict, judge, table
from punks.report.document import document
from punks.report.sheet import contact_sheet, read_pixels
from punks.request import recorded
from punks.snap.art import Bytes

SIDE = 120  # px of a picture on the contact sheet


@dataclass(frozen=True, kw_only=True)
class Result:
    """Columns of the manifest's entries, their cells and scores (None: not painted), and the verdict."""

    grid: Grid
    entries: list[list[Entry | None]]
    scores: list[list[Score | None]]
    verdict: Verdict
    ratings: Ratings

    @property
    def rated(self) -> dict[str, float]:
        """Ratings by eye, by column title."""
        return _rated(self.grid, self.entries, self.ratings)

    def table(self) -> list[list[str]]:
        """The scorecard as text."""
        return table(self.grid, self.verdict, self.rated)


def result(folder: Path, grid: Grid) -> Result:
    """Reads and scores what is painted of the grid. Raises BatchError, ImageError."""
    done = {entry["name"]: entry for entry in entries(folder) if entry["status"] == "done"}
    found: list[list[Entry | None]] = []
    for jobs in grid.cells:
        column = [done.get(job.name) for job in jobs]
        same = [entry and _request(entry) == (job.recipe, job.finish) for entry, job in zip(column, jobs, strict=True)]
        found.append([entry if alike else None for entry, alike in zip(column, same, strict=True)])
    cells = [[_cells(folder, entry) if entry else None for entry in column] for column in found]
    scores = [[_score(grid, found, cells, at, row) for row in range(len(grid.rows))] for at in range(len(found))]
    ratings = read_ratings(folder / RATINGS)
    verdict = judge(grid, scores, _rated(grid, found, ratings))
    return Result(grid=grid, entries=found, scores=scores, verdict=verdict, ratings=ratings)


def require_own(folder: Path, grid: Grid) -> None:
    """Raises BatchError where pictures lie in the folder that the grid has not: they would be replaced or left over."""
    if not (folder / MANIFEST).exists():
        return
    own = {job.recipe for job in grid.jobs()}
    if any(entry["status"] == "done" and _request(entry)[0] not in own for entry in entries(folder)):
        raise BatchError(f"{folder}: it holds pictures that are not part of this comparison; use another folder")


def _request(entry: Entry) -> tuple[Recipe, Finish]:
    recipe, finish = recorded(entry["recipe"])
    return recipe.replace(restoration="learned"), finish


def show(folder: Path, found: Result, title: str) -> list[Path]:
    """Writes scores.json, sheet.png, index.html, and plot.png if matplotlib is here. -> what was written.

    Raises BatchError where the disk refuses.
    """
    page = folder / "index.html"
    written = [folder / "scores.json", folder / "sheet.png", folder / "plot.png", page]
    try:
        written[0].write_text(json.dumps(scores_of(found), indent=2, ensure_ascii=False) + "\n", "utf-8")
        write_png(_sheet(folder, found, title), written[1])
        plotted = plot(written[2], found.grid, found.scores, found.verdict)
        if not plotted:
            written.pop(2).unlink(missing_ok=True)
        facts = page_data(found, title, plotted=plotted)
        page.write_text(document("compare/static", ("main.js",), title, facts), "utf-8")
    except OSError as error:
        raise BatchError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return written


def scores_of(found: Result) -> dict[str, Any]:
    """All that was measured, for programs."""
    best = found.verdict.column
    return {
        "axis": found.grid.axis,
        "recommended": None if best is None else found.grid.columns[best].title,
        "reasons": found.verdict.reasons,
        "comparisons": [
            {**asdict(one), "column": found.grid.columns[one.column].title} for one in found.verdict.comparisons
        ],
        "ratings": found.rated,
        "columns": [
            {
                "title": column.title,
                **means,
                "pictures": [
                    {"name": entry["name"], "points": one.points, **one.measures, "read": one.read, "asked": one.asked}
                    for entry, one in zip(found.entries[at], found.scores[at], strict=True)
                    if entry and one
                ],
            }
            for at, (column, means) in enumerate(zip(found.grid.columns, found.verdict.means, strict=True))
        ],
    }


def page_data(found: Result, title: str, *, plotted: bool) -> dict[str, Any]:
    """What the page shows."""
    recipes = json.dumps([[json_of(job) for job in column] for column in found.grid.cells])
    return {
        "title": title,
        "id": hashlib.sha256(recipes.encode()).hexdigest()[:16],
        "columns": [{"title": column.title, "base": column.base} for column in found.grid.columns],
        "best": found.verdict.column,
        "rows": [row.title for row in found.grid.rows],
        "table": table(found.grid, found.verdict),
        "reasons": found.verdict.reasons,
        "plotted": plotted,
        "ratings": {"pictures": dict(found.ratings.pictures), "columns": dict(found.ratings.columns)},
        "pictures": [
            [_picture(entry, one) for entry, one in zip(column, scores, strict=True)]
            for column, scores in zip(found.entries, found.scores, strict=True)
        ],
    }


def _picture(entry: Entry | None, one: Score | None) -> dict[str, Any] | None:
    if entry is None or one is None:
        return None
    facts = [
        [name, one.read[name] or "none", one.asked[name]]
        for name in ("background", "eyes", "hair")
        if one.asked[name] is not None
    ]
    wrong = {name for name in ("background", "eyes", "hair") if one.measures[name] == 0}
    return {
        "pixels": entry["files"]["pixels"],
        "painting": entry["files"].get("painting"),
        "cells": entry["cells"],
        "seed": entry["recipe"]["seed"],
        "points": round(one.points, 3),
        "facts": [[*fact, fact[0] not in wrong] for fact in facts],
        "strays": one.measures["strays"],
    }


def _rated(grid: Grid, found: list[list[Entry | None]], ratings: Ratings) -> dict[str, float]:
    cells = [[entry["cells"] if entry else None for entry in column] for column in found]
    return ratings.of_columns([column.title for column in grid.columns], cells)


def _cells(folder: Path, entry: Entry) -> Bytes:
    return np.asarray(read_pixels(folder / entry["files"]["pixels"]))


def _score(
    grid: Grid, found: list[list[Entry | None]], cells: list[list[Bytes | None]], at: int, row: int
) -> Score | None:
    entry, own = found[at][row], cells[at][row]
    if entry is None or own is None:
        return None
    beside = [
        other
        for place in (at - 1, at + 1)
        if 0 <= place < len(cells) and not grid.columns[place].base and (other := cells[place][row]) is not None
    ]
    return score(own, entry["confidence"], entry["prompt"], [] if grid.columns[at].base else beside)


def _sheet(folder: Path, found: Result, title: str) -> Any:
    grid = found.grid
    pictures = [
        [read_pixels(folder / entry["files"]["pixels"]) if (entry := column[row]) else None for column in found.entries]
        for row in range(len(grid.rows))
    ]
    return contact_sheet(
        pictures, [row.title for row in grid.rows], [column.title for column in grid.columns], title=title, side=SIDE
    )
