"""Portraits of 24x24 cells drawn by rule, each with the cells that show each of its traits.

The eyes never move, so that a reader knows where to look; everything around them varies: head, jaw, nose, mouth,
brows, hair and its texture, folds of cloth. Nothing is copied from anyone's pictures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punks.snap.regions import grow
from training import stencils
from training.canvas import GRID, RGB, Canvas, Mask, box, columns, rows
from training.captions import caption
from training.traits import BACKGROUNDS, CLOTHES, EYES, HAIR, HATS, LIPS, SKIN, Traits, ramp, sample

__all__ = ["GRID", "HATS", "Portrait", "Traits", "caption", "draw", "sample"]

BLACK: RGB = (0, 0, 0)
GOLD: RGB = (240, 184, 44)
SILVER: RGB = (200, 206, 216)


@dataclass(frozen=True, kw_only=True, slots=True)
class Portrait:
    """Cells uint8 (24, 24, 3); masks bool (24, 24) of what stays visible of each trait, by its name."""

    cells: NDArray[np.uint8]
    masks: dict[str, Mask]
    traits: Traits
    background: RGB


def draw(traits: Traits, rng: np.random.Generator, background: RGB | None = None) -> Portrait:
    """A portrait of these traits; `rng` decides everything that no trait names.

    `background` replaces the color behind the traits' background word, for captions that give a hex code.
    """
    tone = background or BACKGROUNDS[traits.background]
    canvas = Canvas(backdrop(traits, tone), rng)
    canvas.masks["background"] = np.ones((GRID, GRID), bool)
    head = _head(traits, rng)
    hair = _hair_paint(traits, rng)
    if traits.hair != "bald":
        _back_hair(canvas, traits, head, hair)
    _body(canvas, traits, head)
    _face(canvas, traits, head)
    if traits.beard:
        _beard(canvas, traits, head)
    _mouth(canvas, traits)
    if traits.hair != "bald":
        _front_hair(canvas, traits, head, hair)
    _jewels(canvas, traits, head)
    if traits.glasses:
        _glasses(canvas, traits)
    if traits.hat:
        _hat(canvas, traits)
    if traits.joint:
        _joint(canvas)
    return Portrait(cells=canvas.cells, masks=canvas.masks, traits=traits, background=tone)


def backdrop(traits: Traits, tone: RGB) -> NDArray[np.uint8]:
    """The background of a portrait, without the figure: RGB uint8 (24, 24, 3)."""
    cells = np.empty((GRID, GRID, 3), np.uint8)
    cells[:] = tone
    second = np.array(BACKGROUNDS[traits.second] if traits.second else ramp(tone, 0.75)[3 if sum(tone) < 420 else 1])
    if traits.pattern == "checkered":
        cells[(rows // 3 + columns // 3) % 2 == 1] = second
    elif traits.pattern == "striped":
        cells[(columns // 2) % 2 == 1] = second
    elif traits.pattern == "split":
        cells[columns >= GRID // 2] = second
    elif traits.pattern == "gradient":
        step = (rows // 4)[..., None] / 5
        cells[:] = (np.array(tone) * (1 - step) + second * step).round()
    return cells


@dataclass(slots=True)
class _Head:
    skin: Mask
    neck: Mask
    chin: int
    left: int
    right: int
    top: int


def _head(traits: Traits, rng: np.random.Generator) -> _Head:
    lady = traits.kind == "lady"
    left, right, top = 7, 16 if rng.random() < (0.3 if lady else 0.65) else 15, int(rng.choice([6, 7, 7]))
    chin = int(rng.choice([17, 17, 18]))
    jaws = [(0, 1, 2, 3), (0, 0, 1, 3), (0, 1, 1, 2)] if lady else [(0, 0, 0, 1), (0, 0, 1, 2), (0, 1, 1, 2)]
    jaw = jaws[int(rng.integers(len(jaws)))]
    skin = box(top, chin, left, right) & ~box(top, top, left, left + 1) & ~box(top, top, right - 1, right)
    skin &= ~box(top + 1, top + 1, left, left) & ~box(top + 1, top + 1, right, right)
    for inset, row in zip(jaw, range(chin - 3, chin + 1), strict=True):
        skin &= ~(box(row, row, 0, left + (inset + 1) // 2 - 1) | box(row, row, right - inset + 1, GRID - 1))
    width = 3 if lady else int(rng.choice([3, 4]))
    start = 9 if rng.random() < 0.7 else 8
    return _Head(skin, box(chin - 1, 22, start, start + width) & ~skin, chin, left, right, top)


def _body(canvas: Canvas, traits: Traits, head: _Head) -> None:
    rng, tones, skin = canvas.rng, ramp(CLOTHES[traits.garment_color]), ramp(SKIN[traits.skin])
    slope = int(rng.integers(0, 2)) + (traits.kind == "lad")
    neck = np.flatnonzero(head.neck.any(0))
    first, last = int(neck[0]), int(neck[-1])
    body = box(23, 23, first - 5 - slope, last + 5 + slope) | box(22, 22, first - 4 - slope, last + 4 + slope)
    body |= box(21, 21, first - 2 - slope, last + 2 + slope)
    canvas.paint(grow(head.neck) & ~body, BLACK)
    canvas.paint(grow(body) & ~body & (rows < 23), BLACK)
    canvas.paint(body, tones[2], "clothes")
    canvas.paint(body & ((last + 2 + slope) <= columns), tones[1], "clothes")
    canvas.paint(body & (first - 3 - slope >= columns) & (rows > 21), tones[3], "clothes")
    canvas.paint(head.neck & (rows < 22), skin[2], "skin")
    canvas.paint(head.neck & (head.chin + 1 >= rows) | head.neck & (last == columns) & (rows < 21), skin[1], "skin")
    middle = (first + last) // 2
    if traits.garment == "suit and tie":
        canvas.paint(body & box(21, 23, first, last), (238, 238, 240), "clothes")
        canvas.paint(box(22, 23, middle, middle), ramp(CLOTHES["red"])[int(canvas.rng.integers(1, 3))], "clothes")
        canvas.paint(body & (box(22, 23, first, first) | box(22, 23, last, last)), tones[0], "clothes")
    elif traits.garment == "hoodie":
        canvas.paint(box(20, 21, first - 2, first - 1) | box(20, 21, last + 1, last + 2), tones[1], "clothes")
        canvas.paint(box(22, 23, first, first) | box(22, 22, last, last), tones[3], "clothes")
    elif traits.garment == "turtleneck":
        canvas.paint(box(20, 22, first, last), tones[1], "clothes")
        canvas.paint(box(20, 20, first, last - 1), tones[2], "clothes")
    elif traits.garment == "jacket":
        canvas.paint(body & box(21, 23, first, last), ramp(CLOTHES["white"])[1 + int(rng.integers(2))], "clothes")
        canvas.paint(box(22, 23, first - 1, first - 1) | box(22, 23, last + 1, last + 1), tones[0], "clothes")
    elif traits.garment == "dress":
        canvas.paint(body & (rows == 21) | box(22, 22, first, last), skin[2], "skin")
        canvas.paint(box(22, 22, last - 1, last) | box(21, 21, last + 1, last + 2), skin[1], "skin")
    else:
        canvas.paint(box(21, 21, first, last), skin[1], "skin")
        canvas.paint(box(22, 22, first, last), tones[1], "clothes")


def _face(canvas: Canvas, traits: Traits, head: _Head) -> None:
    rng, skin = canvas.rng, ramp(SKIN[traits.skin])
    lady = traits.kind == "lady"
    ear = box(12, 13, head.left - 1, head.left - 1)
    around = grow(head.skin | ear) & ~(head.skin | ear) & ~head.neck
    behind = canvas.masks.get("hair", np.zeros_like(around)).copy()
    canvas.paint(around & ~behind, BLACK)
    canvas.paint(around & behind, ramp(HAIR[traits.hair_color])[0], "hair")
    canvas.paint(head.skin | ear, skin[2], "skin")
    canvas.dot(13, head.left - 1, skin[1], "skin")
    edge = head.skin & ~np.roll(head.skin, -1, 1)
    canvas.paint(edge & (rows > head.top), skin[1], "skin")
    if rng.random() < 0.6:
        canvas.paint(head.skin & (head.chin == rows), skin[1], "skin")
    light = [(8, 8), (8, 9), (9, 8), (14, 8)][int(rng.integers(3)) :]
    for row, col in light:
        canvas.dot(row, col, skin[3], "skin")
    if lady and rng.random() < 0.6:
        blush = (0.72 * skin[2] + 0.28 * np.array([236, 70, 90])).astype(np.uint8)
        canvas.paint(box(14, 14, 8, 9) | box(14, 14, 14, 14), blush, "skin")
    brow = ramp(HAIR[traits.hair_color])[0] if traits.hair != "bald" else skin[0]
    brow = (0.75 * brow + 0.25 * skin[0]).astype(np.uint8)
    rise = int(rng.integers(3))
    canvas.paint(box(10, 10, 9, 10) | box(10, 10, 13, 14), brow, "brows")
    if rise == 1 and not lady:
        canvas.dot(10, 8, brow, "brows")
    if lady:
        canvas.dot(10 if rise else 11, 8, (18, 12, 16), "brows")
    white = (246, 246, 244)
    tall = rng.random() < (0.7 if lady else 0.45)
    for side, col in (("left eye", 9), ("right eye", 13)):
        iris = EYES[traits.eyes]
        canvas.dot(11, col, iris, side)
        canvas.dot(11, col + 1, white, "whites")
        if tall:
            canvas.dot(12, col, tuple(int(value * 0.8) for value in iris), side)
            canvas.dot(12, col + 1, skin[3] if rng.random() < 0.5 else (214, 214, 220), "whites")
        elif rng.random() < 0.4:
            canvas.paint(box(12, 12, col, col + 1), skin[1], "skin")
    nose = int(rng.integers(4))
    canvas.dot(14, 12, skin[0], "skin")
    if nose in (1, 3):
        canvas.dot(14, 11, skin[0] if nose == 1 else skin[1], "skin")
    if nose >= 2:
        canvas.dot(13, 12, skin[1], "skin")


def _mouth(canvas: Canvas, traits: Traits) -> None:
    rng, skin = canvas.rng, ramp(SKIN[traits.skin])
    lips: RGB = [(200, 44, 66), (216, 88, 104), (170, 46, 62)][int(rng.integers(3))]
    mix = 0.5 if traits.kind == "lady" else 0.3
    if traits.lips:
        lips, mix = LIPS[traits.lips], 1.0
    color = (mix * np.array(lips) + (1 - mix) * skin[0]).astype(np.uint8)
    canvas.paint(box(16, 16, 10, 13), color, "mouth")
    if traits.smile:
        canvas.dot(15, 9, color, "mouth")
        canvas.dot(15, 14, color, "mouth")
        canvas.paint(box(16, 16, 11, 12), (240, 236, 230), "teeth")
    elif rng.random() < 0.5:
        canvas.dot(16, 10, skin[1], "skin")
    if traits.kind == "lady" and not traits.smile:
        canvas.paint(box(17, 17, 11, 12), (0.55 * color + 0.45 * skin[2]).astype(np.uint8), "mouth")


def _hair_paint(traits: Traits, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The hair's texture over the whole grid, to be cut out by its shapes: RGB uint8 (24, 24, 3)."""
    tones = ramp(HAIR[traits.hair_color], 1.0 if traits.hair_color not in ("black", "white") else 0.7)
    phase, level = int(rng.integers(4)), np.full((GRID, GRID), 2)
    noise = rng.random((GRID, GRID))
    if traits.hair in ("afro", "curly"):
        checks = (rows + columns + phase) % 2 == 0
        level[checks] = 1
        level[checks & (noise < 0.3) & (rows < 12)] = 3
        level[(rows + 2 * columns) % 5 == phase] = 0 if traits.hair == "afro" and rng.random() < 0.5 else 1
    elif traits.hair == "wavy":
        wave = (columns + np.abs((rows + phase) % 6 - 3)) % 4
        level[wave == 0] = 1
        level[(wave == 2) & (noise < 0.6)] = 3
    elif traits.hair in ("buzz cut", "spiky", "mohawk", "short"):
        level[((rows + columns) % 2 == phase % 2) & (rows > 6)] = 1
        level[(rows + phase < 7) & (noise < 0.5)] = 3
    else:
        strand = (columns * 2 + rows // (3 + phase)) % 5
        level[strand == 0] = 1
        level[(strand == 2) & (noise < 0.5)] = 3
    level[(columns > 15) & (noise < 0.6)] -= 1
    return tones[np.clip(level, 0, 3)]


def _back_hair(canvas: Canvas, traits: Traits, head: _Head, hair: NDArray[np.uint8]) -> None:
    shape = stencils.back_hair(traits.hair, canvas.rng, head.left, head.right, head.top)
    if traits.hat in HATS:
        shape &= rows > (8 if traits.hat != "bandana" else 6)
    if shape.any():
        if traits.hair not in ("afro", "curly") or canvas.rng.random() < 0.5:
            canvas.paint(grow(shape) & ~shape & (rows < 23), BLACK)
        canvas.paint(shape, hair, "hair")


def _front_hair(canvas: Canvas, traits: Traits, head: _Head, hair: NDArray[np.uint8]) -> None:
    shape = stencils.front_hair(traits.hair, canvas.rng, head.left, head.right, head.top)
    hidden = traits.hat in HATS
    if hidden:
        shape &= rows > 8
    above = grow(shape) & ~shape & ~head.skin & (head.top + 1 >= rows) & ~canvas.masks.get("hair", shape)
    if not hidden:
        canvas.paint(above, BLACK)
    if traits.hair == "buzz cut":
        blend = (0.6 * hair + 0.4 * ramp(SKIN[traits.skin])[1]).astype(np.uint8)
        hair = np.where(((rows + columns) % 2 == 0)[..., None], blend, hair).astype(np.uint8)
    canvas.paint(shape, hair, "hair")


def _beard(canvas: Canvas, traits: Traits, head: _Head) -> None:
    tones = ramp(HAIR[traits.hair_color], 0.9)
    full = int(canvas.rng.integers(3))
    texture = np.where(((rows + columns) % 2 == 0)[..., None], tones[1], tones[2]).astype(np.uint8)
    if traits.beard == "mustache":
        canvas.paint(box(15, 15, 10, 14), tones[1], "beard")
        if full:
            canvas.paint(box(16, 16, 9, 9) | box(16, 16, 14, 14), tones[1], "beard")
        return
    shape = head.skin & (box(16, 18, head.left, 15) | box(15, 15, 10, 13) | box(13, 15, head.left, head.left))
    shape |= head.skin & (rows >= 15) & ((head.left + 1 >= columns) | (head.right - 1 <= columns))
    if traits.beard == "beard":
        if full:
            lower = box(head.chin + 1, head.chin + full, 8 + full, 13 - full // 2)
            canvas.paint(grow(lower) & ~lower & ~head.skin & (rows > head.chin), BLACK)
            shape |= lower
        canvas.paint(shape, texture, "beard")
    else:
        dots = shape & ((rows + columns) % 2 == 0)
        canvas.paint(shape, ramp(SKIN[traits.skin])[1], "beard")
        canvas.paint(dots, (0.45 * tones[1] + 0.55 * ramp(SKIN[traits.skin])[1]).astype(np.uint8), "beard")


def _jewels(canvas: Canvas, traits: Traits, head: _Head) -> None:
    gold, silver, ear = ramp(GOLD), ramp(SILVER), head.left - 1
    if traits.earrings == "stud":
        canvas.dot(14, ear, gold[2], "earrings")
        canvas.dot(15, ear, gold[1], "earrings")
    elif traits.earrings == "hoop":
        canvas.paint(box(14, 14, ear, ear) | box(15, 16, ear - 1, ear - 1), gold[2], "earrings")
        canvas.dot(17, ear, gold[1], "earrings")
        canvas.dot(15, ear - 1, gold[3], "earrings")
    if traits.necklace:
        metal = silver if traits.necklace == "silver necklace" else gold
        across = np.flatnonzero(head.neck.any(0))
        first, last = int(across[0]), int(across[-1])
        canvas.paint(box(20, 20, first, last) | box(21, 21, first + 1, last - 1), metal[2], "necklace")
        canvas.paint(box(20, 20, first + 1, last - 1), metal[1], "necklace")
        if traits.necklace == "silver necklace":
            canvas.dot(22, (first + last) // 2, (70, 150, 220), "necklace")
        else:
            canvas.paint(box(20, 20, first, last), metal[3], "necklace")
            canvas.dot(22, (first + last) // 2, metal[2], "necklace")


def _glasses(canvas: Canvas, traits: Traits) -> None:
    if traits.glasses == "stunner shades":
        canvas.paint(box(10, 10, 7, 16) | box(11, 12, 8, 11) | box(11, 12, 13, 16), (10, 10, 14), "glasses")
        canvas.paint(box(13, 13, 9, 10) | box(13, 13, 14, 15), (10, 10, 14), "glasses")
        for row, col in ((11, 9), (12, 10), (11, 14), (12, 15)):
            canvas.dot(row, col, (240, 244, 250), "glasses")
        return
    frames: list[RGB] = [(16, 14, 18), (120, 30, 36), (206, 170, 60), (200, 204, 212)]
    frame = frames[int(canvas.rng.integers(4))]
    rims = box(10, 13, 8, 15) & ~box(11, 12, 9, 10) & ~box(11, 12, 13, 14) & ~box(13, 13, 11, 12) & ~box(10, 10, 11, 12)
    canvas.paint(rims & ~box(12, 12, 11, 12), frame, "glasses")
    canvas.dot(11, 7, frame, "glasses")
    canvas.paint(box(12, 12, 9, 10) | box(12, 12, 13, 14), (206, 228, 240), "glasses")


def _hat(canvas: Canvas, traits: Traits) -> None:
    assert traits.hat is not None
    shapes = stencils.hat(traits.hat, canvas.rng)
    tones = ramp(HATTERS[traits.hat_color] if traits.hat_color else GOLD)
    palette: dict[str, NDArray[np.uint8] | RGB] = dict(zip("sdml", tones, strict=True)) | stencils.fixed(canvas.rng)
    solid = shapes != " "
    canvas.paint(grow(solid) & ~solid & (rows < 10) & ~canvas.masks["skin"], BLACK)
    for mark in np.unique(shapes[solid]):
        canvas.paint(shapes == mark, palette[str(mark)], "hat")


HATTERS: dict[str, RGB] = CLOTHES | {"black": (46, 44, 54)}


def _joint(canvas: Canvas) -> None:
    canvas.paint(box(16, 16, 13, 17), (236, 230, 214), "joint")
    canvas.paint(box(17, 17, 13, 17), BLACK, "joint")
    canvas.dot(16, 18, (244, 96, 30), "joint")
    for row, col in ((14, 18), (13, 19), (12, 18), (11, 19)):
        canvas.dot(row, col, (206, 206, 210), "joint")
