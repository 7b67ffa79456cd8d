"""What the model learns from: damaged pictures as the restorer sees them, and the groups that merging gets into."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks.snap.art import Floats, Ints
from punks.snap.background import CLOUD, off_ground
from punks.snap.cells import sample, settle
from punks.snap.color import ciede2000, lab
from punks.snap.evidence import Evidence, gather
from punks.snap.grid import find_grid
from punks.snap.grouping import alike, drift_field
from punks.snap.groups import Groups, candidates, mergers, start
from punks.snap.level import level
from punks.snap.model import SEEN, Weights, look, weigh
from training.canvas import GRID
from training.merging.damage import choose, damage
from training.merging.truth import make

PURE = 0.7
COST = {"painted": 1.5, "exact": 1.5, "demo": 0.75}  # of merging two colors, as against leaving one in two


@dataclass(slots=True)
class Seen:
    """One damaged picture. maps float16 (576, CELL), picture (PICTURE,), means (576, 3), owner (576,) tight groups,
    spread (24, 24); truth: color numbers (576,) and their values, labels float (576, 3) of mask, plain, ground."""

    maps: NDArray[np.float16]
    picture: Floats
    means: Floats
    owner: Ints
    spread: Floats
    color: Ints
    values: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    cost: float


@dataclass(slots=True)
class State:
    """Pairs of one state of merging: groups (576,) and for P pairs both groups, what tells, label and weight."""

    owner: Ints
    one: Ints
    two: Ints
    told: NDArray[np.float16]
    same: NDArray[np.bool_]
    weight: NDArray[np.float16]


Page = dict[str, NDArray[np.generic]]  # of B pictures with S states with P pairs of G groups, numbered through


def page(seed: int, numbers: Iterable[int], weights: Weights | None) -> Page:
    """Pictures of a seed and the states that the weights get into, each after a bias of its own."""
    seen: list[Seen] = []
    states: list[State] = []
    picture_of_state: list[int] = []
    for number in numbers:
        one, rng = see(seed, number), np.random.default_rng([31, seed, number])
        found = unroll(one, rng, weights, float(rng.choice([0.0, 0.7, -0.7])))
        states += found
        picture_of_state += [len(seen)] * len(found)
        seen.append(one)
    first = np.cumsum([0, *(state.owner.max() + 1 for state in states)])[:-1]
    owner = np.stack([state.owner for state in states]) + first[:, None]
    return {
        "maps": np.stack([one.maps for one in seen]),
        "picture": np.stack([one.picture for one in seen]),
        "labels": np.stack([one.labels for one in seen]),
        "picture_of_state": np.array(picture_of_state),
        "owner": owner,
        "size": np.bincount(owner.ravel()),
        "one": np.concatenate([state.one + at for state, at in zip(states, first, strict=True)]),
        "two": np.concatenate([state.two + at for state, at in zip(states, first, strict=True)]),
        "state_of_pair": np.repeat(np.arange(len(states)), [len(state.one) for state in states]),
        "told": np.concatenate([state.told for state in states]),
        "same": np.concatenate([state.same for state in states]),
        "weight": np.concatenate([state.weight for state in states]),
    }


def view(pixels: NDArray[np.uint8]) -> tuple[Floats, Ints, Floats, Evidence]:
    """As the restorer sees a picture: levelled cells, tight groups, spread, evidence."""
    picture = Image.fromarray(pixels)
    found = find_grid(picture, GRID)
    blocks = sample(pixels, found)
    cells, spread = settle(pixels, found, blocks[..., :3])
    plain = cells.reshape(-1, 3)
    means = level(cells, blocks).reshape(-1, 3)
    owner = alike(means)
    means = means - drift_field(means, owner, GRID)
    moved = np.sqrt(((means - plain) ** 2).sum(1))
    return means, owner, spread, gather(means, moved, spread, blocks, owner)


def see(seed: int, index: int) -> Seen:
    """Picture number `index` of a seed."""
    rng = np.random.default_rng([seed, index])
    kind = choose(rng)
    truth = make(rng, drawn=kind == "demo" and rng.random() < 0.6, faint=kind in ("painted", "exact"))
    means, owner, spread, evidence = view(damage(truth, kind, rng))
    values, color = np.unique(truth.cells.reshape(-1, 3), axis=0, return_inverse=True)
    plain = np.full(GRID * GRID, truth.plain)
    labels = np.stack([truth.mask.ravel(), plain, truth.ground.ravel()], -1)
    return Seen(
        evidence.cells.astype(np.float16),
        evidence.picture,
        means.astype(np.float32),
        owner,
        spread.astype(np.float32),
        color.ravel(),
        values,
        labels.astype(np.uint8),
        COST.get(kind, 1.0),
    )


def judge(seen: Seen, groups: Groups, one: Ints, two: Ints) -> tuple[NDArray[np.bool_], Floats]:
    """Whether each pair's cells mostly have one color in truth, and how much it matters."""
    size = len(groups.count)
    table = np.zeros((size, len(seen.values)))
    np.add.at(table, (groups.owner, seen.color), 1)
    main, most = table.argmax(1), table.max(1) / table.sum(1)
    same = main[one] == main[two]
    gap = ciede2000(lab(seen.values[main[one]]), lab(seen.values[main[two]]))
    weight = np.select([same, gap < 1.5, gap < 2.4, gap < 8, gap < 14], [1.0, 0.1, 0.3, 1.4 * seen.cost, 0.8], 0.4)
    return same, weight * np.where(np.minimum(most[one], most[two]) < PURE, 0.3, 1.0)


def unroll(
    seen: Seen, rng: np.random.Generator, weights: Weights | None, bias: float = 0.0, most: int = 10
) -> list[State]:
    """States on the way of a policy: the model's own, or without one the truth with errors."""
    embedding, context = np.zeros((len(seen.means), SEEN), np.float32), seen.picture
    ground = None
    if weights:
        embedding, logits, context = look(seen.maps.astype(np.float32), seen.picture, weights)
        mask = logits[:, 0] > 0
        if mask.any() and logits[mask, 1].mean() > 0 and rng.random() < 0.8:
            ground = mask & (off_ground(mask, seen.means) < CLOUD)
    elif rng.random() < 0.6 and seen.labels[0, 1]:
        ground = seen.labels[:, 0] > 0
    groups = start(seen.means, seen.owner, ground, seen.spread, embedding)
    states: list[State] = []
    wrong = rng.choice([0.0, 0.03, 0.1])
    while len(groups.count) > 1 and len(states) < most:
        one, two, told = candidates(groups)
        if not len(one):
            break
        same, weight = judge(seen, groups, one, two)
        kept = (told[:, 1] < 2.4) | (rng.random(len(one)) < 0.3)  # most far pairs teach nothing
        states.append(
            State(
                groups.owner,
                one[kept],
                two[kept],
                told[kept].astype(np.float16),
                same[kept],
                weight[kept].astype(np.float16),
            )
        )
        if weights:
            mean = (groups.sums[:, 10:] / groups.count[:, None]).astype(np.float32)
            logit = weigh(told, mean[one], mean[two], context, weights) - bias
        else:
            flip = rng.random(len(one)) < wrong
            told_so = np.where(same ^ flip & (told[:, 1] < 0.8), 3.0, -3.0)
            logit = (told_so - told[:, 1] + rng.normal(0, 0.3, len(one))).astype(np.float32)
        first, second = mergers(logit, one, two, len(groups.count))
        if not len(first):
            break
        groups = groups.merged(first, second)
    return [states[i] for i in np.sort(rng.permutation(len(states))[:6])]
