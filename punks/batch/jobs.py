"""Jobs: rows of a table, or a prompt with choices, each one a punk. Read one by one, not all at once."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punks.batch.tables import Row, rows_of
from punks.errors import BatchError, PunkError, RecipeError
from punks.fields import check_text
from punks.files.init_image import picture_hash
from punks.files.pictures import local
from punks.finish import Finish
from punks.lora.store import with_loras
from punks.prompts import Choices
from punks.recipe import Recipe, seed_after
from punks.request import ALIASES, FIELDS, TRAITS, check_names, divide

MOST = 100_000  # combinations of a prompt that are painted without being asked for by number
_COLUMN = {"image_sha256": "image", "loras": "lora"}  # what a table gives in place of a field
COLUMNS = tuple(dict.fromkeys([*(_COLUMN.get(name, name) for name in FIELDS), "loras", *TRAITS]))
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row: its number from 1, and its recipe and finish or the reason why there is none.

    `image` is the file that the recipe starts from. `asked` has the values of the row in place of which a run uses
    others; `rejected` the seeds whose punks somebody rejected, so that it was painted with another one.
    """

    number: int
    recipe: Recipe | None = None
    finish: Finish = dataclasses.field(default_factory=Finish)
    image: Path | None = None
    asked: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    rejected: tuple[int, ...] = ()
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

    rows: Callable[[], Iterator[Row | PunkError]]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    seed: int = 0
    folder: Path = Path()

    def __len__(self) -> int:
        return sum(1 for _ in self.rows())

    def __iter__(self) -> Iterator[Job]:
        return (self._job(number, row) for number, row in enumerate(self.rows(), 1))

    def _job(self, number: int, row: Row | PunkError) -> Job:
        if isinstance(row, PunkError):
            return Job(number=number, error=str(row))
        try:
            given = {**self.defaults, **{name: value for name, value in row.items() if value is not None}}
            check_columns(given)
            given.setdefault("seed", seed_after(self.seed, number - 1))
            image = None
            if "image" in given:
                name = str(given.pop("image"))
                check_text("image", name)
                image = self.folder / local(name)
                given["image_sha256"] = picture_hash(image)
            if "lora" in given:
                text = given.pop("lora")
                given = with_loras(given, text.split(";") if isinstance(text, str) else text, log.info)
            recipe, finish = divide(given)
            return Job(number=number, recipe=recipe.outputs(1, draw=True)[0], finish=finish, image=image)
        except PunkError as error:
            return Job(number=number, error=str(error))


def jobs_of(recipes: Iterable[Recipe], finish: Finish | None = None) -> list[Job]:
    """Jobs of recipes made in Python."""
    how = finish or Finish()
    return [Job(number=number, recipe=recipe, finish=how.of(recipe)) for number, recipe in enumerate(recipes, 1)]


def read_jobs(path: Path, defaults: Mapping[str, Any], seed: int = 0) -> Jobs:
    """The jobs in a table, see tables.rows_of. Raises RecipeError on an unknown column, BatchError on no rows."""
    first = next(rows_of(path), None)
    if first is None:
        raise BatchError(f"{path}: no rows")
    if isinstance(first, dict):
        check_columns(first)  # a name that is wrong here is wrong in every row
    return Jobs(rows=lambda: rows_of(path), defaults=defaults, seed=seed, folder=path.resolve().parent)


def prompt_jobs(template: str, count: int | None, defaults: Mapping[str, Any], seed: int = 0) -> Jobs:
    """`lady, {red|blue} hair`: `count` prompts with a choice drawn for each, or every combination once.

    What is drawn for a row depends on `seed` and its number alone. Raises RecipeError.
    """
    choices = Choices(template)
    combinations = choices.combinations
    if count is None and combinations > MOST:
        raise RecipeError("prompt", template, f"it has {combinations} combinations; say how many, with --count")
    if count is not None and count < 1:
        raise RecipeError("count", count, "use a whole number from 1 up")

    def prompt(number: int) -> Row:
        return {"prompt": choices.combination(number) if count is None else choices.drawn(seed, number)}

    return Jobs(rows=lambda: map(prompt, range(count or combinations)), defaults=defaults, seed=seed)


def check_columns(names: Iterable[str]) -> None:
    """Raises RecipeError on a name that no field of a recipe, a finish or traits has, with the one it may stand for."""
    check_names([ALIASES.get(name, name) for name in names], COLUMNS, "column")
