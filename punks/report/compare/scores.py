"""What is measured of each picture and each column. Every measure is read from the finished cells."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from punks.report.compare.asked import asked, background_obeyed
from punks.snap.art import Bytes
from punks.snap.color import ciede2000, lab
from punks.snap.portrait import Reading, read

MANY = 43  # colors: the 90th percentile of the 203 hand-made portraits that the LoRA was trained on
SEEN = 6.0  # CIEDE2000 between two cells, from which on they are seen to differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One column of the scorecard. `better`: 1 more is better, -1 less is, 0 neither: shown, but not scored."""

    name: str
    title: str
    about: str
    better: int
    show: Callable[[float], str]
    points: Callable[[float], float] = lambda value: value


def _percent(value: float) -> str:
    return f"{100 * value:.0f}%"


MEASURES = (
    Measure(name="confidence", title="grid", about="confidence of the grid, 0-1", better=1, show="{:.2f}".format),
    Measure(name="solid", title="solid", about="background of one color, where asked for", better=1, show=_percent),
    Measure(name="background", title="background", about="background of the color asked for", better=1, show=_percent),
    Measure(name="eyes", title="eyes", about="both eyes found, of the color asked for", better=1, show=_percent),
    Measure(name="hair", title="hair", about="hair found, of the color asked for", better=1, show=_percent),
    Measure(
        name="strays",
        title="strays",
        about="single cells unlike all around them",
        better=-1,
        show="{:.1f}".format,
        points=lambda value: 1 / (1 + value / 4),
    ),
    Measure(
        name="colors",
        title="colors",
        about=f"colors of the 24x24; nine of ten hand-made portraits have at most {MANY}",
        better=-1,
        show="{:.0f}".format,
        points=lambda value: min(1.0, MANY / value),
    ),
    Measure(
        name="change",
        title="change",
        about="cells seen to differ from the same picture in the columns beside",
        better=0,
        show=_percent,
    ),
)
SCORED = tuple(measure for measure in MEASURES if measure.better)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One picture: its measures (None: nothing to judge), what was read and what was asked, points 0-1 over SCORED."""

    measures: Mapping[str, float | None]
    read: Mapping[str, str | None]
    asked: Mapping[str, str | None]
    points: float


def score(cells: Bytes, confidence: float, prompt: str, beside: Sequence[Bytes] = ()) -> Score:
    """Scores a picture, uint8 (24, 24, 3 or 4). `beside` are the same one in the neighbouring columns."""
    reading, wanted = read(cells), asked(prompt)
    eyes, hair = (part.name if part else None for part in (reading.eyes, reading.hair))
    measures: dict[str, float | None] = {
        "confidence": confidence,
        "solid": float(reading.background.solid) if wanted.solid else None,
        "background": _number(background_obeyed(wanted, reading)),
        "eyes": _number(None if wanted.eyes is None else eyes == wanted.eyes),
        "hair": _number(None if wanted.hair is None else hair == wanted.hair),
        "strays": float(reading.strays.sum()),
        "colors": float(reading.colors),
        "change": float(np.mean([difference(cells, other) for other in beside])) if beside else None,
    }
    judged = [one.points(value) for one in SCORED if (value := measures[one.name]) is not None]
    code = wanted.code and "#{:02x}{:02x}{:02x}".format(*wanted.code)
    return Score(
        measures=measures,
        read={"background": _behind(reading), "eyes": eyes, "hair": hair},
        asked={"background": code or wanted.background, "eyes": wanted.eyes, "hair": wanted.hair},
        points=math.fsum(judged) / len(judged),
    )


def difference(one: Bytes, two: Bytes) -> float:
    """The share of cells that are seen to differ between two pictures (24, 24, 3 or 4)."""
    gaps = ciede2000(lab(one[..., :3]), lab(two[..., :3]))
    return float((gaps > SEEN).mean())


def mean_scores(scores: Sequence[Score]) -> dict[str, float | None]:
    """The mean of each measure over a column, of those that can be judged, and `points`."""
    means: dict[str, float | None] = {}
    for measure in MEASURES:
        values = [value for one in scores if (value := one.measures[measure.name]) is not None]
        means[measure.name] = math.fsum(values) / len(values) if values else None
    means["points"] = math.fsum(one.points for one in scores) / len(scores) if scores else None
    return means


def _behind(reading: Reading) -> str:
    return reading.background.name + ("" if reading.background.solid else ", not solid")


def _number(flag: bool | None) -> float | None:
    return None if flag is None else float(flag)


def shown(measure: Measure, value: Any) -> str:
    """A value as people read it."""
    return "-" if value is None else measure.show(value)
