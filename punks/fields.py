"""Fields of settings: choices, bounds and help, which the command line, the API, tables and errors read here."""

import dataclasses
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from punks.errors import RecipeError

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a field may hold, and its help."""

    about: str
    ge: float | None = None
    le: float | None = None
    choices: Collection[str] | None = None
    max_length: int | None = None

    def allowed(self, *, whole: bool) -> str:
        """What is allowed, as the end of an error message."""
        if self.choices:
            return f"choose one of {', '.join(self.choices)}"
        if self.max_length:
            return f"use text of at most {self.max_length} characters"
        number = "whole number" if whole else "number"
        return f"use a {number} from {self.ge} to {self.le}" if self.le is not None else "use true or false"


def setting(about: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A dataclass field with its bounds."""
    return dataclasses.field(default=default, metadata={"bounds": Bounds(about=about, **limits)})


def bounds(field: "dataclasses.Field[Any]") -> Bounds:
    """The bounds of a field."""
    return field.metadata["bounds"]


def kinds(field: "dataclasses.Field[Any]") -> tuple[Any, ...]:
    """The types that a field may hold, such as (int, NoneType)."""
    parts: tuple[Any, ...] = get_args(field.type) or (field.type,)
    if get_origin(field.type) is tuple:
        parts = (tuple,)
    return parts


def parse_value(field: "dataclasses.Field[Any]", text: str) -> Any:
    """Text, as in a table or on a command line, as the value that a field holds. Raises RecipeError."""
    allowed, word = kinds(field), text.strip()
    if bool in allowed and word.lower() in _TRUTH:
        return _TRUTH[word.lower()]
    if int in allowed and re.fullmatch(r"[-+]?\d{1,99}(\.0*)?", word):
        return int(word.partition(".")[0])
    if float in allowed and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", word, re.IGNORECASE):
        return float(word)
    if not {bool, int, float} & set(allowed):
        return text
    way = bounds(field).allowed(whole=int in allowed)
    if int in allowed and re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", word):
        way = f"write {word.replace(',', '')} without a separator"
    elif float in allowed and re.fullmatch(r"[-+]?\d+,\d+", word):
        way = f"write {word.replace(',', '.')} with a decimal point"
    elif int in allowed and re.fullmatch(r"[-+]?[\d.,]+e\+?\d+", word, re.IGNORECASE):
        way = "a spreadsheet has rounded this number; format its column as text and enter it again"
    raise RecipeError(field.name, text, way)


def whole(field: "dataclasses.Field[Any]", value: Any) -> Any:
    """2.0 as 2 where a whole number belongs: JSON has one kind of number."""
    exact = isinstance(value, float) and int in kinds(field) and value.is_integer()
    return int(value) if exact else value


def check(settings: Any, free: Collection[str] = ()) -> None:
    """Raises RecipeError for a field of a dataclass that has the wrong type or is out of bounds.

    Types are exact: a bool is not a number, a number is not text; a whole number may stand for a float. Fields that are
    `free` may hold other values than their choices.
    """
    for field in dataclasses.fields(settings):
        value, limits, allowed = getattr(settings, field.name), bounds(field), kinds(field)
        fits = type(value) in allowed or (float in allowed and type(value) is int)
        if fits and limits.choices and value is not None and field.name not in free:
            fits = value in limits.choices
        if fits and isinstance(value, int | float) and limits.le is not None:
            fits = (limits.ge or 0) <= value <= limits.le  # never true of NaN
        if not fits:
            raise RecipeError(field.name, value, limits.allowed(whole=int in allowed))
        if isinstance(value, str):
            if limits.max_length and len(value) > limits.max_length:
                raise RecipeError(field.name, f"{len(value)} characters", limits.allowed(whole=False))
            check_text(field.name, value)


def check_text(name: str, value: str) -> None:
    """Raises RecipeError for text with NUL characters or lone surrogates."""
    if "\x00" in value or any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise RecipeError(name, value, "remove the characters that are not valid text")
