"""Traits of a portrait, and the caption that says them in the words and the order of the training captions."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from punks.errors import RecipeError, wrong
from punks.fields import check_text
from punks.palette import background_color, difference, hex_codes
from punks.prompts import SUBJECT
from punks.vocabulary import COLORS, CUTS, GROWN, MOUTHS, PATTERNS, SUBJECTS, TRAITS, Color

_EXAMPLE = 'use an object such as {"subject": "lady", "hair": "red, curly", "wear": ["gold crown"]}'
_MAX_LENGTH, _MAX_WORN = 200, 16
_HEX = re.compile(r"\(?(#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3}))\b\)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a portrait shows, in words; those in vocabulary.TRAITS are in the training captions.

    `hair` is color and style (`red, curly`), `background` a color, a pattern of colors, or a hex code.
    Raises RecipeError naming the field.
    """

    subject: str
    hair: str | None = None
    expression: str | None = None
    lips: str | None = None
    eyes: str | None = None
    skin: str | None = None
    background: str | None = None
    wear: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.subject not in SUBJECTS:
            raise RecipeError("traits.subject", self.subject, "use lady or lad")
        for one in fields(self):
            if one.name not in ("subject", "wear") and (value := getattr(self, one.name)) is not None:
                _check(one.name, value)
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
            given["wear"] = tuple(one for one in cast("list[Any]", worn) if not is_none(one))
        return cls(**{name: value for name, value in given.items() if name == "subject" or not is_none(value)})

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
                raise RecipeError("traits", value, f"it is not JSON ({wrong(error)})") from error
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
        if self.expression is not None:
            tags.append(_with("" if self.expression.strip().endswith(MOUTHS) else "expression", self.expression))
        said = (("lips", self.lips), ("eyes", self.eyes), ("skin", self.skin))
        tags += [_with(noun, words) for noun, words in said if words is not None]
        if self.background is not None:
            tags.append(_background(self.background))
        return ", ".join(tags)

    @property
    def background_color(self) -> Color | None:
        """The one color of the background, RGB 0-255; None for a pattern."""
        return None if self.background is None else background_color(self.background)

    def warnings(self) -> list[str]:
        """A line for every word that may be a misspelt word of the captions; nothing is changed."""
        found: list[str] = []
        for one in fields(self):
            value: tuple[str, ...] | str | None = getattr(self, one.name)
            for text in value if isinstance(value, tuple) else (value or "",):
                for word, near in _near_misses(one.name, text):
                    found.append(f"traits.{one.name}: {word!r} is not in the training captions; did you mean {near!r}?")
        return found


def is_none(word: object) -> bool:
    """Whether a word says that there is nothing, as `None` does in tables of other tools."""
    return isinstance(word, str) and word.strip().lower() == "none"


def _check(name: str, value: object) -> None:
    if not isinstance(value, str) or not re.search(r"\w", value):
        raise RecipeError(f"traits.{name}", value, "use words, or leave it out")
    if len(value) > _MAX_LENGTH:
        raise RecipeError(f"traits.{name}", f"{len(value)} characters", f"use at most {_MAX_LENGTH}")
    check_text(f"traits.{name}", value)


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
    return min(COLORS, key=lambda name: difference(COLORS[name], hex_codes(code)[0]))


def _near_misses(field: str, text: str) -> Iterable[tuple[str, str]]:
    known = [*TRAITS[field], *(COLORS if field in ("hair", "lips", "eyes", "wear") else ())]
    single = {word for phrase in known for word in phrase.split()} | {field, "hair", "cut", "and", "with", "in"}
    strange = [word for word in _words(text) if word not in single and not word.startswith("#")]
    whole = difflib.get_close_matches(text.lower(), known, 1, 0.85) if strange else []
    if whole and whole[0] not in text.lower():
        yield text, whole[0]
        return
    for word in strange:
        if near := difflib.get_close_matches(word, sorted(single), 1, 0.75):
            yield word, near[0]
