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
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from punks.batch.collection.draw import FIELDS, Collection, Rule, TraitType
from punks.errors import BatchError, RecipeError, wrong
from punks.recipe import MAX_SEED
from punks.traits import SUBJECTS

MOST = 1_000_000
LEAST, HEAVIEST = Decimal("0.000001"), 1_000_000_000  # weights
_KEYS = ("count", "seed", "name", "description", "image", "traits", "rules")

Table = dict[str, Any]


def read_collection(path: Path, count: int | None = None, seed: int | None = None) -> Collection:
    """The collection in a TOML file; a count or seed given here replaces its own. Raises RecipeError, BatchError."""
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise BatchError(f"{path}: not valid UTF-8 ({error})") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, as are numbers of 5,000 digits
        raise BatchError(f"{path}: not valid TOML ({wrong(error)})") from error
    given = {"count": count, "seed": seed}
    return parse_collection(values | {key: value for key, value in given.items() if value is not None})


def parse_collection(values: Table) -> Collection:
    """The collection of these tables. Raises RecipeError naming key, value and what is allowed."""
    _check_keys("", values, _KEYS)
    count, seed = values.get("count"), values.get("seed", 0)
    if type(count) is not int or not 1 <= count <= MOST:
        raise RecipeError("count", count, f"say how many punks: a whole number from 1 to {MOST}")
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise RecipeError("seed", seed, f"use a whole number from 0 to {MAX_SEED}")
    texts = {key: values[key] for key in ("name", "description", "image") if key in values}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise RecipeError(key, text, "use a text")
    if "{number}" not in texts.get("name", "{number}"):
        raise RecipeError("name", texts["name"], "put {number} into it, or all punks have the same name")
    types = _types(values.get("traits"))
    rules = [_rule(number, one, types) for number, one in enumerate(_list(values.get("rules", [])), 1)]
    made = Collection(types=types, count=count, seed=seed, rules=rules, **texts)
    for _ in made.alone():  # each value must be what a portrait may have
        pass
    return made


def _types(value: object) -> list[TraitType]:
    """`[traits.eyes]` is the trait `eyes`, `[traits.hair.colour]` is `hair colour`, `[traits.wear.hat]` is `hat`."""
    found: list[TraitType] = []
    tables = _table("traits", value, "give a table for each trait, such as [traits.subject] with lady = 1")
    _check_keys("traits", tables, FIELDS)
    if "subject" not in tables:
        raise RecipeError("traits.subject", None, "give weights to lady, to lad or to both")
    for field, table in tables.items():
        where = f"traits.{field}"
        inside = _table(where, table, 'give its values and their weights, such as "gold crown" = 5')
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
    for name, weight in _table(where, value, 'give its values and their weights, such as "gold crown" = 5').items():
        finite = type(weight) in (int, Decimal) and Decimal(weight).is_finite()
        if not finite or not LEAST <= weight <= HEAVIEST:
            raise RecipeError(f"{where}.{name}", weight, f"use a weight from {LEAST} to {HEAVIEST:,}")
        weights[name] = Fraction(weight)
    return weights


def _rule(number: int, value: object, types: Sequence[TraitType]) -> Rule:
    where, way = f"rules[{number}]", "a rule has when, and never or always, each with traits and their values"
    table = _table(where, value, way)
    if sorted(table) not in (["always", "when"], ["never", "when"]):
        raise RecipeError(where, table, way)
    sides = {key: _conditions(f"{where}.{key}", side, types) for key, side in table.items()}
    always = "always" in sides
    if both := sides["when"].keys() & sides["always" if always else "never"].keys():
        raise RecipeError(where, min(both), "a trait stands on one side of a rule only")
    return Rule(number=number, when=sides["when"], then=sides["always" if always else "never"], always=always)


def _conditions(where: str, value: object, types: Sequence[TraitType]) -> dict[str, frozenset[str]]:
    table = _table(where, value, 'name traits and their values, such as { headwear = "gold crown" }')
    known = {one.name: list(one.weights) for one in types}
    _check_keys(where, table, known)
    found: dict[str, frozenset[str]] = {}
    for name, given in table.items():
        words = cast(list[Any], given) if isinstance(given, list) else [given]
        for word in words or [None]:
            if word not in known[name]:
                raise RecipeError(f"{where}.{name}", word, f"its values are {', '.join(known[name])}")
        found[name] = frozenset(words)
    return found


def _table(where: str, value: object, way: str) -> Table:
    if isinstance(value, dict) and value:
        return cast(Table, value)
    raise RecipeError(where, cast(object, value), way)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise RecipeError("rules", value, "write each rule as [[rules]]")
    return cast(list[Any], value)


def _check_keys(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecipeError(f"{where}.{key}".removeprefix("."), table[key], f"{hint}there are {', '.join(known)}")
