"""What the embedded model can do: prompts obeyed, flat cells, soft base, variety. Prints one table.

`python -m bench.demo` paints through the product's own path; `--prompts 8 --variety 0` is a quick look. Held-out
prompts come from a seed of the portrait generator that training never used.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks import Pipeline, Punk, Recipe
from punks.request import divide
from punks.snap.art import edges
from punks.snap.color import ciede2000, lab
from training.captions import FILLERS, prompt
from training.dataset import draw_all
from training.portraits import GRID, Traits, sample
from training.reading import PARTS, Reading, asked, pattern_gap, read, shows_pattern
from training.settings import FULL
from training.traits import PATTERNS

HELD_OUT = 9000
ONE_PROMPT = "lady, red curly hair, green eyes, medium skin, teal background"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--patterns", type=int, default=32, help="prompts of each pattern")
    parser.add_argument("--soft", type=int, default=64, help="pictures without the LoRA")
    parser.add_argument("--long", type=int, default=32, help="prompts of more than 75 tokens")
    parser.add_argument("--variety", type=int, default=256, help="seeds of one prompt")
    parser.add_argument("--samples", type=int, default=1000, help="pictures compared with the training portraits")
    parser.add_argument("--epochs", type=int, nargs="*", default=[1, 4, 7, 10])
    parser.add_argument("--epoch-prompts", type=int, default=32)
    parser.add_argument("--fast", action="store_true", help="with the acceleration LoRA: the prompts and variety alone")
    parser.add_argument("--sheet", type=Path, help="write the first 64 paintings here")
    args = parser.parse_args()
    quick = {"fast": "on"} if args.fast else {}
    if args.fast:
        args.soft = args.long = args.samples = args.epoch_prompts = 0
    pipeline, traits = Pipeline(), held_out(max(args.prompts, args.soft, args.long, args.epoch_prompts))

    obeyed = [(one, seed) for seed in range(args.seeds) for one in traits[: args.prompts]]
    if obeyed:
        start = time.perf_counter()
        punks = paint(pipeline, [recipe(prompt(one), seed, **quick) for one, seed in obeyed])
        row("seconds a picture", f"{(time.perf_counter() - start) / len(punks):.2f}", "<= 6")
        report_obedience([one for one, _ in obeyed], punks)
        report_flatness("scale 1", punks)
        report_colors(punks)
        if args.sheet:
            write_sheet(args.sheet, [one.painting.image for one in punks[:64]])
    for pattern in PATTERNS[1:] if args.patterns else ():
        wanted = patterned(pattern, args.patterns)
        report_pattern(pattern, wanted, paint(pipeline, [recipe(prompt(one), 0, **quick) for one in wanted]))
    for scale in (0.0, 0.5) if args.soft else ():
        base = paint(pipeline, [recipe(prompt(one), 0, lora_scale=scale) for one in traits[: args.soft]])
        report_flatness(f"scale {scale:g}", base)
        report_background(f"scale {scale:g}", traits, base)
    for epoch in args.epochs if args.epoch_prompts else ():
        punks = paint(pipeline, [recipe(prompt(one), 0, epoch=epoch) for one in traits[: args.epoch_prompts]])
        right = [
            flag for one, punk in zip(traits, punks, strict=False) for flag in flags(read(punk.art.cells, one), one)
        ]
        row(f"epoch {epoch}: traits right", percent(right), "rising")
    if args.long:
        report_long(pipeline, traits[: args.long])
    if args.variety:
        punks = paint(pipeline, [recipe(ONE_PROMPT, seed, **quick) for seed in range(args.variety)])
        row(
            f"different pictures of {args.variety} seeds",
            str(len({one.art.cells.tobytes() for one in punks})),
            ">= 200 of 256",
        )
        report_variety(punks)
    if args.samples:
        others = [(prompt(one), 2000 + i) for i, one in enumerate(held_out(args.samples))]
        punks = paint(pipeline, [recipe(*one) for one in others])
        different = distances(np.stack([one.art.cells for one in punks]))
        row(f"training portraits among {args.samples}", str(int((different == 0).sum())), "0")
        row("cells unlike the nearest one's", f"at least {different.min()} of {GRID * GRID}", "")


def distances(cells: NDArray[np.uint8], nearest: int = 16, levels: int = 24) -> NDArray[np.int64]:
    """In how many cells each picture (N, 24, 24, 3) differs visibly from the training portrait most like it."""
    known = np.stack([one.cells for one in draw_all(FULL)])
    features = known.reshape(len(known), -1).astype(np.float32)
    norms = (features**2).sum(1)
    found: list[int] = []
    for one in cells:
        gaps = norms - 2 * features @ one.reshape(-1).astype(np.float32)
        like = known[np.argpartition(gaps, nearest)[:nearest]].astype(np.int16)
        found.append(int((np.abs(like - one).max(-1) > levels).sum((1, 2)).min()))
    return np.array(found)


def held_out(count: int) -> list[Traits]:
    """Traits that training never drew."""
    return [sample(np.random.default_rng([HELD_OUT, i])) for i in range(count)]


def patterned(pattern: str, count: int) -> list[Traits]:
    """The first held-out traits that have such a background."""
    drawn = (sample(np.random.default_rng([HELD_OUT, i])) for i in itertools.count())
    return list(itertools.islice((one for one in drawn if one.pattern == pattern), count))


def recipe(text: str, seed: int, **fields: float | str) -> Recipe:
    """The demo's recipe with default settings."""
    return divide({"prompt": text, "variant": "demo", "seed": seed, **fields})[0]


def paint(pipeline: Pipeline, recipes: Sequence[Recipe]) -> list[Punk]:
    """All recipes through the product's path."""
    return [painting.finish() for painting in pipeline.paint(recipes)]


def report_obedience(traits: Sequence[Traits], punks: Sequence[Punk]) -> None:
    """The table of what was asked and what is seen."""
    found = [read(punk.art.cells, one) for one, punk in zip(traits, punks, strict=True)]
    gaps = [one.background for one in found if one.background is not None]
    row("background within dE 15", percent([gap <= 15 for gap in gaps]), ">= 98%")
    row("background, mean dE", f"{np.mean(gaps):.1f}", "")
    row("skin", percent([one.skin for one in found]), ">= 97%")
    row("eyes", percent([one.eyes for one in found if one.eyes is not None]), ">= 95%")
    row("hair colour", percent([one.hair for one in found if one.hair is not None]), ">= 93%")
    for part in PARTS:
        pairs = [(one.parts[part], asked(who, part)) for one, who in zip(found, traits, strict=True)]
        row(f"{part} when asked", percent([seen for seen, wanted in pairs if wanted]), ">= 90%")
        row(f"no {part} when not", percent([not seen for seen, wanted in pairs if not wanted]), ">= 90%")
    row("lips", percent([one.lips for one in found if one.lips is not None]), ">= 95%")
    for smile, name in ((True, "slight smile"), (False, "neutral expression")):
        row(
            name,
            percent([one.smile == smile for one, who in zip(found, traits, strict=True) if who.smile == smile]),
            "",
        )
    row("traits right", percent([flag for one, who in zip(found, traits, strict=True) for flag in flags(one, who)]), "")


def report_pattern(pattern: str, traits: Sequence[Traits], punks: Sequence[Punk]) -> None:
    """Whether a pattern is recognised, and whether its colors are those asked for."""
    pairs = [(punk.art.cells, one) for punk, one in zip(punks, traits, strict=True)]
    row(pattern, percent([shows_pattern(*pair) for pair in pairs]), ">= 90%")
    row(f"{pattern}: every color within dE 15", percent([pattern_gap(*pair) <= 15 for pair in pairs]), "")


def report_colors(punks: Sequence[Punk]) -> None:
    """How many colors the restored pictures have."""
    counts = [len(np.unique(punk.art.cells.reshape(-1, 3), axis=0)) for punk in punks]
    row("colors, median (p10, p90)", "{1:.0f} ({0:.0f}, {2:.0f})".format(*np.percentile(counts, (10, 50, 90))), "")


def report_variety(punks: Sequence[Punk]) -> None:
    """Cells that differ visibly, CIEDE2000 over 5, between seeds of one prompt."""
    shades = lab(np.stack([punk.art.cells for punk in punks]))
    apart = [float((ciede2000(one, shades[:place]) > 5).mean()) for place, one in enumerate(shades) if place]
    row("cells apart between seeds", f"{100 * np.mean(apart):.1f}%", "")


def flags(found: Reading, traits: Traits) -> list[bool]:
    """Every trait that can be judged, right or wrong."""
    judged = [found.skin, *(flag for flag in (found.eyes, found.hair) if flag is not None)]
    judged += [] if found.background is None else [found.background <= 15]
    return judged + [found.parts[part] == asked(traits, part) for part in PARTS]


def report_flatness(name: str, punks: Sequence[Punk]) -> None:
    """How flat the cells are, and whether the snapper sees a grid."""
    row(
        f"{name}: std inside cells",
        f"{np.median([spread(one.painting.image) for one in punks]):.2f}",
        "<= 1.5 at scale 1",
    )
    row(f"{name}: a grid is seen", percent([one.art.has_grid for one in punks]), "<= 10% at scale 0")
    row(f"{name}: grid confidence", f"{np.median([one.art.confidence for one in punks]):.2f}", "high at scale 1")


def report_background(name: str, traits: Sequence[Traits], punks: Sequence[Punk]) -> None:
    """The background alone: other known cells hold for pictures on the grid only."""
    gaps = [read(punk.art.cells, one).background for one, punk in zip(traits, punks, strict=False)]
    row(f"{name}: background within dE 15", percent([gap <= 15 for gap in gaps if gap is not None]), "obeyed")


def report_long(pipeline: Pipeline, traits: Sequence[Traits]) -> None:
    """The background's color, named last after more than 75 tokens."""
    solid = [one for one in traits if one.pattern == "solid"]
    texts: list[str] = []
    for one in solid:
        tags = prompt(one).split(", ")
        last = next(tag for tag in tags if tag.endswith(" background"))
        texts.append(", ".join([*(tag for tag in tags if tag != last), *FILLERS[:9], last]))
    report_background("long prompt", solid, paint(pipeline, [recipe(text, 0) for text in texts]))


def spread(painting: Image.Image) -> float:
    """Mean standard deviation of the levels in the middle 13x13 pixels of each cell."""
    pixels = np.asarray(painting.convert("RGB"), np.float32)
    borders = edges(len(pixels), GRID)
    middle = ((borders[:-1] + borders[1:]) // 2)[:, None] + np.arange(-6, 7)
    core = pixels[middle[:, None, :, None], middle[None, :, None, :]]
    return float(core.reshape(GRID, GRID, -1, 3).std(2).mean())


def percent(results: Sequence[bool]) -> str:
    """`97.5% of 40`."""
    return f"{100 * np.mean(results):.1f}% of {len(results)}" if results else "none to judge"


def row(name: str, value: str, bar: str) -> None:
    """One line of the table, at once."""
    print(f"{name:<34} {value:>16}   {bar}", flush=True)


def write_sheet(path: Path, paintings: Sequence[Image.Image], side: int = 120) -> None:
    """The paintings in their order, unselected, eight a row."""
    sheet = Image.new("RGB", (8 * side, -(-len(paintings) // 8) * side))
    for place, painting in zip(itertools.product(range(len(paintings) // 8 + 1), range(8)), paintings, strict=False):
        sheet.paste(painting.resize((side, side), Image.Resampling.LANCZOS), (place[1] * side, place[0] * side))
    sheet.quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
