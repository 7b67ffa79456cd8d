"""The rules by which version 0.1 grouped cells into colors. Its recipes are still restored by them."""

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.background import CLOUD, LEAST, SEAM, seam
from punks.snap.color import ciede2000, lab
from punks.snap.grouping import alike, drift_field, values
from punks.snap.holes import whole_background
from punks.snap.regions import grow, reach

MOST = 0.8  # of a group in the background: the rest of it is a hole
STEP = 4.0  # CIEDE2000 from the background nearby
ALONE = 6.0  # the same for a cell with background on three sides: details there are far bolder
WIDE = 5.0  # 95% of a plain background lies this near to its own color
LEVELS = 8.0  # in RGB, what a group of its own is away from the background
# Under which two groups are one color, by the size of the smaller, in CIEDE2000 and in RGB levels: one cell may be
# an outlier of the other's jitter, the mean of several is known too well for that. They are
# scaled by `slack`: levels as it is, as noise is in levels; CIEDE2000 by its root, as what the eye tells apart stays.
RADII = ((1, 2.7, 8.5), (3, 2.3, 6.5), (1 << 30, 2.0, 4.3))
_UP_TO, _RADIUS, _LEVELS = np.array(RADII).T
FAR = 5.5  # CIEDE2000 past which the levels do not count: in dark grays it makes much of a level of noise
FAINT = 4.0  # CIEDE2000 from a plain background, nearer than details of one or two cells are drawn
SHADED = 7.5  # the same beside it: 1172 pictures drawn by hand or rule have 2 such cells, 307 paintings 62
SAME = 0.8  # colors nearer than this are never told apart
REACH = 16.0  # CIELAB distance past which CIEDE2000 never falls under the radii
NOISE = 0.6  # slack per level of noise
SLACK = (0.8, 1.9)


def grouped(means: Floats, blocks: Floats, clear: Bools, *, exact: bool) -> tuple[Floats, Ints, Ints, Bools, Bools]:
    """Leveled cells (N, 3), their blocks, and what is transparent (g, g) -> how they are painted, by rules.

    The cells without drift (N, 3), their groups, the same with all of the background in one, and the masks (g, g) of
    the background and of the whole background.
    """
    side, slack = len(blocks), 1.0
    if exact:
        owner = np.unique(np.rint(means), axis=0, return_inverse=True)[1].ravel()
    else:
        tight = alike(means, SAME)
        means = means - drift_field(means, tight, side)
        slack = noise_slack(means, tight)
        owner = group(means, slack)
    mask, plain = find_background(means, owner, blocks, max(1.0, slack))
    plain &= not exact
    if clear.any():  # what is transparent is the background
        return means, owner, owner, clear, clear
    whole = whole_background(mask, means, owner, side)
    merged, faded = _one_color(mask, means, owner, slack) if plain else (owner, mask & False)
    solid = merged if plain and (whole == mask).all() else _one_color(whole, means, owner, slack if plain else 0)[0]
    return means, merged, solid, mask, whole | faded & grow(mask)


def _one_color(mask: Bools, means: Floats, owner: Ints, slack: float) -> tuple[Ints, Bools]:
    """Groups (N,) with all of a background (g, g) in its most common one, and the faint cells that join it (g, g).

    A plain background, which has `slack`, takes in cells outside that hardly differ from it.
    """
    inside, faded = mask.ravel(), np.zeros_like(mask.ravel())
    if not inside.any():
        return owner, faded.reshape(mask.shape)
    main = int(np.bincount(owner[inside]).argmax())
    if slack:
        faded = faint(means, owner, main, inside, grow(mask).ravel(), slack)
        inside = inside | faded
        inside |= _mostly(inside, owner)
    merged = np.unique(np.where(inside, main, owner), return_inverse=True)[1].ravel()
    return merged, faded.reshape(mask.shape)


def _mostly(inside: Bools, owner: Ints) -> Bools:
    """All cells (N,) of the groups that hold MOST of theirs inside: a hole has the color that drift gave to others."""
    return (np.bincount(owner, inside) >= MOST * np.bincount(owner))[owner]


def group(means: Floats, slack: float) -> Ints:
    """Cells (N, 3) float RGB -> group number of each (N,), merged as far as `slack` allows."""
    owner = alike(means, SAME)
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
    """The slack that fits a painting: what four of five cells keep within of their group's color sets it.

    Every picture has its own noise: with one slack for all, either calm ones lose colors or others gain some.
    """
    away = np.sqrt(((means - values(means, owner)[owner]) ** 2).sum(1))[np.bincount(owner)[owner] >= 4]
    return float(np.clip(NOISE * np.percentile(away, 80), *SLACK)) if len(away) else 1.0


def faint(means: Floats, owner: Ints, ground: int, inside: Bools, beside: Bools, slack: float) -> Bools:
    """Cells of groups with one or two past a plain background, `inside` (N,), that hardly differ from it. -> (N,).

    They are its holes, or, `beside` it (N,), its cells beside the figure, where a painting shades it.
    """
    away = ciede2000(lab(means), lab(np.median(means[owner == ground], axis=0)))
    most = np.where(beside, SHADED, FAINT) * np.sqrt(max(1.0, slack))
    return (np.bincount(owner, ~inside)[owner] <= 2) & (away < most)


def _closest(middle: Floats, count: Floats, slack: float) -> tuple[Ints, Ints]:
    """Pairs of groups that are each other's nearest, and near enough to be one color."""
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


def find_background(means: Floats, owner: Ints, blocks: Floats, slack: float = 1.0) -> tuple[Bools, bool]:
    """(N, 3) RGB, groups (N,), blocks -> mask (side, side) grown from the border's main color, whether it is plain.

    A cell joins where it is near to the mean of the background around it, or where no edge parts it from that: drift
    is followed, steps are not. Groups of many cells with a color of their own stay out: stripes and checkers are not
    noise. `slack` is the grouping's: noise widens what joins.
    """
    side = len(blocks)
    frame = np.ones((side, side), bool)
    frame[1:-1, 1:-1] = False
    frame[-3:] = False  # shoulders reach the lower border
    share = np.bincount(owner[frame.ravel()], minlength=owner.max() + 1)
    main = int(np.argmax(share))
    core = (owner == main).reshape(side, side)
    mask = reach(core & frame, core)
    if mask.mean() < LEAST:
        return np.zeros((side, side), bool), False
    picture = means.reshape(side, side, 3)
    size = np.bincount(owner)
    middle = np.median(means[mask.ravel()], axis=0)
    color = lab(middle)
    centres = np.stack([np.bincount(owner, means[:, c]) for c in range(3)], -1) / np.maximum(size, 1)[:, None]
    bold = (ciede2000(lab(centres), color) > 3.0) & (np.sqrt(((centres - middle) ** 2).sum(1)) > LEVELS)
    own = (size >= 6) & bold
    barred = own[owner].reshape(side, side)
    for _ in range(2 * side):
        edge = grow(mask) & ~mask
        if not edge.any():
            break
        near = _box(np.dstack([picture * mask[..., None], mask.astype(np.float32)]))[edge]
        local = near[:, :3] / near[:, 3:]
        away = ciede2000(lab(picture[edge]), lab(local))
        alone = _beside(mask)[edge] >= 3
        faint = np.sqrt(((picture[edge] - local) ** 2).sum(1)) < 2 * LEVELS * slack
        joins = (away < np.where(alone, ALONE * slack, STEP * np.sqrt(slack))) | (alone & faint)
        row, column = np.nonzero(edge)
        joins &= ~barred[row, column]
        doubt = ~joins & (away < CLOUD)
        joins[doubt] = seam(mask, row[doubt], column[doubt], blocks) < SEAM
        if not joins.any():
            break
        mask[row[joins], column[joins]] = True
    away = ciede2000(lab(picture[mask]), color)
    return mask, bool(np.percentile(away, 95) < WIDE * slack and (core & mask).sum() > 0.4 * mask.sum())


def _beside(mask: Bools) -> Ints:
    """Of each cell's four neighbours, how many are in the mask; past the border counts as in."""
    wide = np.pad(mask, 1, constant_values=True).astype(np.intp)
    return wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]


def _box(values: Floats) -> Floats:
    """Sum over 5x5 cells."""
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)))
    rows = np.stack([padded[k : k + len(values)] for k in range(5)]).sum(0)
    return np.stack([rows[:, k : k + len(values)] for k in range(5)]).sum(0)
