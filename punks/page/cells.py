"""Cells as the page reads them."""

import base64

import numpy as np
from numpy.typing import NDArray


def encoded(cells: NDArray[np.uint8]) -> str:
    """Cells (24, 24, 3 or 4) as base64 of RGBA."""
    alpha = np.full((*cells.shape[:2], 1), 255, np.uint8)
    rgba = cells if cells.shape[2] == 4 else np.concatenate([cells, alpha], axis=2)
    return base64.b64encode(np.ascontiguousarray(rgba).tobytes()).decode()
