"""Portraits drawn by hand, cell by cell."""

import numpy as np


def hand_made(iris: tuple[int, int, int]) -> np.ndarray:
    """A face whose eyes are 2x2 cells, three of iris and a pupil, as in the owner's portraits: nothing generated."""
    cells = np.full((24, 24, 3), (60, 120, 200), np.uint8)
    cells[3:22, 5:19] = (54, 32, 13)
    cells[8:20, 8:17] = (244, 203, 173)
    for left in (9, 14):
        cells[11:13, left : left + 2] = iris
        cells[12, left] = 0
    cells[15, 12] = 0
    cells[17, 11:14] = (227, 155, 141)
    return cells
