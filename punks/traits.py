"""Traits of a portrait, and the caption that says them in the words and the order of the training.

Source: the owner's template and the vocabulary of the training captions.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from punks.errors import RecipeError
from punks.files.palettes import parse_color
from punks.prompts import SUBJECT
from punks.snap.color import ciede2000, lab

SUBJECTS = ("lady", "lad")
TRAITS_ONLY = frozenset({"subject", "hair", "skin", "wear"})  # eyes and background are fields of a recipe too
PATTERNS = ("solid", "checkered", "gradient", "split", "striped")
# what a caption calls a colour; the codes say which name is nearest to a colour that has none
COLORS = {
    "blue": "#3468dc",
    "light blue": "#96c8f0",
    "dark blue": "#182060",
    "green": "#2c9c48",
    "bright neon green": "#6ae745",
    "dark green": "#164a2e",
    "red": "#d2282c",
    "dark red": "#701222",
    "purple": "#7a3cb6",
    "lavender": "#c8acee",
    "orange": "#f08a24",
    "peach": "#fac4a0",
    "yellow": "#f8da38",
    "pink": "#f486b8",
    "magenta": "#ce1c80",
    "gray": "#888a8e",
    "brown": "#7a4e2e",
    "teal": "#148a8c",
    "cyan": "#3ed4e8",
    "black": "#121016",
    "white": "#f4f4f2",
    "beige": "#e0ceaa",
}
# what a background or eyes can be made, and no caption says
PICTURE_ONLY = (None, "keep", "solid", "transparent")
# styles that are a noun of their own: `black afro`, but `red curly hair`
CUTS = ("afro", "buzz cut", "mohawk", "bob", "bun", "ponytail", "pigtails")
# what nobody wears: said without the word, after all that is worn
GROWN = {"beard": "beard", "mustache": "mustache", "stubble": "light stubble", "joint": "smoking a joint"}
VOCABULARY: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "hair": (
        *("black", "brown", "blonde", "red", "ginger", "blue", "green", "purple", "pink", "gray", "white"),
        *("short", "long", "curly", "wavy", "spiky", "slicked back", *CUTS, "bald"),
    ),
    "eyes": ("brown", "blue", "green", "black", "gray"),
    "skin": ("light", "medium", "tan", "dark"),
    "background": (*COLORS, *PATTERNS),
    "wear": (
        *("golden hoop earrings", "golden stud earrings", "silver necklace with pendant", "gold chain"),
        *("red bow in hair", "gold crown", "tiara", "flower crown", "top hat", "wizard hat", "fedora", "beanie"),
        *("baseball cap", "bandana", "glasses", "black stunner shades with white reflection", *GROWN),
    ),
}
_EXAMPLE = 'use an object such as {"subject": "lady", "hair": "red, curly", "wear": ["gold crown"]}'
_MAX_LENGTH, _MAX_WORN = 200, 16
_HEX = re.compile(r"\(?(#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3}))\b\)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a portrait shows. Any words will do; those of VOCABULARY are the ones that the training knows.

    `hair` is colour and style (`red, curly`), `background` a colour, a pattern of some, or a hex code.
    Raises RecipeError naming the field.
    """

    subject: str
    hair: str | None = None
    eyes: str | None = None
    skin: str | None = None
    background: str | None = None
    wear: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.subject not in SUBJECTS:
            raise RecipeError("traits.subject", self.subject, "use lady or lad")
        for name in ("hair", "eyes", "skin", "background"):
            if (value := getattr(self, name)) is not None:
                _check(name, value)
        if type(self.wear) is not tuple or len(self.wear) > _MAX_WORN:
            raise RecipeError("traits.wear", self.wear, f"use a list of at most {_MAX_WORN} texts")
        for value in self.wear:
            _check("wear", value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Traits":
        """The traits of these fields; `wear` is a list, or one text with commas. Raises RecipeError."""
        names = [one.name for one in fields(cls)]
        for name in values:
            if name not in names:
                raise RecipeError(f"traits.{name}", values[name], f"traits are {', '.join(names)}")
        if "subject" not in values:
            raise RecipeError("traits.subject", None, "use lady or lad")
        given = dict(values)
        worn = given.get("wear", ())
        if isinstance(worn, str):
            worn = [part.strip() for part in worn.split(",")]
        if isinstance(worn, list):
            given["wear"] = tuple(worn)  # pyright: ignore[reportUnknownArgumentType]
        return cls(**given)

    @classmethod
    def of(cls, value: object) -> "Traits":
        """The traits of a dict, of a JSON object in a text, or as they are. Raises RecipeError."""
        if isinstance(value, Traits):
            return value
        values = value
        if isinstance(value, str):
            try:
                values = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise RecipeError("traits", value, f"it is not JSON ({error})") from error
        if not isinstance(values, dict):
            raise RecipeError("traits", value, _EXAMPLE)
        return cls.from_dict(values)  # pyright: ignore[reportUnknownArgumentType]

    def caption(self) -> str:
        """`portrait of bespoke punk lady, red curly hair, wearing gold crown, ...`; the template adds the rest."""
        tags = [f"{SUBJECT} {self.subject}"]
        if self.hair is not None:
            tags.append(_hair(self.hair))
        tags += [f"wearing {_with('', one)}" for one in self.wear if one not in GROWN]
        tags += [phrase for one, phrase in GROWN.items() if one in self.wear]
        tags += [_with(noun, words) for noun, words in (("eyes", self.eyes), ("skin", self.skin)) if words is not None]
        if self.background is not None:
            tags.append(_background(self.background))
        return ", ".join(tags)

    @property
    def background_color(self) -> str | None:
        """The one colour that the background is asked to have, as `#rrggbb` or a CSS name; None for patterns."""
        return None if self.background is None else color_of(self.background)

    def notices(self) -> list[str]:
        """A line for every word that looks like a slip of one that the training knows; nothing is changed."""
        found: list[str] = []
        for one in fields(self):
            value: tuple[str, ...] | str | None = getattr(self, one.name)
            for text in value if isinstance(value, tuple) else (value or "",):
                for word, near in _near_misses(one.name, text):
                    found.append(f"traits.{one.name}: the training knows no {word!r}; did you mean {near!r}?")
        return found


def gather(values: Mapping[str, Any], base: Traits | None = None) -> dict[str, Any]:
    """A recipe's values, with traits that stand among them as fields of their own moved into its `traits`.

    `eyes` and `background` are both a trait and a recipe's field: they are traits beside others, or where `base` is
    what the values change, but for what no caption says (`keep`, `solid`, `transparent`).
    """
    given = dict(values)
    if base is None and not TRAITS_ONLY & given.keys():
        return given
    own = {one.name: given.pop(one.name) for one in fields(Traits) if given.get(one.name) not in PICTURE_ONLY}
    if own:
        known = base if given.get("traits") is None else Traits.of(given["traits"])
        before = {} if known is None else {one.name: getattr(known, one.name) for one in fields(known)}
        given["traits"] = Traits.from_dict(before | own)
    return given


def color_of(words: str) -> str | None:
    """The colour that these words name, the training's own or else CSS's; None where they name none, or a pattern."""
    if any(word in PATTERNS[1:] for word in _words(words)):
        return None
    if code := _HEX.search(words):
        return code[1].lower()
    name = " ".join(word for word in _words(words) if word not in ("solid", "background"))
    color = COLORS.get(name, name.replace(" ", ""))
    try:
        parse_color(color)
    except RecipeError:
        return None
    return color


def _check(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"traits.{name}", value, "use words, or leave it out")
    if len(value) > _MAX_LENGTH:
        raise RecipeError(f"traits.{name}", f"{len(value)} characters", f"use at most {_MAX_LENGTH}")
    if "\x00" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise RecipeError(f"traits.{name}", value, "it holds characters that no text may hold")


def _words(text: str) -> list[str]:
    return re.findall(r"[^\s,;()]+", text.lower())


def _with(noun: str, text: str) -> str:
    """Words in one phrase that ends with its noun: `green`, `green eyes` -> `green eyes`."""
    phrase = " ".join(part.strip() for part in text.split(",") if part.strip())
    return phrase if not noun or re.search(rf"\b{noun}$", phrase) else f"{phrase} {noun}"


def _hair(text: str) -> str:
    """`red, curly` -> `red curly hair`; `afro, black` -> `black afro`; `bald` stays alone."""
    parts = sorted((part.strip() for part in text.split(",")), key=lambda part: part.endswith(CUTS))
    phrase = _with("", ",".join(parts))
    return phrase if phrase.endswith((*CUTS, "bald")) else _with("hair", phrase)


def _background(text: str) -> str:
    """`teal` -> `teal solid background`, `blue checkered` as it is, `#6ae745` -> `... background (#6ae745)`."""
    if code := _HEX.search(text):
        words = _with("", _HEX.sub("", text)).removesuffix("background").strip() or _nearest_name(code[1])
        return f"{words} background ({code[1].lower()})"
    if any(word in PATTERNS for word in _words(text)) or _words(text)[-1] == "background":
        return _with("background", text)
    return _with("solid background", text)


def _nearest_name(code: str) -> str:
    names = list(COLORS)
    known = lab(np.array([parse_color(COLORS[name]) for name in names], np.uint8))
    return names[int(ciede2000(known, lab(np.array(parse_color(code), np.uint8))).argmin())]


def _near_misses(field: str, text: str) -> Iterable[tuple[str, str]]:
    known = [*VOCABULARY[field], *(COLORS if field in ("hair", "eyes", "wear") else ())]
    single = {word for phrase in known for word in phrase.split()} | {field, "hair", "cut", "and", "with", "in"}
    strange = [word for word in _words(text) if word not in single and not word.startswith("#")]
    whole = difflib.get_close_matches(text.lower(), known, 1, 0.85) if strange else []
    if whole and whole[0] not in text.lower():
        yield text, whole[0]
        return
    for word in strange:
        if near := difflib.get_close_matches(word, sorted(single), 1, 0.75):
            yield word, near[0]
