"""How well a picture obeys: backgrounds given, steering, captions from traits, long captions. Prints one table.

    python -m bench.asked                                   # all of it, 200 held-out prompts x 2 seeds; for a GPU
    python -m bench.asked --prompts 4 --seeds 1             # a quick look
    python -m bench.asked --prompts 0 --image-dir DIR       # no painting: drawn portraits, and real paintings

Drawn portraits have known cells; for paintings those count that the generator gives to the background, or to the
figure, in every portrait of the same traits.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.demo import flags, held_out, paint, percent, recipe, row
from bench.pixels_damage import damage
from punks import Finish, Pipeline, Punk, Recipe, finish, snap, variants
from punks.painter.encoder import count_tokens
from punks.snap.color import ciede2000, lab
from punks.traits import Traits
from training.captions import FILLERS, fields, prompt
from training.portraits import Traits as Drawn
from training.portraits import draw
from training.reading import DRAWS, PARTS, asked, ground, read
from training.traits import BACKGROUNDS

Cells = NDArray[np.uint8]
Mask = NDArray[np.bool_]
TOKENS = 140
DAMAGES = ("clean", "real", "mild", "strong")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--drawn", type=int, default=300, help="portraits with known cells, for each damage")
    parser.add_argument("--steer", type=float, nargs="*", default=[0.0, 0.5, 1.0])
    parser.add_argument("--parts", nargs="*", default=["given", "steered", "traits", "long"], help="what is painted")
    parser.add_argument("--image-dir", type=Path, help="real paintings, repainted side by side")
    parser.add_argument("--sheet", type=Path, help="write those here")
    args = parser.parse_args()
    if args.drawn:
        for name in DAMAGES:
            report_drawn(name, args.drawn)
    if args.image_dir:
        report_paintings(sorted(args.image_dir.glob("*.png")), args.sheet)
    if args.prompts:
        pipeline = Pipeline()
        jobs = [(one, seed) for seed in range(args.seeds) for one in held_out(args.prompts)]
        reports = {"given": report_given, "traits": report_traits, "long": report_long}
        for part in args.parts:
            if part == "steered":
                report_steered(pipeline, jobs, args.steer)
            else:
                reports[part](pipeline, jobs)


def other(one: Drawn, number: int) -> str:
    """A background's name that the traits do not have."""
    names = [name for name in BACKGROUNDS if name != one.background]
    return names[(7 * number + 3) % len(names)]


def code(name: str) -> str:
    """`#rrggbb` of a background's name."""
    return "#{:02x}{:02x}{:02x}".format(*BACKGROUNDS[name])


def near(cells: Cells, color: str) -> Mask:
    """The cells within CIEDE2000 3 of a color."""
    target = np.array(list(bytes.fromhex(color[1:])), np.uint8)
    return ciede2000(lab(cells[..., :3]), lab(target)) <= 3


def report_drawn(name: str, count: int) -> None:
    """Repainting alone, where every cell is known."""
    whole: list[bool] = []
    cells: list[float] = []
    changed: list[float] = []
    for number, one in enumerate(held_out(count)):
        portrait = draw(one, np.random.default_rng([24, number]))
        picture, color = damage(name, portrait.cells, number), code(other(one, number))
        given, kept = snap(picture, background=color).cells, snap(picture).cells
        ground = portrait.masks["background"]
        cells.append(float(near(given, color)[ground].mean()))
        whole.append(cells[-1] == 1)
        changed.append(float((given != kept).any(-1)[~ground].mean()))
    row(f"drawn, {name}: whole background", percent(whole), "100%")
    row(f"drawn, {name}: its cells", f"{100 * np.mean(cells):.2f}%", "100%")
    row(f"drawn, {name}: figure changed", f"{100 * np.mean(changed):.3f}%", "< 0.5%")


def report_paintings(files: Sequence[Path], sheet: Path | None, side: int = 192) -> None:
    """Real paintings have no truth: what share is background, and a sheet to look at."""
    page = Image.new("RGB", (3 * side, side * len(files)))
    for place, path in enumerate(files):
        painting = Image.open(path).convert("RGB")
        given = snap(painting, background="#ff00ff")
        row(path.stem, f"{100 * given.background.mean():.1f}%", "background")
        panels = (painting.resize((side, side)), snap(painting).enlarge(side), given.enlarge(side))
        for column, panel in enumerate(panels):
            page.paste(panel, (column * side, place * side))
    if sheet:
        page.save(sheet)


def sure(one: Drawn) -> tuple[Mask, Mask]:
    """The cells that no figure of these traits comes near in any portrait, and those that are figure in every one."""
    masks = [draw(one, np.random.default_rng([DRAWS, i])).masks["background"] for i in range(DRAWS)]
    return ground(one), ~np.logical_or.reduce(masks)


def report_given(pipeline: Pipeline, jobs: Sequence[tuple[Drawn, int]]) -> None:
    """A background that the prompt does not name, given to the painted picture."""
    colors = [code(other(one, number)) for number, (one, _) in enumerate(jobs)]
    punks = paint(pipeline, [recipe(prompt(one), seed) for one, seed in jobs])
    whole: list[bool] = []
    changed: list[float] = []
    for (one, _), color, punk in zip(jobs, colors, punks, strict=True):
        given = finish(punk, Finish(background=color)).art
        ground, figure = sure(one)
        right = near(given.cells, color)
        whole.append(bool(right[ground].all()))
        changed.append(float((given.cells != punk.art.cells).any(-1)[figure].mean()))
    row("given: every cell that is sure", percent(whole), "100%")
    row("given: figure changed", f"{100 * np.mean(changed):.3f}%", "< 0.5%")


def report_steered(pipeline: Pipeline, jobs: Sequence[tuple[Drawn, int]], steers: Sequence[float]) -> None:
    """What steering alone does, without repainting: no background in the prompt, and another one in it."""
    solid = [(dataclasses.replace(one, pattern="solid", second=None), seed) for one, seed in jobs]
    for words in ("no background said", "another said"):
        for strength in steers:
            wanted = [dataclasses.replace(one, background=other(one, n)) for n, (one, _) in enumerate(solid)]
            recipes = [
                recipe(prompt(one) if words == "another said" else bare(one), seed).replace(
                    steer=strength, steer_color=code(want.background)
                )
                for (one, seed), want in zip(solid, wanted, strict=True)
            ]
            punks = paint(pipeline, recipes)
            found = [read(punk.art.cells, want) for punk, want in zip(punks, wanted, strict=True)]
            gaps = [one.background for one in found if one.background is not None]
            rest = [flag for one, want in zip(found, wanted, strict=True) for flag in flags(one, want)]
            title = f"steer {strength:g}, {words}"
            row(f"{title}: dE", f"{np.mean(gaps):.1f}", "as low as can be")
            row(f"{title}: <= 15", percent([gap <= 15 for gap in gaps]), "gain over steer 0")
            figures = (sum(rest) - sum(gap <= 15 for gap in gaps)) / (len(rest) - len(gaps))
            row(f"{title}: figure", f"{100 * figures:.1f}%", "no less than steer 0")


def bare(one: Drawn) -> str:
    """The caption without its background."""
    return ", ".join(tag for tag in prompt(one).split(", ") if not tag.endswith("background"))


def traits_of(one: Drawn) -> Traits:
    """What a user would give of these traits."""
    tags = fields(one)
    both = f"{one.background} and {one.second}" if one.second else one.background
    return Traits(
        subject=one.kind,
        hair="bald" if one.hair == "bald" else f"{one.hair_color}, {one.hair}",
        expression="slight smile" if one.smile else "neutral",
        lips=one.lips,
        eyes=one.eyes,
        skin=one.skin,
        background=both if one.pattern == "solid" else f"{both} {one.pattern}",
        wear=(
            *(tag.removeprefix("wearing ") for tag in tags if tag.startswith("wearing ")),
            *([one.beard] if one.beard else []),
            *(["joint"] if one.joint else []),
        ),
    )


def report_traits(pipeline: Pipeline, jobs: Sequence[tuple[Drawn, int]]) -> None:
    """Captions from traits beside hand-written ones; the picture as it was painted."""
    written = [recipe(prompt(one), seed) for one, seed in jobs]
    built = [Recipe(traits=traits_of(one), variant="demo", seed=seed) for one, seed in jobs]
    for title, recipes in (("hand-written", written), ("from traits", built)):
        punks = [finish(punk, Finish(background="keep", eyes="keep")) for punk in paint(pipeline, recipes)]
        report_obeyed(title, jobs, punks)


def report_obeyed(title: str, jobs: Sequence[tuple[Drawn, int]], punks: Sequence[Punk]) -> None:
    """Hair, eyes, background and what is worn."""
    found = [read(punk.art.cells, one) for (one, _), punk in zip(jobs, punks, strict=True)]
    row(f"{title}: hair", percent([one.hair for one in found if one.hair is not None]), "")
    row(f"{title}: eyes", percent([one.eyes for one in found if one.eyes is not None]), "")
    row(f"{title}: background", percent([one.background <= 15 for one in found if one.background is not None]), "")
    worn = [one.parts[part] for one, (who, _) in zip(found, jobs, strict=True) for part in PARTS if asked(who, part)]
    row(f"{title}: accessories", percent(worn), "")


def report_long(pipeline: Pipeline, jobs: Sequence[tuple[Drawn, int]]) -> None:
    """A caption of 140 tokens: its background named first, last, and last where 77 tokens are all that is read."""
    own = pipeline.bases.painter(variants.variant("demo")).model
    solid = [(one, seed) for one, seed in jobs if one.pattern == "solid"]
    texts: dict[str, list[str]] = {"first": [], "last": [], "last, 77 tokens": []}
    for one, _ in solid:
        tags = prompt(one).split(", ")
        trait = next(tag for tag in tags if tag.endswith(" background"))
        rest = [tag for tag in tags if tag != trait]
        for filler in FILLERS * 2:
            if count_tokens(own, ", ".join([*rest, trait])) >= TOKENS:
                break
            rest.append(filler)
        texts["first"].append(", ".join([*rest[:3], trait, *rest[3:]]))
        texts["last"].append(", ".join([*rest, trait]))
        ids = own.tokenizer(texts["last"][-1], truncation=True, max_length=77).input_ids
        texts["last, 77 tokens"].append(own.tokenizer.decode(ids, skip_special_tokens=True))
    for place, long in texts.items():
        recipes = [recipe(text, seed).replace(template=False) for text, (_, seed) in zip(long, solid, strict=True)]
        punks = paint(pipeline, recipes)
        gaps = [read(punk.art.cells, one).background for punk, (one, _) in zip(punks, solid, strict=True)]
        row(
            f"140 tokens, background {place}",
            percent([gap <= 15 for gap in gaps if gap is not None]),
            "within 5 points",
        )


if __name__ == "__main__":
    main()
