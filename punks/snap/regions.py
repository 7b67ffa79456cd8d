"""Masks of cells: what lies beside them, and what hangs together."""

from collections.abc import Callable

from punks.snap.art import Bools


def grow(mask: Bools, diagonal: bool = False) -> Bools:
    """The mask and its neighbours in 4 directions, or in 8."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    source, wide = tall if diagonal else mask, tall.copy()
    wide[:, 1:] |= source[:, :-1]
    wide[:, :-1] |= source[:, 1:]
    return wide


def reach(seed: Bools, allowed: Bools, by: Callable[[Bools], Bools] = grow) -> Bools:
    """The seed, and what can be reached from it through allowed cells, in steps as `by` takes them."""
    while True:
        wider = by(seed) & allowed | seed
        if (wider == seed).all():
            return seed
        seed = wider
