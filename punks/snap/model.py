"""The trained model: which cells are background, and whether two groups of cells share a color. Plain numpy.

A small convolutional network looks at the cells and what is around them; a perceptron weighs what it saw of two groups
together with what is measured between them. `training/merging` makes the weights.
"""

from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import numpy as np

from punks.snap.art import Floats

SEEN = 16  # numbers of a cell that go on to the pairs
NEAR = 2.4  # fifths of CIEDE2000: pairs that are no further apart tell what is usual in a picture
DILATIONS = (1, 2, 4, 8)
Weights = dict[str, Floats]


@lru_cache
def weights() -> Weights:
    """The trained numbers, as float32."""
    return read(files("punks.snap").joinpath("model.npz"))


def read(path: Traversable) -> Weights:
    """The numbers of a file, as float32."""
    with path.open("rb") as packed, np.load(packed) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def look(cells: Floats, picture: Floats, w: Weights) -> tuple[Floats, Floats, Floats]:
    """Maps (N, CELL), picture (PICTURE,) -> embedding (N, SEEN), logits (N, 3), context (C,).

    The logits are of background, plain and ground; the context is the picture's numbers and the mean of all cells'.
    """
    side = round(len(cells) ** 0.5)
    x = np.maximum(cells @ w["cell"] + (picture @ w["cell_picture"] + w["cell_bias"]), 0)
    for dilation in DILATIONS:
        kernel, bias = w[f"conv{dilation}"], w[f"conv{dilation}_bias"]
        wide = np.zeros((side + 2 * dilation, side + 2 * dilation, x.shape[1]), np.float32)
        wide[dilation:-dilation, dilation:-dilation] = x.reshape(side, side, -1)
        parts = [
            wide[down : down + side, along : along + side]
            for down in range(0, 2 * dilation + 1, dilation)
            for along in range(0, 2 * dilation + 1, dilation)
        ]
        x = x + np.maximum(np.concatenate(parts, -1).reshape(len(x), -1) @ kernel + bias, 0)
    out = x @ w["out"] + w["out_bias"]
    return out[:, :SEEN], out[:, SEEN:], np.concatenate([picture, x.mean(0)])


def weigh(pairs: Floats, one: Floats, two: Floats, context: Floats, w: Weights) -> Floats:
    """Pairs (P, PAIR), mean embeddings of both groups (P, SEEN), context (C,) -> logit (P,) that they share a color."""
    known = np.concatenate([pairs, np.abs(one - two), one + two], 1)
    x = np.maximum(known @ w["pair"] + (context @ w["pair_context"] + w["pair_bias"]), 0)
    near = pairs[:, 1] < NEAR
    usual = x[near].mean(0) if near.any() else np.zeros_like(x[0])
    x = np.maximum(x @ w["deep"] + (usual @ w["deep_usual"] + w["deep_bias"]), 0)
    return x @ w["last"] + w["last_bias"]
