"""A collection: trait types with weighted values become rows of traits, each value exactly as often as it should be."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from punks.batch.jobs import Job, check_columns
from punks.batch.manifest import Entry
from punks.errors import BatchError
from punks.files.init_image import picture_hash
from punks.recipe import seed_after
from punks.request import divide
from punks.traits import Traits

NONE = "none"
FIELDS = ("subject", "hair", "eyes", "skin", "background", "wear")
_TRIES = 200_000  # swaps without a better one, and one more for each punk, before it gives up

Columns = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TraitType:
    """What punks differ in, such as `hair colour`: the field of Traits that it fills, and the weight of each value."""

    name: str
    field: str
    weights: Mapping[str, Fraction]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Where all of `when` holds, all of `then` must hold (`always`), or must not. Both name types and their values."""

    number: int
    when: Mapping[str, frozenset[str]]
    then: Mapping[str, frozenset[str]]
    always: bool

    def broken(self, columns: Columns, row: int) -> bool:
        if not all(columns[name][row] in values for name, values in self.when.items()):
            return False
        return self.always != all(columns[name][row] in values for name, values in self.then.items())

    def __str__(self) -> str:
        what = "always" if self.always else "never"
        return f"rule {self.number} (when {_said(self.when)}, {what} {_said(self.then)})"


@dataclass(frozen=True, kw_only=True)
class Collection:
    """`count` punks: what they differ in, which combinations there must not be, and what their metadata say.

    `name` has `{number}` in it; the picture's file name is put behind `image`. The same seed draws the same rows.
    """

    types: Sequence[TraitType]
    count: int
    seed: int = 0
    rules: Sequence[Rule] = ()
    name: str = "Punk #{number}"
    description: str = ""
    image: str = ""

    def draw(self) -> Columns:
        """A value of each type for every punk: exact quotas, shuffled, then swapped until no rule is broken.

        Swaps change who has a value, never how many. Raises BatchError if the rules cannot hold, or did not.
        """
        counts = {one.name: quotas(one.weights, self.count) for one in self.types}
        for rule in self.rules:
            _check_possible(rule, counts, self.count)
        columns = {name: [value for value in one for _ in range(one[value])] for name, one in counts.items()}
        for name, column in columns.items():
            random.Random(f"{self.seed}/{name}").shuffle(column)
        _settle(columns, self.rules, random.Random(f"{self.seed}/rules"))
        return columns

    def jobs(self, defaults: Mapping[str, Any]) -> "CollectionJobs":
        """A job for each punk, with these fields of a recipe; `image` is the file that all of them start from.

        Raises RecipeError, ImageError, and what `draw` raises.
        """
        check_columns(defaults)
        image = defaults.get("image")
        fields = {name: value for name, value in defaults.items() if name != "image"}
        if image is not None:
            fields["image_sha256"] = picture_hash(image)
        return CollectionJobs(collection=self, columns=self.draw(), fields=fields, image=image)

    def traits(self, values: Mapping[str, str]) -> Traits:
        """Values by type -> the traits of a portrait; types of one field are said one after the other."""
        filled: dict[str, list[str]] = {name: [] for name in FIELDS}
        for one in self.types:
            if one.name in values and values[one.name] != NONE:
                filled[one.field].append(values[one.name])
        worn = tuple(filled.pop("wear"))
        return Traits(**{name: ", ".join(words) or None for name, words in filled.items()}, wear=worn)  # pyright: ignore[reportArgumentType]

    def alone(self) -> Iterator[tuple[TraitType, str, Traits]]:
        """Each type and value with the portrait that shows that value and no other. Raises RecipeError on its words."""
        subject = next(one for one in self.types if one.field == "subject")
        for one in self.types:
            for value in one.weights:
                yield one, value, self.traits({subject.name: next(iter(subject.weights)), one.name: value})

    def notices(self) -> list[str]:
        """Lines on values that look like a slip of a word that the training knows, and on those that no punk gets."""
        lines = [line for _, _, traits in self.alone() for line in traits.warnings()]
        for one in self.types:
            if nobody := [value for value, number in quotas(one.weights, self.count).items() if number == 0]:
                lines.append(
                    f"{one.name}: none of {self.count} punks gets {', '.join(nobody)}; the weight is too small"
                )
        return list(dict.fromkeys(lines))


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
        for number in range(1, len(self) + 1):
            traits = self.collection.traits(self.values(number))
            seed = seed_after(self.collection.seed, number - 1)
            recipe, finish = divide({**self.fields, "traits": traits, "seed": seed})
            yield Job(number=number, recipe=recipe, finish=finish, image=self.image)

    def values(self, number: int) -> dict[str, str]:
        """What was drawn for a punk, by type; numbers begin at 1."""
        return {name: column[number - 1] for name, column in self.columns.items()}

    def described(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Entries of the manifest with their `traits`; those of punks that are not in this collection are left out."""
        return ({**one, "traits": self.values(one["job"])} for one in entries if one["job"] <= len(self))


def quotas(weights: Mapping[str, Fraction], count: int) -> dict[str, int]:
    """How many of `count` have each value: the largest-remainder method (Hamilton 1792), ties in the order given."""
    total = sum(weights.values())
    shares = {value: count * weight / total for value, weight in weights.items()}
    whole = {value: int(share) for value, share in shares.items()}
    by_remainder = sorted(shares, key=lambda value: whole[value] - shares[value])
    for value in by_remainder[: count - sum(whole.values())]:
        whole[value] += 1
    return whole


def _check_possible(rule: Rule, counts: Mapping[str, Mapping[str, int]], count: int) -> None:
    """Raises BatchError where numbers alone show that a rule cannot hold; rules on more than two types may pass."""
    if len(rule.when) > 1 or len(rule.then) > 1:
        return
    (one, ones), (other, others) = *rule.when.items(), *rule.then.items()
    have = sum(counts[one][value] for value in ones)
    room = sum(counts[other][value] for value in others)
    room = room if rule.always else count - room
    if have > room:
        raise BatchError(
            f"{rule} cannot hold: {have} of {count} punks have {_said(rule.when)}, and only {room} of them may; "
            "change the weights"
        )


def _settle(columns: Columns, rules: Sequence[Rule], rng: random.Random) -> None:
    """Swaps values between rows until no rule is broken: min-conflicts with noise (Minton et al. 1992)."""
    count = len(next(iter(columns.values())))
    broken = [sum(rule.broken(columns, row) for rule in rules) for row in range(count)]
    bad = [row for row in range(count) if broken[row]]
    place = {row: at for at, row in enumerate(bad)}

    def update(row: int, now: int) -> None:
        if now and not broken[row]:
            place[row] = len(bad)
            bad.append(row)
        elif broken[row] and not now:
            last = bad.pop()
            at = place.pop(row)
            if last != row:
                bad[at], place[last] = last, at
        broken[row] = now

    fewest, patience = len(bad), _TRIES + count
    while patience:
        if not bad:
            return
        patience = _TRIES + count if len(bad) < fewest else patience - 1
        fewest = min(fewest, len(bad))
        row, other = rng.choice(bad), rng.randrange(count)
        rule = next(one for one in rules if one.broken(columns, row))
        column = columns[rng.choice([*rule.when, *rule.then])]
        column[row], column[other] = column[other], column[row]
        after = [sum(one.broken(columns, at) for one in rules) for at in (row, other)]
        worse = sum(after) - broken[row] - broken[other]
        if worse <= 0 or (worse == 1 and rng.random() < 0.1 / count):
            update(row, after[0])
            update(other, after[1])
        else:
            column[row], column[other] = column[other], column[row]
    worst = max(rules, key=lambda rule: sum(rule.broken(columns, row) for row in bad))
    raise BatchError(
        f"the rules cannot all hold: {len(bad)} of {count} punks still break one, most often {worst}; "
        "change the weights, or loosen a rule"
    )


def _said(conditions: Mapping[str, frozenset[str]]) -> str:
    return " and ".join(f"{name} {' or '.join(sorted(values))}" for name, values in conditions.items())
