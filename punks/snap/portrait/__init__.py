"""What a 24x24 portrait shows: eyes, hair, skin, background, stray cells. Found by structure, named as people do.

Pure numpy, no torch. Knows nothing of how a picture was made: the same reader sees hand-made portraits, restored
paintings and generated ones.
"""

from dataclasses import dataclass

from punks.snap.art import Bools, Bytes, PixelArt
from punks.snap.portrait.eyes import repaint_eyes
from punks.snap.portrait.face import Eyes, Skin, find_face
from punks.snap.portrait.hair import Hair, find_hair
from punks.snap.portrait.names import color_name, skin_name
from punks.snap.portrait.parts import Background, find_background, find_strays
from punks.snap.portrait.picture import picture

__all__ = ["Background", "Eyes", "Hair", "Reading", "Skin", "color_name", "read", "repaint_eyes", "skin_name"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What was found. None where nothing is sure: eyes behind dark glasses, hair under a hat.

    strays: bool (24, 24), single cells unlike all around them. colors: how many the picture has.
    """

    background: Background
    skin: Skin | None
    eyes: Eyes | None
    hair: Hair | None
    strays: Bools
    colors: int


def read(art: PixelArt | Bytes, background: Bools | None = None) -> Reading:
    """Reads pixel art, or its cells uint8 (24, 24, 3 or 4), with the mask of the background where that is known.

    Raises ImageError on other shapes.
    """
    seen = picture(art, background)
    skin, eyes = find_face(seen)
    return Reading(
        background=find_background(seen),
        skin=skin,
        eyes=eyes,
        hair=find_hair(seen, skin, eyes) if skin else None,
        strays=find_strays(seen, skin, eyes),
        colors=len(seen.points),
    )
