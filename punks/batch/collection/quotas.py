"""How many of a collection have each value: never off by one, at whatever count, and never fewer in a larger one."""

import heapq
import math
from collections.abc import Mapping
from fractions import Fraction


def quotas(weights: Mapping[str, Fraction], count: int) -> dict[str, int]:
    """How many of `count` have each value: each share rounded up or down, ties in the order given.

    A larger count gives no value fewer, so collections grow. With n values no share is off by more than
    1 - 1 / (2n - 2). Source: R. Tijdeman, The chairman assignment problem, Discrete Mathematics 32 (1980).
    """
    unit = math.lcm(*(weight.denominator for weight in weights.values()))
    whole = {value: int(weight * unit) for value, weight in weights.items()}
    shared = math.gcd(*whole.values())
    parts = [weight // shared for weight in whole.values()]
    total, wide = sum(parts), max(1, 2 * len(parts) - 2)
    rounds, steps = divmod(count, total)  # after `total` steps all shares are exact, and it begins anew
    found = [rounds * part for part in parts]
    scale = math.lcm(*parts)

    def due(at: int, have: int) -> tuple[int, int, int]:
        """First step at which a value may get its next punk, and what orders those that may: the deadline."""
        return -(-(1 + wide * have) * total // (wide * parts[at])), (wide - 1 + wide * have) * (scale // parts[at]), at

    early = [due(at, 0) for at in range(len(parts))]
    heapq.heapify(early)
    ready: list[tuple[int, int]] = []
    have = [0] * len(parts)
    for step in range(1, steps + 1):
        while early and early[0][0] <= step:
            _, deadline, at = heapq.heappop(early)
            heapq.heappush(ready, (deadline, at))
        _, at = heapq.heappop(ready)
        have[at] += 1
        heapq.heappush(early, due(at, have[at]))
    return {value: all_ + more for value, all_, more in zip(weights, found, have, strict=True)}


def shares(weights: Mapping[str, Fraction], count: int) -> dict[str, Fraction]:
    """How many of `count` would have each value, were punks divisible."""
    total = sum(weights.values())
    return {value: count * weight / total for value, weight in weights.items()}


def targets(weights: Mapping[str, Fraction], count: int, kept: Mapping[str, int]) -> dict[str, int]:
    """How many of `count` have each value where these are kept already: the quotas, or as near to them as can be."""
    wanted, exact = quotas(weights, count), shares(weights, count)
    found = {value: max(wanted.get(value, 0), kept.get(value, 0)) for value in {**wanted, **kept}}
    for _ in range(sum(found.values()) - count):
        spare = [value for value in wanted if found[value] > kept.get(value, 0)]
        found[max(spare, key=lambda value: found[value] - exact[value])] -= 1
    return found
