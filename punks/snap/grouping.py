"""Which cells share a colour: agglomeration by CIEDE2000 and RGB, as tightly as the painting's noise allows."""

from functools import lru_cache

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.color import ciede2000, lab

# Under which two groups are one colour, by the size of the smaller, in CIEDE2000 and in RGB levels: one cell may be
# an outlier of the other's jitter, the mean of several is known too well for that. Tuned by bench/pixels.py. They are
# scaled by `slack`: levels as it is, as noise is in levels; CIEDE2000 by its root, as what the eye tells apart stays.
RADII = ((1, 2.7, 8.5), (3, 2.3, 6.5), (1 << 30, 2.0, 4.3))
_UP_TO, _RADIUS, _LEVELS = np.array(RADII).T
FAR = 5.5  # CIEDE2000 past which the levels do not count: in dark grays it makes much of a level of noise
FAINT = 4.0  # CIEDE2000 from a plain background, nearer than details of one or two cells are drawn
SHADED = 7.5  # the same beside it: 1172 pictures drawn by hand or rule have 2 such cells, 307 paintings 62
SAME = 0.8  # colours nearer than this are never told apart
REACH = 16.0  # CIELAB distance past which CIEDE2000 never falls under the radii
NOISE = 0.6  # slack per level of noise
SLACK = (0.8, 1.9)
BLACK = 8  # a colour whose brightest channel is no more is pure black


def group(means: Floats, slack: float) -> Ints:
    """Cells (N, 3) float RGB -> group number of each (N,), merged as far as `slack` allows."""
    owner = alike(means)
    total = _sums(means, owner)
    count = np.bincount(owner).astype(np.float32)
    while len(count) > 1:
        first, second = _closest(total / count[:, None], count, slack)
        if not len(first):
            break
        # Pairs that are each other's nearest merge at once: the same tree as one by one, in a few rounds.
        into = np.arange(len(count))
        into[second] = first
        into = (np.cumsum(into == np.arange(len(count))) - 1)[into]
        owner = into[owner]
        count = np.bincount(into, weights=count).astype(np.float32)
        total = _sums(total, into)
    return owner


def _sums(rows: Floats, owner: Ints) -> Floats:
    return np.stack([np.bincount(owner, column) for column in rows.T], -1).astype(np.float32)


def noise_slack(means: Floats, owner: Ints) -> float:
    """The slack that fits a painting: what four of five cells keep within of their group's colour sets it.

    Every picture has its own noise: with one slack for all, either calm ones lose colours or others gain some.
    """
    away = np.sqrt(((means - values(means, owner)[owner]) ** 2).sum(1))[np.bincount(owner)[owner] >= 4]
    return float(np.clip(NOISE * np.percentile(away, 80), *SLACK)) if len(away) else 1.0


def values(means: Floats, owner: Ints) -> Floats:
    """The colour of each group: the median of its cells, channel by channel. (N, 3), (N,) -> (K, 3)."""
    count = np.bincount(owner)
    first = np.cumsum(count) - count
    order = np.lexsort((means.T, np.broadcast_to(owner, (3, len(owner)))))
    ranked = np.take_along_axis(means.T, order, axis=1)
    found = (ranked[:, first + (count - 1) // 2] + ranked[:, first + count // 2]).T / 2
    found[found.max(axis=1) <= BLACK] = 0
    return np.clip(found, 0, 255)


def drift_field(means: Floats, owner: Ints, side: int, spread: float = 1.5) -> Floats:
    """Smooth part of what the groups leave over: Gaussian mean of `spread` cells, pulled to 0. -> (N, 3) RGB."""
    count = np.bincount(owner)
    middle = values(means, owner)
    weight = (count[owner] >= 4).astype(np.float32)
    rest = (means - middle[owner]) * weight[:, None]
    kernel = _kernel(side, spread)
    # Residuals can be large only where a group is wrong: one cell must not bend the field.
    rest = np.clip(rest, -12, 12)
    over = kernel @ rest.reshape(side, side, 3).transpose(2, 0, 1) @ kernel
    under = kernel @ weight.reshape(side, side) @ kernel
    return (over / (under + 1.2)).transpose(1, 2, 0).reshape(-1, 3)


def faint(means: Floats, owner: Ints, ground: int, inside: Bools, beside: Bools, slack: float) -> Bools:
    """Cells of groups with one or two past a plain background, `inside` (N,), that hardly differ from it. -> (N,).

    They are its holes, or, `beside` it (N,), its cells beside the figure, where a painting shades it.
    """
    away = ciede2000(lab(means), lab(np.median(means[owner == ground], axis=0)))
    most = np.where(beside, SHADED, FAINT) * np.sqrt(max(1.0, slack))
    return (np.bincount(owner, ~inside)[owner] <= 2) & (away < most)


@lru_cache
def _kernel(side: int, spread: float) -> Floats:
    at = np.arange(side)
    return np.exp(-0.5 * ((at[:, None] - at) / spread) ** 2).astype(np.float32)


def alike(means: Floats) -> Ints:
    """Cells closer than SAME to a busy cell join it: groups too many rather than too few. (N, 3) -> (N,)."""
    points = lab(means)
    chroma = np.hypot(points[:, 1], points[:, 2])
    points[:, 1:] /= (1 + 0.03 * chroma)[:, None]  # about CIE94's weight of chroma
    half, ones = -0.5 * (points**2).sum(1)[:, None], np.ones((len(points), 1), np.float32)
    near = np.hstack([points, half, ones]) @ np.hstack([points, ones, half]).T >= -0.5 * SAME * SAME
    np.fill_diagonal(near, val=True)
    bits = np.packbits(near, axis=1, bitorder="little")
    order = np.argsort(-np.bitwise_count(bits).sum(1, dtype=np.intp), kind="stable")
    packed, width = bits.tobytes(), bits.shape[1]
    taken, found = 0, list[int]()
    for leader in order.tolist():  # sets of cells as whole numbers, a bit each
        if not taken >> leader & 1:
            found.append(leader)
            taken |= int.from_bytes(packed[leader * width : (leader + 1) * width], "little")
    return near[found].argmax(0)


def _closest(middle: Floats, count: Floats, slack: float) -> tuple[Ints, Ints]:
    """Pairs of groups that are each other's nearest, and near enough to be one colour."""
    points = lab(middle)
    norm = (points**2).sum(1)
    flat = norm[:, None] + norm - 2 * points @ points.T
    one, two = np.nonzero(flat < REACH**2)
    one, two = one[one < two], two[one < two]
    row = np.searchsorted(_UP_TO, np.minimum(count[one], count[two]))
    radius, levels = _RADIUS[row], _LEVELS[row]
    gap = ciede2000(points[one], points[two])
    noise = np.sqrt(((middle[one] - middle[two]) ** 2).sum(1)) / levels
    ratio = np.minimum(gap / radius / np.sqrt(slack), np.maximum(noise, gap / FAR) / slack)
    table = np.full((len(points), len(points)), np.inf, np.float32)
    table[one, two] = table[two, one] = ratio
    best = np.argmin(table, axis=1)
    at = np.arange(len(points))
    mutual = (best[best] == at) & (table[at, best] < 1) & (at < best)
    return at[mutual], best[mutual]
