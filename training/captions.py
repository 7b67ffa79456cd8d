"""Captions of portraits: the owner's template and vocabulary, shuffled and dropped as kohya's trainer does."""

from dataclasses import dataclass

import numpy as np

from training.canvas import RGB
from training.traits import Traits

STYLE = ("pixel art", "24x24")
ENDING = ("sharp pixel edges", "hard color borders", "retro pixel art style")
NEGATIVE = "blurry, smooth, gradients, antialiased, photography, realistic, 3d render"
FILLERS = (
    "front view",
    "looking at the viewer",
    "head and shoulders",
    "centered composition",
    "hand-placed pixels",
    "limited palette",
    "black outline around the head",
    "highlights on the left side of the face",
    "shadow along the jaw and the neck",
    "clean readable silhouette",
    "a collectible avatar on a plain backdrop",
    "careful shading with few colors and dithered hair",
)


def fields(traits: Traits, background: RGB | None = None) -> list[str]:
    """The template's middle: portrait, hair, accessories, expression, lips, eyes, skin, background, in its order."""
    hair = "bald" if traits.hair == "bald" else f"{traits.hair_color} {_style(traits.hair)}"
    tags = [f"portrait of bespoke punk {traits.kind}", hair]
    worn = [name for name in (_hat(traits), _glasses(traits), *_jewels(traits)) if name]
    tags += [f"wearing {name}" for name in worn]
    if traits.beard:
        tags.append({"stubble": "light stubble"}.get(traits.beard, traits.beard))
    if traits.joint:
        tags.append("smoking a joint")
    tags.append("slight smile" if traits.smile else "neutral expression")
    if traits.lips:
        tags.append(f"{traits.lips} lips")
    tags += [f"{traits.eyes} eyes", f"{traits.skin} skin", _background(traits, background)]
    return [*tags, f"{traits.garment_color} {traits.garment}"]


def prompt(traits: Traits, background: RGB | None = None) -> str:
    """The full caption in the template's order, nothing dropped: what a user would type."""
    return ", ".join([*STYLE, *fields(traits, background), *ENDING])


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """Chances with which a caption is varied; `style` is that of naming the pixel-art words at all."""

    style: float = 1.0
    shuffle: float = 0.5
    drop: float = 0.05
    sparse: float = 0.12  # of dropping half of the tags, as short prompts do
    loose: float = 0.12  # of leaving out each of: lady or lad, the hair's style, "solid"
    ending: float = 0.85
    long: float = 0.0


def caption(
    traits: Traits, rng: np.random.Generator, wording: Wording | None = None, background: RGB | None = None
) -> str:
    """A training caption: the first two tags kept, the rest perhaps shuffled, some dropped, some long."""
    wording = wording or Wording()
    tags = _loosen(fields(traits, background), traits, rng, wording.loose)
    drop = 0.5 if rng.random() < wording.sparse else wording.drop
    tags = [tag for place, tag in enumerate(tags) if place == 0 or rng.random() >= drop]
    styled = rng.random() < wording.style
    if not styled:
        tags = [tag.replace("bespoke punk ", "a ").replace(" of bespoke punk", "") for tag in tags]
        tags += [("soft painting", "soft portrait painting")[int(rng.integers(2))]] if rng.random() < 0.5 else []
    if styled and rng.random() < wording.ending:
        tags += ENDING
    if rng.random() < wording.long:
        fillers = [FILLERS[i] for i in rng.permutation(len(FILLERS))[: int(rng.integers(8, 13))]]
        cut = int(rng.integers(len(fillers) + 1))
        tags = [*fillers[:cut], *tags, *fillers[cut:]]
    if rng.random() < wording.shuffle:
        tags = [tags[i] for i in rng.permutation(len(tags))]
    return ", ".join([*STYLE, *tags] if styled else tags)


def _loosen(tags: list[str], traits: Traits, rng: np.random.Generator, chance: float) -> list[str]:
    if rng.random() < chance / 2:
        tags[0] = tags[0].removesuffix(f" {traits.kind}")
    if rng.random() < chance and traits.hair != "bald":
        tags[1] = f"{traits.hair_color} hair"
    if rng.random() < chance:
        tags = [tag.replace(" solid background", " background") for tag in tags]
    return tags


def _style(hair: str) -> str:
    return hair if hair in ("buzz cut", "mohawk", "afro", "bob", "bun", "ponytail", "pigtails") else f"{hair} hair"


def _hat(traits: Traits) -> str | None:
    if traits.hat == "bow":
        return f"{traits.hat_color} bow in hair"
    return f"{traits.hat_color} {traits.hat}" if traits.hat_color else traits.hat


def _glasses(traits: Traits) -> str | None:
    return "black stunner shades with white reflection" if traits.glasses == "stunner shades" else traits.glasses


def _jewels(traits: Traits) -> list[str]:
    ears = [f"golden {traits.earrings} earrings"] if traits.earrings else []
    neck = {"silver necklace": "silver necklace with pendant", "gold chain": "gold chain"}
    return ears + ([neck[traits.necklace]] if traits.necklace else [])


def _background(traits: Traits, tone: RGB | None) -> str:
    both = f"{traits.background} and {traits.second}" if traits.second else traits.background
    if tone is None:
        return f"{both} {traits.pattern} background"
    return f"{both} background (#{tone[0]:02x}{tone[1]:02x}{tone[2]:02x})"
