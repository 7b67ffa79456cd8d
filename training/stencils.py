"""The shapes of hair and hats on the 24x24 grid: masks by rule, and stencils in letters.

Letters of a stencil: s deep shadow, d shadow, m base, l light of the hat's own color; the others are fixed colors.
"""

import numpy as np
from numpy.typing import NDArray

from training.canvas import GRID, Mask, columns, rows

TOP_HAT = """
      mmmmmmmmmm
      mllmmmmmds
      mlmmmmmmds
      mlmmmmmmds
      mlmmmmmmds
      mmmmmmmmds
      bbbbbbbbbb
    mmmmmmmmmmmmmm
    sddddddddddddss
"""
FEDORA = """


       mm   mmmm
      mmlmmmmmmmd
      mllmmdmmmdd
      mlmmmdmmmdd
      ssssssssssss
    mmmmmmmmmmmmmmm
   dddddddddddddddddd
"""
WIZARD_HAT = """
            mm
           mlmd
          mlmmd
          mlymd
         mlmmmdd
        mlmmymmmd
        yyyyyyyyyy
      mmmmmmmmmmmmdd
    mlmmmmmmmmmmmmmdds
   ssssssssssssssssssss
"""
BASEBALL_CAP = """



        mmmmmmmm
       mllmmmmmmd
      mllmwwmmmmdd
      mlmmwwmmmmdd
      mmmmmmmmmmdddddd
      sssssssssssddddddd
"""
BANDANA = """




         mmmmmmm
        mlmmwmmmd
       mlmmmmmmmmd
      mlmwmmmwmmwd
      mmmmmmmmmmmd
     dsddddddddddd
    md
   md
   d
"""
BEANIE = """

          lmmm
         lmmmmd
        mlmlmlmd
       mlmlmlmdmd
      mlmlmlmlmdmd
      mlmlmlmlmdmd
      lmdlmdlmdlmd
      lmdlmdlmdlmd
"""
GOLD_CROWN = """


       l   ll   l
       r   mm   b
       m  mlmm  d
       mm mlmm md
       mlmlmmmmdd
       mlrmmbmrmd
       ssssssssss
"""
TIARA = """



           ww
          wppw
       w w wg w w
       gwgwggwgwg
        gg gg gg
"""
FLOWER_CROWN = """




         pp  ww
       ppyp wwyw rr
      eppepewweerryr
      ee ee eeee err
"""
BOW = """


               mm  mm
               mlmmlm
               mmssmm
               mldsdm
               mm  mm
"""
STENCILS = {
    "top hat": TOP_HAT,
    "fedora": FEDORA,
    "wizard hat": WIZARD_HAT,
    "baseball cap": BASEBALL_CAP,
    "bandana": BANDANA,
    "beanie": BEANIE,
    "gold crown": GOLD_CROWN,
    "tiara": TIARA,
    "flower crown": FLOWER_CROWN,
    "bow": BOW,
}


def hat(name: str, rng: np.random.Generator) -> NDArray[np.str_]:
    """A hat's letters on the grid, blanks where it is not: str (24, 24)."""
    lines = (
        STENCILS[name].strip("\n").split("\n")
        if not STENCILS[name].startswith("\n\n")
        else STENCILS[name][1:].split("\n")
    )
    shapes = np.full((GRID, GRID), " ")
    for row, line in enumerate(lines[:GRID]):
        shapes[row, : len(line)] = list(line)
    if name == "top hat" and rng.random() < 0.4:
        shapes[1:6] = shapes[2:7]
        shapes = np.vstack([np.full((1, GRID), " "), shapes[:5], shapes[6:]])
    if name == "beanie" and rng.random() < 0.5:
        shapes[0, 10:13] = list("wwl")
        shapes[1, 10:13] = list("wld")
    return shapes


def fixed(rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """The letters that do not follow the hat's color."""
    bands = ((150, 30, 40), (60, 60, 72), (210, 176, 70), (40, 90, 160))
    colors = {
        "b": bands[int(rng.integers(4))],
        "r": (214, 40, 56),
        "y": (250, 214, 70),
        "w": (244, 244, 246),
        "p": (240, 130, 180),
        "g": (228, 180, 60),
        "e": (60, 140, 60),
    }
    return {letter: np.array(color, np.uint8) for letter, color in colors.items()}


def _ellipse(row: float, col: float, height: float, width: float) -> Mask:
    return ((rows - row) / height) ** 2 + ((columns - col) / width) ** 2 <= 1


def _ragged(shape: Mask, rng: np.random.Generator, chance: float) -> Mask:
    """A shape whose border cells are missing here and there."""
    padded = np.pad(shape, 1)
    inner = shape & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inner | (shape & ((rows + columns) % 2 == 0)) | (shape & (rng.random(shape.shape) >= chance))


def back_hair(style: str, rng: np.random.Generator, left: int, right: int, top: int) -> Mask:
    """What falls behind the head and beside it."""
    middle, half = (left + right) / 2, (right - left) / 2
    below = rows >= top
    if style == "afro":
        size = rng.uniform(0, 1.3)
        return _ragged(_ellipse(9.5, middle, 8 + size * 0.7, half + 3.6 + size), rng, 0.6)
    if style == "curly":
        wide, low = rng.uniform(2.6, 4), int(rng.integers(16, 20))
        shape = (
            _ellipse(11, middle, 9, half + wide) & (low >= rows)
            | _ellipse(low - 3, middle, 5, half + wide + 0.6) & below
        )
        return _ragged(shape, rng, 0.8)
    if style in ("long", "wavy"):
        low = int(rng.integers(19, 23))
        spread = np.where(rows > 15, 1.0 + (rows > 18), 0.0) if style == "wavy" else np.where(rows > 17, 0.7, 0.0)
        ripple = ((rows + int(rng.integers(4))) // 2 % 2) * 0.9 if style == "wavy" else 0
        width = half + 1.6 + int(rng.integers(2)) * 0.6 + spread + ripple
        return (np.abs(columns - middle) <= width) & (top + 1 <= rows) & (low >= rows)
    if style == "bob":
        low = int(rng.integers(15, 18))
        return (np.abs(columns - middle) <= half + 2 + (rows > 12) * 0.5) & (top <= rows) & (low >= rows)
    if style == "ponytail":
        return _ellipse(13, right + 2.5, 6.5, 2.2) | _ellipse(8, right + 1, 2.2, 2.5)
    if style == "pigtails":
        low = int(rng.integers(16, 20))
        return (_ellipse(low - 4, left - 3, 5, 2) | _ellipse(low - 4, right + 3, 5, 2)) & below
    if style == "bun":
        return _ellipse(top - 4.5, middle + rng.uniform(-1, 1), 2.4, 2.6)
    return np.zeros((GRID, GRID), bool)


def front_hair(style: str, rng: np.random.Generator, left: int, right: int, top: int) -> Mask:
    """What lies on the head: the cap, the parting or fringe, and the sideburns."""
    middle = (left + right) / 2
    rise = {"buzz cut": 0, "bob": 2, "afro": 2, "short": 2, "slicked back": 2, "curly": 3}.get(style, 1) + int(
        rng.integers(2)
    )
    rise = min(rise, 1) if style == "buzz cut" else rise
    line = top + 1 + int(rng.integers(2))
    cap = (top - rise <= rows) & (line >= rows) & (left <= columns) & (right >= columns)
    cap &= ~((top - rise == rows) & ((left + 1 >= columns) | (right - 1 <= columns)))
    if rise > 1:
        cap &= ~((top - rise + 1 == rows) & ((left == columns) | (right == columns)))
    side = (line <= rows) & (left == columns)
    if style == "mohawk":
        tall = int(rng.integers(4, 7))
        crest = (np.abs(columns - middle) <= 1.5) & (top - tall <= rows) & (top + 1 >= rows)
        return crest & ~((top - tall == rows) & (middle > columns))
    if style == "spiky":
        spikes = (
            (top - rise - 1 == rows)
            & ((columns + int(rng.integers(2))) % 2 == 0)
            & (left <= columns)
            & (right >= columns)
        )
        spikes |= (
            (top - rise - 2 == rows)
            & ((columns + int(rng.integers(4))) % 4 == 0)
            & (left < columns)
            & (right > columns)
        )
        fringe = (
            (line + 1 == rows) & ((columns + int(rng.integers(2))) % 2 == 0) & (left <= columns) & (right >= columns)
        )
        return cap | spikes | fringe | (side & (line + 3 >= rows))
    if style in ("short", "slicked back", "buzz cut"):
        sweep = (line + 1 == rows) & (left <= columns) & (columns <= middle - 1 + int(rng.integers(3)))
        return cap | (side & (line + int(rng.integers(2, 5)) >= rows)) | (sweep if style == "short" else cap)
    parting = int(rng.integers(3))
    if parting == 0:
        fringe = (line + 1 == rows) & (left <= columns) & (right >= columns)
    elif parting == 1:
        fringe = (line + 1 == rows) & (np.abs(columns - middle) >= 2) | (line + 2 == rows) & (
            np.abs(columns - middle) >= 3.4
        )
    else:
        fringe = (line + 1 == rows) & (middle + 1 >= columns) | (line + 2 == rows) & (left + 1 >= columns)
    fringe &= (left <= columns) & (right >= columns)
    length = {"bun": 12, "ponytail": 12, "pigtails": 12, "afro": 12, "curly": 15, "bob": 15}.get(style, 18)
    curtain = (line <= rows) & (length >= rows) & (left == columns)
    if style in ("long", "wavy", "bob", "curly"):
        curtain |= (line <= rows) & (length - 1 >= rows) & (right == columns)
    return cap | fringe | curtain
