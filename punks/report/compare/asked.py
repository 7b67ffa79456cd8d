"""What a prompt asks for, as far as a picture can be read: the colors of background, eyes and hair."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from punks.palette import hex_codes
from punks.snap.color import ciede2000, lab
from punks.snap.portrait import Reading
from punks.snap.portrait.names import COLORS, EYES, HAIR

NEAR = 15.0  # CIEDE2000 from a color that is asked for by its code
_PATTERNS = r"\b(checker\w*|gradient|split|strip\w*|stripes|multi\w*|pattern\w*|radial)\b"
_CUTS = r"\b(hair|afro|bob|bun|mohawk|buzz cut|ponytail|pigtails|curls|dreads|braids)$"
_HIDES = r"\b(sunglasses|shades|stunner|blindfold)\b"
# other words for what the reader calls otherwise
_OTHERS = {"grey": "gray", "ginger": "red", "auburn": "red", "blond": "blonde", "hazel": "brown"}
_BEHIND = {"lavender": "purple", "peach": "orange", "magenta": "pink", "maroon": "red", "navy": "blue", "tan": "beige"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Words of the reader; None where the prompt says nothing that can be judged. `code` is the background's RGB."""

    background: str | None
    code: tuple[int, int, int] | None
    solid: bool
    eyes: str | None
    hair: str | None


def asked(prompt: str) -> Asked:
    """Reads the tags of a prompt, with commas between them."""
    tags = [tag.strip() for tag in prompt.lower().split(",")]
    behind = next((tag for tag in tags if re.search(r"\bbackground\b", tag)), "")
    eyes = next((tag for tag in tags if re.search(r"\beyes$", tag)), "")
    hair = next((tag for tag in tags if re.search(_CUTS, tag) and not re.search(r"\bin hair$", tag)), "")
    hidden = re.search(_HIDES, prompt.lower())
    patterned = re.search(_PATTERNS, behind)
    code = next(iter(hex_codes(behind)), None)
    return Asked(
        background=None if patterned or code else _word(behind, COLORS, _OTHERS | _BEHIND),
        code=None if patterned else code,
        solid=bool(behind) and not patterned,
        eyes=None if hidden else _word(eyes, EYES, _OTHERS),
        hair=_word(hair, HAIR, _OTHERS),
    )


def background_obeyed(wanted: Asked, reading: Reading) -> bool | None:
    """Whether the background has the color asked for; None if none is."""
    if wanted.code:
        gap = ciede2000(lab(np.array(wanted.code, np.uint8)), lab(np.array(reading.background.rgb, np.uint8)))
        return bool(gap <= NEAR)
    return None if wanted.background is None else reading.background.name == wanted.background


def _word(tag: str, known: Iterable[str], others: dict[str, str]) -> str | None:
    """The last word of a tag that names a color: `bright neon green solid background` -> green."""
    words = [others.get(word, word) for word in re.findall(r"[a-z]+", tag)]
    return next((word for word in reversed(words) if word in set(known)), None)
