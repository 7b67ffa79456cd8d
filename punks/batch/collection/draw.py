"""A collection: trait types with weighted values become rows of traits, each value exactly as often as it should be."""

import bisect
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from punks.batch.collection.quotas import shares, targets
from punks.batch.collection.settle import AlikeError, Columns, Rule, check_possible, settle
from punks.batch.jobs import Job, check_columns
from punks.batch.manifest import Entry
from punks.errors import BatchError, PunkError
from punks.files.init_image import picture_hash
from punks.recipe import seed_after
from punks.request import TRAITS, divide
from punks.traits import Traits

NONE = "none"
ONE_OF_ONE = "one of one"  # the trait of punks that were written by hand


@dataclass(frozen=True, kw_only=True, slots=True)
class TraitType:
    """What punks differ in, such as `hair color`: the field of Traits that it fills, and the weight of each value."""

    name: str
    field: str
    weights: Mapping[str, Fraction]


@dataclass(frozen=True, kw_only=True, slots=True)
class OneOfOne:
    """A punk written by hand: the columns of its row, its name if it has one, and its attributes."""

    row: Mapping[str, Any]
    name: str = ""
    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What the metadata say. Texts may have `{number}`, `{name}` and `{TRAIT}` in them; see punks.report.metadata.

    `names` are those of the punks in their order, `image` is the address of the pictures' folder, `hidden` the types
    that metadata and rarity leave out.
    """

    name: str = "Punk #{number}"
    names: Sequence[str] = ()
    description: str = ""
    external_url: str = ""
    image: str = ""
    image_format: str = "png"
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Collection:
    """`count` punks: what they differ in, which combinations there must not be, and what their metadata say.

    The same seed draws the same rows. `ones` are the punks written by hand, by number. With `unique_traits` no two
    punks have the same traits, hidden ones aside.
    """

    types: Sequence[TraitType]
    count: int
    seed: int = 0
    rules: Sequence[Rule] = ()
    unique_traits: bool = False
    ones: Mapping[int, OneOfOne] = field(default_factory=dict[int, OneOfOne])
    labels: Labels = field(default_factory=Labels)

    def draw(self, drawn: Mapping[str, Sequence[str]] | None = None) -> Columns:
        """A value of each type for every punk: exact quotas, shuffled, then swapped until no rule is broken.

        `drawn` are values that stay, by type and row; rows beyond its end, and empty values, are drawn. Swaps change
        who has a value, never how many. One-of-ones have empty values. Raises BatchError if that is impossible.
        """
        try:
            return self._arranged(drawn or {}, self.count)
        except AlikeError as error:
            possible = self._possible(drawn or {})
            raise BatchError(
                f"unique_traits: found no way for {self.count} punks to differ under these weights and rules; "
                f"{possible} can; use --count {possible}, or add values"
            ) from error

    def _arranged(self, drawn: Mapping[str, Sequence[str]], count: int) -> Columns:
        """The columns of so many punks. Raises AlikeError where some would be alike, BatchError for a broken rule."""
        size = max(map(len, drawn.values()), default=0)
        names = list(dict.fromkeys([*(one.name for one in self.types), *drawn]))
        columns = {name: [*drawn.get(name, ()), *[""] * count][:count] for name in names}
        rows = [row for row in range(count) if row + 1 not in self.ones]
        for row in set(range(count)) - set(rows):
            for column in columns.values():
                column[row] = ""
        free = [row for row in rows if row >= size or not any(column[row] for column in columns.values())]
        stay = sorted(set(rows) - set(free))
        counts: dict[str, Counter[str]] = {}
        for one in self.types:
            kept = Counter(columns[one.name][row] or NONE for row in stay)
            counts[one.name] = Counter(targets(one.weights, len(rows), kept))
            counts[one.name].subtract(kept)
        for rule in self.rules:
            check_possible(rule, counts, len(free))
        if self.unique_traits and free and self._most(len(rows)) < len(rows):
            raise AlikeError("there are too few values")
        for name, of in counts.items():
            bag = list(of.elements())
            random.Random(f"{self.seed}/{name}").shuffle(bag)
            for row, value in zip(free, bag, strict=True):
                columns[name][row] = value
        asked = (columns, free, stay, self.rules, self.shown if self.unique_traits else (), f"{self.seed}/rules")
        try:
            settle(*asked)
        except AlikeError:
            settle(*asked, {one.name: shares(one.weights, len(rows)) for one in self.types})
        return columns

    @property
    def shown(self) -> list[str]:
        """The names of the types that are not hidden."""
        return [one.name for one in self.types if one.name not in self.labels.hidden]

    def _most(self, count: int) -> int:
        """The most of `count` drawn punks that may all differ, as far as numbers of combinations tell."""
        types = [one for one in self.types if one.name in self.shown]
        combinations = math.prod(len(one.weights) for one in types)

        def crowded(number: int) -> bool:
            """Whether more punks must have a value than there are combinations with it."""
            room = {one.name: combinations // len(one.weights) for one in types}
            return any(max(shares(one.weights, number).values()) - 1 > room[one.name] for one in types)

        return bisect.bisect_left(range(1, min(count, combinations) + 1), True, key=crowded)

    def _possible(self, drawn: Mapping[str, Sequence[str]]) -> int:
        """The largest number of punks that a draw succeeds for, found by halving; to 10% where there are many."""
        low, high = max(map(len, drawn.values()), default=0), self._most(self.count) + len(self.ones) + 1
        while high - low > 1 + low // 10:
            middle = (low + high) // 2
            try:
                self._arranged(drawn, middle)
                low = middle
            except BatchError:
                high = middle
        return low

    def jobs(self, defaults: Mapping[str, Any], drawn: Mapping[str, Sequence[str]] | None = None) -> "CollectionJobs":
        """A job for each punk, with these fields of a recipe; `image` is the file that all of them start from.

        Raises RecipeError, ImageError, and what `draw` raises.
        """
        check_columns(defaults)
        image = defaults.get("image")
        fields = {name: value for name, value in defaults.items() if name != "image"}
        if image is not None:
            fields["image_sha256"] = picture_hash(image)
        return CollectionJobs(collection=self, columns=self.draw(drawn), fields=fields, image=image)

    def traits(self, values: Mapping[str, str]) -> Traits:
        """Values by type -> the traits of a portrait; types of one field are said one after the other."""
        filled: dict[str, list[str]] = {name: [] for name in TRAITS}
        for one in self.types:
            if values.get(one.name, NONE) != NONE:
                filled[one.field].append(values[one.name])
        worn = tuple(filled.pop("wear"))
        return Traits(**{name: ", ".join(words) or None for name, words in filled.items()}, wear=worn)  # pyright: ignore[reportArgumentType]

    def alone(self) -> Iterator[tuple[TraitType, str, Traits]]:
        """Each type and value with the portrait that shows that value and no other. Raises RecipeError on its words."""
        subject = next(one for one in self.types if one.field == "subject")
        for one in self.types:
            for value in one.weights:
                yield one, value, self.traits({subject.name: next(iter(subject.weights)), one.name: value})


@dataclass(frozen=True, kw_only=True)
class CollectionJobs:
    """Jobs of drawn rows, each with its traits and a seed: `seed`, `seed` + 1, ..."""

    collection: Collection
    columns: Columns
    fields: Mapping[str, Any]
    image: Path | None

    def __len__(self) -> int:
        return self.collection.count

    def __iter__(self) -> Iterator[Job]:
        return map(self._job, range(1, len(self) + 1))

    def _job(self, number: int) -> Job:
        fields = {**self.fields, "seed": seed_after(self.collection.seed, number - 1)}
        one = self.collection.ones.get(number)
        if one is None:
            recipe, finish = divide({**fields, "traits": self.collection.traits(self.values(number))})
            return Job(number=number, recipe=recipe, finish=finish, image=self.image)
        try:
            recipe, finish = divide({**fields, **one.row})
        except PunkError as error:  # with the fields of all; by itself the row was right
            return Job(number=number, error=str(error))
        return Job(number=number, recipe=recipe.outputs(1, draw=True)[0], finish=finish, image=self.image)

    def notices(self) -> list[str]:
        """Lines on values that look like a slip of a word that the training knows, and on numbers that are off."""
        lines = [line for _, _, traits in self.collection.alone() for line in traits.warnings()]
        drawn = len(self) - len(self.collection.ones)
        for one in self.collection.types:
            counts = Counter(self.columns[one.name])
            if nobody := [value for value in one.weights if not counts[value]]:
                lines.append(f"{one.name}: none of {drawn} punks gets {', '.join(nobody)}; the weight is too small")
            for value, share in shares(one.weights, drawn).items():
                if abs(counts[value] - share) > 1:
                    lines.append(
                        f"{one.name}: {counts[value]} of {drawn} punks have {value}, where its weight gives "
                        f"{float(share):.3g}; the punks that are kept leave no other way"
                    )
        return list(dict.fromkeys(lines))

    def values(self, number: int) -> Mapping[str, str]:
        """What was drawn for a punk, by type, or the attributes of a one-of-one; numbers begin at 1."""
        if one := self.collection.ones.get(number):
            return one.attributes
        return {name: column[number - 1] for name, column in self.columns.items() if column[number - 1]}

    def described(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Entries of the manifest with their `traits`; those of punks that are not in this collection are left out."""
        return ({**one, "traits": self.values(one["job"])} for one in entries if one["job"] <= len(self))
