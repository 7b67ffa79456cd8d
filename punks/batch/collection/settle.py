"""Swaps values between punks until no rule is broken and, where that is asked for, no two are alike."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from punks.errors import BatchError

Columns = dict[str, list[str]]
_TRIES = 200_000  # swaps without a better one, and one more for each punk, before it gives up
_MOST = 3  # times that, in all


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
        return f"rule {self.number} (when {said(self.when)}, {what} {said(self.then)})"


def check_possible(rule: Rule, counts: Mapping[str, Mapping[str, int]], count: int) -> None:
    """Raises BatchError where numbers alone show that a rule cannot hold; rules on more than two types may pass."""
    if len(rule.when) > 1 or len(rule.then) > 1:
        return
    (one, ones), (other, others) = *rule.when.items(), *rule.then.items()
    have = sum(counts[one][value] for value in ones)
    room = sum(counts[other][value] for value in others)
    room = room if rule.always else count - room
    if have > room:
        raise BatchError(
            f"{rule} cannot hold: {have} of {count} punks have {said(rule.when)}, and only {room} of them may; "
            "change the weights"
        )


class AlikeError(BatchError):
    """Some punks are still alike."""


def settle(
    columns: Columns,
    free: Sequence[int],
    others: Sequence[int],
    rules: Sequence[Rule],
    unlike: Sequence[str],
    seed: str,
    shares: Mapping[str, Mapping[str, Fraction]] | None = None,
) -> None:
    """Swaps values between the `free` rows until they keep all rules, and differ from all rows in the types `unlike`.

    `others` are the rows that stay as they are. Without `unlike` punks may be alike. With `shares`, how many punks each
    value should have, it also replaces values as long as none is off by more than one. The search is min-conflicts with
    noise (Minton et al. 1992). Raises BatchError, or AlikeError where only twins are left.
    """
    rng, count = random.Random(seed), len(free)
    broken = {row: sum(rule.broken(columns, row) for rule in rules) for row in free}
    touched = {name for rule in rules for name in (*rule.when, *rule.then)}
    # the combination of values in a row as a number; all are 0 where punks may be alike
    codes, keys, place = dict[str, dict[str, int]](), [0] * len(next(iter(columns.values()))), 1
    for name in unlike:
        codes[name] = {value: place * at for at, value in enumerate(dict.fromkeys(columns[name]))}
        place *= len(codes[name])
        for row, value in enumerate(columns[name]):
            keys[row] += codes[name][value]
    copies = Counter(keys[row] for row in (*free, *others)) if unlike else Counter[int]()
    bad = [row for row in free if broken[row] or copies[keys[row]] > 1]
    where = {row: at for at, row in enumerate(bad)}

    def mark(row: int) -> None:
        wrong = broken[row] or copies[keys[row]] > 1
        if wrong and row not in where:
            where[row] = len(bad)
            bad.append(row)
        elif row in where and not wrong:
            last = bad.pop()
            at = where.pop(row)
            if last != row:
                bad[at], where[last] = last, at

    def put(name: str, moves: Sequence[tuple[int, str]]) -> int:
        """Gives rows other values of a type. -> how many more punks have a twin now."""
        column, more = columns[name], 0
        for row, value in moves:
            if name in codes:
                copies[keys[row]] -= 1
                more -= copies[keys[row]] > 0
                keys[row] += codes[name][value] - codes[name][column[row]]
                more += copies[keys[row]] > 0
                copies[keys[row]] += 1
            column[row] = value
        return more

    counts = {name: Counter(columns[name][row] for row in (*free, *others)) for name in shares or ()}

    def replaced(name: str, row: int) -> list[tuple[int, str]]:
        """A move that gives a row another value; none where a value would be off by more than one."""
        if shares is None:
            return []
        old, new, share = columns[name][row], rng.choice(list(codes[name])), shares[name]
        fits = old in share and new in share and counts[name][old] - 1 >= share[old] - 1
        return [(row, new)] if fits and new != old and counts[name][new] + 1 <= share[new] + 1 else []

    fewest, patience, left = len(bad), _TRIES + count, _MOST * (_TRIES + count)
    while bad and patience and left:
        patience, left = _TRIES + count if len(bad) < fewest else patience - 1, left - 1
        fewest = min(fewest, len(bad))
        row, other = rng.choice(bad), free[rng.randrange(count)]
        rule = next(one for one in rules if one.broken(columns, row)) if broken[row] else None
        if rule is None and copies[keys[row]] < 2:  # its twin has changed
            mark(row)
            continue
        name = rng.choice([*rule.when, *rule.then] if rule else unlike)
        column = columns[name]
        moves = replaced(name, row) if name in codes else []
        if not moves:
            if column[row] == column[other]:
                continue
            moves = [(row, column[other]), (other, column[row])]
        before = [(at, column[at]) for at, _ in moves]
        more, after = put(name, moves), [broken[at] for at, _ in moves]
        if rule is None and more > (rng.random() < 0.1 / count):  # for most: rules take longer to look at
            put(name, before)
            continue
        if name in touched:
            after = [sum(one.broken(columns, at) for one in rules) for at, _ in moves]
        worse = sum(after) - sum(broken[at] for at, _ in moves) + more
        if worse <= 0 or (worse == 1 and rng.random() < 0.1 / count):
            for (at, _), now in zip(moves, after, strict=True):
                broken[at] = now
                mark(at)
            if len(moves) == 1:
                counts[name].update({before[0][1]: -1, moves[0][1]: 1})
        else:
            put(name, before)
    if any(copies[keys[row]] > 1 for row in bad):
        raise AlikeError(f"{len(bad)} of {count} punks have the traits of another one, or break a rule")
    if bad:
        worst = max(rules, key=lambda rule: sum(rule.broken(columns, row) for row in bad))
        raise BatchError(
            f"the rules cannot all hold: {len(bad)} of {count} punks still break one, most often {worst}; "
            "change the weights, or loosen a rule"
        )


def said(conditions: Mapping[str, frozenset[str]]) -> str:
    """Conditions as a message has them."""
    return " and ".join(f"{name} {' or '.join(sorted(values))}" for name, values in conditions.items())
