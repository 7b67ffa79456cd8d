"""The file behind `--collection`: TOML with the traits of a collection, their weights and its rules.

count = 1000
name = "Night Watch #{number}"
image = "ipfs://CID/"

[traits.subject]            # a field of a portrait, its values and their weights
lady = 1
lad = 1

[traits.wear.headwear]      # several traits may fill one field
"gold crown" = 5
none = 95

[[rules]]
when = { headwear = "gold crown" }
never = { subject = "lad" }

[[one_of_ones]]             # a punk written by hand; or one_of_ones = "FILE.csv", a row each
number = 7
prompt = "lady, silver skin, antenna"
"""

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from punks.batch.collection.by_hand import one_of_ones
from punks.batch.collection.checks import Table, check_keys, listed, table_of, text_of
from punks.batch.collection.draw import NONE, Collection, Labels, TraitType
from punks.batch.collection.settle import Rule
from punks.errors import BatchError, RecipeError, wrong
from punks.recipe import MAX_SEED
from punks.request import TRAITS
from punks.traits import SUBJECTS, is_none

MOST = 1_000_000
LEAST, HEAVIEST = Decimal("0.000001"), 1_000_000_000  # weights
_TEXTS = ("name", "description", "external_url", "image")
_LABELS = (*_TEXTS, "names", "image_format", "hidden")
_KEYS = ("count", "seed", "unique_traits", *_LABELS, "traits", "rules", "one_of_ones")


def read_collection(path: Path, count: int | None = None, seed: int | None = None) -> Collection:
    """The collection in a TOML file; a count or seed given here replaces its own. Raises RecipeError, BatchError."""
    text = text_of(path)
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, as are numbers of 5,000 digits
        raise BatchError(f"{path}: not valid TOML ({wrong(error)})") from error
    given = {"count": count, "seed": seed}
    values |= {key: value for key, value in given.items() if value is not None}
    return parse_collection(values, path.resolve().parent)


def parse_collection(values: Table, folder: Path = Path()) -> Collection:
    """The collection of these tables; files that they name lie in the folder.

    Raises RecipeError naming key, value and what is allowed, BatchError for a file.
    """
    check_keys("", values, _KEYS)
    count, seed = values.get("count"), values.get("seed", 0)
    if type(count) is not int or not 1 <= count <= MOST:
        raise RecipeError("count", count, f"say how many punks: a whole number from 1 to {MOST}")
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise RecipeError("seed", seed, f"use a whole number from 0 to {MAX_SEED}")
    unique = values.get("unique_traits", False)
    if type(unique) is not bool:
        raise RecipeError("unique_traits", unique, "use true or false")
    types = _types(values.get("traits"))
    rules = [_rule(number, one, types) for number, one in enumerate(listed("rules", values.get("rules", [])), 1)]
    ones = one_of_ones(values.get("one_of_ones", []), folder, count)
    labels = _labels(values, folder, types, count)
    made = Collection(types=types, count=count, seed=seed, rules=rules, unique_traits=unique, ones=ones, labels=labels)
    for _ in made.alone():  # each value must be what a portrait may have
        pass
    return made


def _labels(values: Table, folder: Path, types: Sequence[TraitType], count: int) -> Labels:
    texts = {key: values[key] for key in _TEXTS if key in values}
    known = [one.name for one in types]
    for key, text in texts.items():
        if not isinstance(text, str):
            raise RecipeError(key, text, "use a text")
        for word in re.findall(r"\{([^{}]*)\}", text) if key != "image" else ():
            if word not in ("number", "name", *known):
                raise RecipeError(key, text, f"{{{word}}} is not known; there are {{number}}, {{name}} and traits")
    names = values.get("names", [])
    if isinstance(names, str):
        names = [line.strip() for line in text_of(folder / names).splitlines() if line.strip()]
    if any(not isinstance(name, str) or not name for name in listed("names", names)):
        raise RecipeError("names", names, "use a list of texts, or a text file with a name a line")
    if names and len(names) < count:
        raise RecipeError("names", f"{len(names)} names", f"there are {count} punks; add names")
    if twice := [name for name, many in Counter(names).items() if many > 1]:
        raise RecipeError("names", twice[0], "two punks would have this name")
    name = texts.setdefault("name", "{name}" if names else Labels().name)
    if "{number}" not in name and not (names and "{name}" in name):
        raise RecipeError("name", name, "put {number} into it, or {name} and give names; else all have the same name")
    form = values.get("image_format", "png")
    if form not in ("png", "svg"):
        raise RecipeError("image_format", form, "use png or svg")
    hidden = listed("hidden", values.get("hidden", []))
    for word in hidden:
        if word not in known:
            raise RecipeError("hidden", word, f"there are {', '.join(known)}")
    return Labels(**texts, names=names, image_format=form, hidden=frozenset(hidden))


def _types(value: object) -> list[TraitType]:
    """`[traits.eyes]` is the trait `eyes`, `[traits.hair.color]` is `hair color`, `[traits.wear.hat]` is `hat`."""
    found: list[TraitType] = []
    tables = table_of("traits", value, "give a table for each trait, such as [traits.subject] with lady = 1")
    check_keys("traits", tables, TRAITS)
    if "subject" not in tables:
        raise RecipeError("traits.subject", None, "give weights to lady, to lad or to both")
    for field, table in tables.items():
        where = f"traits.{field}"
        inside = table_of(where, table, 'give its values and their weights, such as "gold crown" = 5')
        if not all(isinstance(one, dict) for one in inside.values()):
            found.append(TraitType(name=field, field=field, weights=_weights(where, inside)))
            continue
        for part, weights in inside.items():
            name = part if field == "wear" else f"{field} {part}"
            found.append(TraitType(name=name, field=field, weights=_weights(f"{where}.{part}", weights)))
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError("traits", twice, "two traits have this name; give one of them another")
    for one in found:
        if one.field == "subject":
            for word in one.weights.keys() - set(SUBJECTS):
                raise RecipeError("traits.subject", word, "use lady and lad")
    return found


def _weights(where: str, value: object) -> dict[str, Fraction]:
    weights: dict[str, Fraction] = {}
    for name, weight in table_of(where, value, 'give its values and their weights, such as "gold crown" = 5').items():
        finite = type(weight) in (int, Decimal) and Decimal(weight).is_finite()
        if not finite or not LEAST <= weight <= HEAVIEST:
            raise RecipeError(f"{where}.{name}", weight, f"use a weight from {LEAST} to {HEAVIEST:,}")
        word = NONE if is_none(name) else name
        if word in weights:
            raise RecipeError(f"{where}.{name}", weight, "there are two of it; None in any case means nothing")
        weights[word] = Fraction(weight)
    return weights


def _rule(number: int, value: object, types: Sequence[TraitType]) -> Rule:
    where, way = f"rules[{number}]", "a rule has when, and never or always, each with traits and their values"
    table = table_of(where, value, way)
    if sorted(table) not in (["always", "when"], ["never", "when"]):
        raise RecipeError(where, table, way)
    sides = {key: _conditions(f"{where}.{key}", side, types) for key, side in table.items()}
    always = "always" in sides
    if both := sides["when"].keys() & sides["always" if always else "never"].keys():
        raise RecipeError(where, min(both), "a trait stands on one side of a rule only")
    return Rule(number=number, when=sides["when"], then=sides["always" if always else "never"], always=always)


def _conditions(where: str, value: object, types: Sequence[TraitType]) -> dict[str, frozenset[str]]:
    table = table_of(where, value, 'name traits and their values, such as { headwear = "gold crown" }')
    known = {one.name: list(one.weights) for one in types}
    check_keys(where, table, known)
    found: dict[str, frozenset[str]] = {}
    for name, given in table.items():
        words = cast(list[Any], given) if isinstance(given, list) else [given]
        words = [NONE if is_none(word) else word for word in words or [None]]
        for word in words:
            if word not in known[name]:
                raise RecipeError(f"{where}.{name}", word, f"its values are {', '.join(known[name])}")
        found[name] = frozenset(words)
    return found
