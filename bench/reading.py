"""How far the reader agrees with the truth of generated portraits: `python -m bench.reading`.

Portraits come from seeds that no training used and that the reader was not made with (`--seed`). Prints agreement and
confusion tables, strays found of those sprinkled, eyes repainted and read by the generator's own reader, and with
`--portraits FOLDER` (pictures of 24x24 with captions beside them) what is read beside what the caption says.
"""

import argparse
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from punks.snap.portrait import Reading, read, repaint_eyes
from punks.snap.portrait.names import EYES
from training.portraits import Portrait, draw, sample
from training.reading import nearest_eyes

# what a background's or the hair's word comes to in the reader's words
FOLDED = {"lavender": "purple", "peach": "orange", "magenta": "pink", "ginger": "red"}
SHOWS = 10  # cells of hair, under which it is a fringe below a hat or nothing
STRAYS = 5


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=8100)
    parser.add_argument("--portraits", type=Path, help="real ones, with captions")
    args = parser.parse_args()
    portraits = [draw(sample(rng), rng) for rng in (np.random.default_rng([args.seed, i]) for i in range(args.count))]
    start = time.perf_counter()
    readings = [read(one.cells) for one in portraits]
    print(f"{1000 * (time.perf_counter() - start) / len(portraits):.1f} ms a picture")
    report_agreement(portraits, readings)
    report_strays(portraits, readings, np.random.default_rng(args.seed))
    report_repainting(portraits)
    if args.portraits:
        report_captions(args.portraits)


def word(name: str) -> str:
    """`bright neon green` -> `green`, `peach` -> `orange`."""
    return FOLDED.get(name.split()[-1], name.split()[-1])


def visible(portrait: Portrait, name: str) -> int:
    """How many cells show a trait."""
    return int(portrait.masks[name].sum()) if name in portrait.masks else 0


def report_agreement(portraits: list[Portrait], readings: list[Reading]) -> None:
    """Agreement and confusion tables. Hidden eyes and hair are a class of their own, to be read as none."""
    pairs: dict[str, list[tuple[str, str]]] = {"background": [], "solid": [], "hair": [], "eyes": [], "skin": []}
    for portrait, reading in zip(portraits, readings, strict=True):
        traits = portrait.traits
        seen = visible(portrait, "left eye") and visible(portrait, "right eye")
        solid = traits.pattern == "solid"
        pairs["solid"].append((str(solid), str(reading.background.solid)))
        if solid:
            pairs["background"].append((word(traits.background), reading.background.name))
        hair = word(traits.hair_color) if visible(portrait, "hair") >= SHOWS else "none"
        pairs["hair"].append((hair, reading.hair.name if reading.hair else "none"))
        pairs["eyes"].append((traits.eyes if seen else "none", reading.eyes.name if reading.eyes else "none"))
        pairs["skin"].append((traits.skin, reading.skin.name if reading.skin else "none"))
    for name, each in pairs.items():
        shown = [pair for pair in each if pair[0] != "none"]
        line = f"\n{name}: {share(each)} agree"
        print(line + (f"; {share(shown)} where it shows" if len(shown) < len(each) else ""))
        table(each)


def share(pairs: list[tuple[str, str]]) -> str:
    """`98.0% of 500`."""
    return f"{100 * sum(truth == found for truth, found in pairs) / max(len(pairs), 1):.1f}% of {len(pairs)}"


def table(pairs: list[tuple[str, str]]) -> None:
    """Truth down, reading across."""
    names = sorted({name for pair in pairs for name in pair}, key=lambda name: (name == "none", name))
    count = Counter(pairs)
    print("  " + "".join(f"{name[:7]:>8}" for name in ["", *names]))
    for truth in names:
        cells = [count[truth, found] or "." for found in names]
        print("  " + f"{truth[:7]:>8}" + "".join(f"{cell:>8}" for cell in cells))


def report_strays(portraits: list[Portrait], readings: list[Reading], rng: np.random.Generator) -> None:
    """Strays in portraits that have none, and how many of STRAYS sprinkled over flat places are found."""
    clean = sum(int(reading.strays.sum()) for reading in readings)
    found = put = wrong = 0
    for portrait, reading in zip(portraits, readings, strict=True):
        cells, where = portrait.cells.copy(), np.zeros((24, 24), bool)
        same = np.ones((22, 22), bool)
        for r in range(3):
            for c in range(3):
                same &= (cells[r : r + 22, c : c + 22] == cells[1:-1, 1:-1]).all(-1)
        for row, col in rng.permutation(np.argwhere(same) + 1):
            if where.sum() < STRAYS and not where[row - 2 : row + 3, col - 2 : col + 3].any():
                where[row, col] = True
        cells[where] = rng.integers(0, 256, (int(where.sum()), 3))
        strays = read(cells).strays & ~reading.strays
        found, put, wrong = (
            found + int((strays & where).sum()),
            put + int(where.sum()),
            wrong + int((strays & ~where).sum()),
        )
    print(
        f"\nstray cells: {clean} in {len(portraits)} clean portraits; {100 * found / put:.1f}% of {put} sprinkled ones "
        f"found, {wrong} more"
    )


def report_repainting(portraits: list[Portrait]) -> None:
    """Eyes of another color: refused where hidden, nothing but irises changed, read by the generator's reader."""
    tally: Counter[str] = Counter()
    for place, portrait in enumerate(portraits):
        irises = [portrait.masks[side] for side in ("left eye", "right eye")]
        hidden = not all(iris.any() for iris in irises)
        name = [word for word in EYES if word != portrait.traits.eyes][place % 4]
        painted = repaint_eyes(portrait.cells, name)
        tally["hidden" if hidden else "shown"] += 1
        if painted is None:
            tally["hidden, left alone" if hidden else "shown, left alone"] += 1
            continue
        changed = (painted != portrait.cells).any(-1)
        truth = irises[0] | irises[1]
        tally["hidden, repainted"] += hidden
        if not hidden:
            tally["only irises"] += not (changed & ~truth).any()
            tally["all of the irises"] += (changed == truth).all()
            tally["read as asked"] += all(nearest_eyes(painted, iris) == name for iris in irises)
    print("\neyes repainted in another color:")
    for name, count in sorted(tally.items()):
        print(f"  {name:<20} {count}")


def report_captions(folder: Path) -> None:
    """Real portraits: the caption's own words for eyes and background beside what is read."""
    for path in sorted(folder.glob("*.png")):
        reading = read(np.asarray(Image.open(path).convert("RGB")))
        caption = path.with_suffix(".txt").read_text(encoding="utf-8")
        said = {
            "eyes": re.findall(r"([a-z/ ]{1,24}) eyes", caption),
            "hair": re.findall(r"([a-z/ ]{1,24}) hair", caption),
            "background": re.findall(r"([a-z/ ]{0,24}) background", caption),
        }
        found = {
            "eyes": f"{reading.eyes.name} {reading.eyes.confidence:.2f}" if reading.eyes else "none",
            "hair": reading.hair.name if reading.hair else "none",
            "background": reading.background.name + ("" if reading.background.solid else ", not solid"),
        }
        print(
            f"\n{path.stem}: {reading.colors} colors, {int(reading.strays.sum())} strays, skin "
            f"{reading.skin.name if reading.skin else 'none'}"
        )
        for part, words in said.items():
            print(f"  {part:<11} {found[part]:<18} caption: {' | '.join(each.strip() for each in words)}")


if __name__ == "__main__":
    main()
