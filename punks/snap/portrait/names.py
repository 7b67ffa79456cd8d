"""What people call a color: the nearest of many people's names for it."""

from collections.abc import Collection, Mapping
from functools import lru_cache

import numpy as np

from punks.snap.art import Bytes, Floats
from punks.snap.color import ciede2000, lab

# "red", then "light", "pale", "bright", "dark", "deep", "dull", "medium" and all "-ish red", as far as each has a
# color in the xkcd survey (Munroe 2010, 222,500 people, https://xkcd.com/color/rgb/, CC0), then the 16 names of
# HTML 4. Not its "pale grey", fdfdfe: that is white; nor its "-ish
# greys", whose tint is what people see beside a true gray. Maroon is a red, olive a green, tan a beige, a dark cyan is
# called teal; the brown of red hair is auburn.
_SURVEY = {
    "black": "000000",
    "white": "ffffff",
    "light gray": "d8dcd6 c0c0c0",
    "dark gray": "363737",
    "gray": "929591 7d7f7c 808080",
    "red": "e50000 ff474c d9544d ff000d 840000 9a0200 bb3f3f a90308 fe2f4a f43605 b0054b 9e3623 f10c45 650021 "
    "ff0000 800000",
    "orange": "f97306 fdaa48 ffa756 ff5b00 c65102 dc4d01 d8863b ffab0f ff724c f8481c cb7723",
    "yellow": "ffff14 fffe7a ffff84 fffd01 d5b60a eedc5b c9b003 cdfd02 ffff00",
    "green": "15b01a 96f97b c7fdb5 01ff07 033500 02590f 74a662 39ad48 0cdc73 61e160 287c37 6a6e09 82a67d 10a674 "
    "b0dd16 008000 00ff00 808000",
    "blue": "0343df 95d0fc d0fefe 0165fc 00035b 040273 49759c 2c6fbb 6140ef 014182 3d7afd 0b8b87 5e819d 601ef9 "
    "0000ff 000080",
    "purple": "7e1e9c bf77f6 b790d4 be03fd 35063e 36013f 84597e 9e43a2 751973 a552e6 76424e 910951 887191 703be7 "
    "d648d7 800080",
    "pink": "ff81c0 ffd1df ffcfdc fe01b1 cb416b cb0162 d5869d f36196 da467d c27e79 df4ec8 c88d94 ce5dae fe2c54 ff00ff",
    "brown": "653700 ad8150 b1916e 341c02 410200 876e4b 7f5112 6b4247 b17261 7a6a4f 9b7a01 696112",
    "auburn": "9a3001 b25f03 7f2b0a",
    "teal": "029386 90e4c1 82cbb2 01f9c6 014d4e 00555a 5f9e8f 719f91 32bf84 0a888a 008080",
    "cyan": "00ffff acfffc b7fffa 41fdfe 2afeb7",
    "beige": "e6daa6 fffeb6 ac9362 c9d179 d1b26f fbeeac af884a",
}
COLORS: dict[str, tuple[str, ...]] = {
    word: (word,) for word in _SURVEY if word not in ("light gray", "dark gray", "auburn")
} | {
    "gray": ("gray", "light gray", "dark gray"),
    "brown": ("brown", "auburn"),
}
EYES: dict[str, tuple[str, ...]] = {
    "brown": ("brown", "auburn", "beige", "orange", "yellow", "red"),
    "blue": ("blue", "cyan", "purple"),
    "green": ("green", "teal"),
    "black": ("black", "dark gray"),
    "gray": ("gray", "light gray", "white"),
}
HAIR: dict[str, tuple[str, ...]] = {
    "black": ("black", "dark gray"),
    "brown": ("brown",),
    "blonde": ("yellow", "beige"),
    "red": ("red", "orange", "auburn"),
    "blue": ("blue", "cyan"),
    "green": ("green", "teal"),
    "purple": ("purple",),
    "pink": ("pink",),
    "gray": ("gray",),
    "white": ("white", "light gray"),
}
# the emoji modifiers (Unicode UTS 51, Fitzpatrick types) as Twemoji draws them; the two light ones are both light
_SKIN = {"light": "f7dece f3d2a2", "medium": "d5ab88", "tan": "af7e57", "dark": "7c533e"}


def color_name(rgb: Bytes | Floats, words: Mapping[str, Collection[str]] = COLORS) -> tuple[str, float]:
    """RGB (3,) -> the word of COLORS, EYES or HAIR, and how sure: 0 between two words, 1 at an exact match."""
    return _nearest(rgb, {word: _codes(" ".join(_SURVEY[one] for one in ones)) for word, ones in words.items()})


def skin_name(rgb: Bytes | Floats) -> tuple[str, float]:
    """RGB (3,) -> light, medium, tan or dark, and how sure."""
    return _nearest(rgb, {word: _codes(codes) for word, codes in _SKIN.items()})


@lru_cache(maxsize=128)
def _codes(text: str) -> Floats:
    return lab(np.array([list(bytes.fromhex(code)) for code in text.split()], np.uint8))


def _nearest(rgb: Bytes | Floats, table: Mapping[str, Floats]) -> tuple[str, float]:
    point = lab(np.asarray(rgb, np.float32))
    gaps = sorted((float(ciede2000(point, points).min()), word) for word, points in table.items())
    (best, word), (second, _) = gaps[:2]
    return word, (second - best) / (second + best) if second else 1.0
