"""Other eyes for a finished picture: only iris cells change."""

import numpy as np

from punks.errors import RecipeError
from punks.snap.art import Bytes, PixelArt
from punks.snap.portrait.face import SURE, find_face
from punks.snap.portrait.picture import picture
from punks.vocabulary import EYES


def repaint_eyes(art: PixelArt | Bytes, name: str) -> Bytes | None:
    """The cells with irises of another word of EYES, darker ones still darker; None where no two eyes are sure.

    Cells uint8 (24, 24, 3 or 4), of which nothing but the irises is changed. Raises RecipeError on an unknown name.
    """
    if name not in EYES:
        raise RecipeError("eyes", name, f"choose one of {', '.join(EYES)}")
    cells = art.cells if isinstance(art, PixelArt) else art
    seen = picture(art)
    eyes = find_face(seen)[1]
    if eyes is None or eyes.confidence < SURE:
        return None
    found = cells.copy()
    if eyes.name == name:
        return found
    light = seen.light[eyes.iris]
    shade = np.clip(light / max(float(light.max()), 1), 0.5, 1)[:, None]
    found[eyes.iris, :3] = np.rint(np.array(EYES[name]) * shade)
    return found
