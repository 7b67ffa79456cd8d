"""Jobs: rows of a CSV or JSONL file, or a prompt with choices, each one a recipe. Read one by one, not all at once."""

import csv
import dataclasses
import json
import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from punks.errors import BatchError, PunkError, RecipeError, UnknownNameError
from punks.fields import parse_value
from punks.files.init_image import picture_hash
from punks.finish import Finish
from punks.recipe import Recipe, seed_after
from punks.request import ALIASES, FIELDS, TRAITS, check_names, divide

MOST = 100_000  # combinations of a prompt that are painted without being asked for by number
COLUMNS = tuple(dict.fromkeys(["image" if name == "image_sha256" else name for name in FIELDS] + list(TRAITS)))
_CHOICES = re.compile(r"\{([^{}]*)\}")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row: its number from 1, and its recipe and finish or the reason why there is none.

    `image` is the file that the recipe starts from. `asked` has the values of the row in place of which a run uses
    others.
    """

    number: int
    recipe: Recipe | None = None
    finish: Finish = dataclasses.field(default_factory=Finish)
    image: Path | None = None
    asked: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    error: str = ""

    @property
    def name(self) -> str:
        """What its files are called, without the suffix."""
        return f"{self.number:06d}"


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Rows that become jobs while they are iterated, as often as one likes; len() counts them.

    A row without a seed gets `seed` + number - 1. `defaults` stand where a row says nothing; `folder` is where the
    pictures lie that rows start from.
    """

    rows: Callable[[], Iterator[Any]]
    parse: Callable[[Any], Row]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    seed: int = 0
    folder: Path = Path()

    def __len__(self) -> int:
        return sum(1 for _ in self.rows())

    def __iter__(self) -> Iterator[Job]:
        return (self._job(number, row) for number, row in enumerate(self.rows(), 1))

    def _job(self, number: int, row: Any) -> Job:
        try:
            given = {**self.defaults, **{name: value for name, value in self.parse(row).items() if value is not None}}
            check_columns(given)
            given.setdefault("seed", seed_after(self.seed, number - 1))
            image = None
            if "image" in given:
                image = self.folder / str(given.pop("image"))
                given["image_sha256"] = _hash(image)
            recipe, finish = divide(given)
            return Job(number=number, recipe=recipe, finish=finish, image=image)
        except PunkError as error:
            return Job(number=number, error=str(error))


def jobs_of(recipes: Iterable[Recipe], finish: Finish | None = None) -> list[Job]:
    """Jobs of recipes made in Python."""
    how = finish or Finish()
    return [Job(number=number, recipe=recipe, finish=how.of(recipe)) for number, recipe in enumerate(recipes, 1)]


def read_jobs(path: Path, defaults: Mapping[str, Any], seed: int = 0) -> Jobs:
    """The jobs in a .csv or .jsonl file. Raises RecipeError on a column that no recipe has or that is there twice,
    BatchError on no rows.
    """
    match path.suffix.lower():
        case ".csv":
            rows, parse = _csv_rows, _csv_row
        case ".jsonl" | ".ndjson":
            rows, parse = _lines, _json_row
        case _:
            raise RecipeError("JOBS", str(path), "give a .csv or .jsonl file, or a prompt as --prompt")
    first = next(rows(path), None)
    if first is None:
        raise BatchError(f"{path}: there is no row in it")
    try:
        # a name that is wrong here is wrong in every row
        check_columns((name for name in first if name is not None) if parse is _csv_row else parse(first))
    except RecipeError as error:
        if isinstance(error, UnknownNameError):
            raise
    return Jobs(rows=lambda: rows(path), parse=parse, defaults=defaults, seed=seed, folder=path.resolve().parent)


def prompt_jobs(template: str, count: int | None, defaults: Mapping[str, Any], seed: int = 0) -> Jobs:
    """`lady, {red|blue} hair`: `count` prompts with a choice drawn for each, or every combination once.

    What is drawn for a row depends on `seed` and its number alone. Raises RecipeError.
    """
    parts = _CHOICES.split(template)
    if any("{" in text or "}" in text for text in parts[::2]):
        raise RecipeError("prompt", template, "braces hold choices, as in {red|blue}, and not other braces")
    choices = [text.split("|") for text in parts[1::2]]
    combinations = math.prod(len(one) for one in choices)
    if count is None and combinations > MOST:
        raise RecipeError("prompt", template, f"it has {combinations} combinations; say how many, with --count")
    if count is not None and count < 1:
        raise RecipeError("count", count, "use a whole number from 1 up")

    def prompt(number: int) -> Row:
        draw = random.Random(f"{seed}/{number}")
        chosen: list[str] = []
        for one in choices:
            number, at = divmod(number, len(one))
            chosen.append(one[at if count is None else int(draw.random() * len(one))])
        return {"prompt": "".join(a + b for a, b in zip(parts[::2], [*chosen, ""], strict=True))}

    return Jobs(rows=lambda: iter(range(count or combinations)), parse=prompt, defaults=defaults, seed=seed)


def check_columns(names: Iterable[str]) -> None:
    """Raises RecipeError on a name that no field of a recipe, a finish or traits has, with the one it may stand for."""
    check_names([ALIASES.get(name, name) for name in names], COLUMNS, "column")


def _csv_rows(path: Path) -> Iterator[Any]:
    # what is no UTF-8 spoils its own row only: a recipe refuses the lone surrogates
    with _opened(path) as file:
        # strict, or a quote that is not closed takes all that follows
        reader, line = csv.DictReader(file, strict=True), 0
        try:
            names = list(reader.fieldnames or [])
            if twice := next((name for name in names if name and names.count(name) > 1), ""):
                raise BatchError(f"{path}: duplicate column {twice!r}")
            if not names and any(file):
                raise BatchError(f"{path}: its first line is empty; begin with the names of the columns")
            line = reader.line_num
            for row in reader:
                yield row
                line = reader.line_num
        except csv.Error as error:
            raise BatchError(
                f"{path}: the row that begins in line {line + 1} cannot be read as CSV ({error}); "
                "a quote that opens a text has to close it, and one inside is written twice"
            ) from error


def _csv_row(row: Any) -> Row:
    if None in row:
        raise RecipeError("row", row[None], "it has more cells than there are columns; quote a text with commas in it")
    return {name: _value(name, text) for name, text in row.items() if name and text}


def _value(name: str, text: str) -> Any:
    field = FIELDS.get(ALIASES.get(name, name))
    return text if field is None else parse_value(field, text)


def _lines(path: Path) -> Iterator[Any]:
    with _opened(path) as file:
        yield from (line for line in file if line.strip())


def _json_row(line: Any) -> Row:
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except RecipeError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecipeError("row", line.strip(), f"it is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise RecipeError("row", row, "use a JSON object of fields")
    return row  # pyright: ignore[reportUnknownVariableType]


def _once(pairs: list[tuple[str, Any]]) -> Row:
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise RecipeError("row", twice, "two values have this name; leave one out")
    return dict(pairs)


def _opened(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error


@lru_cache(maxsize=256)
def _hash(path: Path) -> str:
    return picture_hash(path)
