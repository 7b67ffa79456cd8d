"""The README's pictures, painted by the demo model: `python -m bench.pictures`. First seeds, none picked.

docs/punks.png: one punk a prompt, picture i with seed i. docs/painting-to-art.png: four of them as the model painted
them, shrunk by nearest neighbour as people do, and restored.
"""

from pathlib import Path

from PIL import Image

from punks import Punk, Recipe, generate

PROMPTS = (
    "lady, red hair, green eyes, light skin, blue solid background",
    "lad, black afro, gold chain, brown eyes, dark skin, orange solid background",
    "lady, long purple hair, wearing gold crown, blue eyes, medium skin, teal solid background",
    "lad, short brown hair, beard, wearing glasses, brown eyes, tan skin, gray solid background",
    "lady, blonde curly hair, wearing red bow in hair, blue eyes, light skin, pink solid background",
    "lad, wearing top hat, mustache, gray hair, green eyes, light skin, red solid background",
    "lady, black wavy hair, wearing golden earrings, brown eyes, dark skin, yellow solid background",
    "lad, wearing baseball cap, blonde hair, blue eyes, light skin, green solid background",
    "lady, blue hair, wearing black stunner shades with white reflection, tan skin, cyan solid background",
    "lad, green hair, wearing wizard hat, gray eyes, medium skin, purple solid background",
    "lady, gray afro, wearing silver necklace, green eyes, dark skin, brown solid background",
    "lad, red hair, wearing bandana, brown eyes, tan skin, blue checkered background",
    "lady, brown hair, wearing flower crown, brown eyes, medium skin, orange and purple gradient background",
    "lad, black hair, wearing fedora, black eyes, light skin, pink striped background",
    "lady, red curly hair, wearing tiara, slight smile, blue eyes, light skin, purple solid background",
    "lad, blue hair, joint, green eyes, tan skin, yellow solid background",
)
DOCS = Path(__file__).parent.parent / "docs"


def sheet(rows: list[list[Image.Image]], side: int, gap: int = 0) -> Image.Image:
    """Pictures in rows, each enlarged to `side` px by nearest neighbour."""
    step = side + gap
    image = Image.new("RGB", (step * len(rows[0]) - gap, step * len(rows) - gap), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            image.paste(picture.convert("RGB").resize((side, side), Image.Resampling.NEAREST), (x * step, y * step))
    return image


def stages(punk: Punk) -> list[Image.Image]:
    """Painting, its nearest-neighbour thumbnail, and the restored art."""
    painting = punk.painting.image
    assert painting
    naive = painting.resize((24, 24), Image.Resampling.NEAREST)
    return [painting, naive, punk.art.enlarge(24)]


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    punks = [generate(Recipe(prompt=p, variant="demo", seed=i)) for i, p in enumerate(PROMPTS)]
    art = [punk.art.enlarge(24) for punk in punks]
    sheet([art[:8], art[8:]], 120).save(DOCS / "punks.png", optimize=True)
    columns = [stages(punk) for punk in punks[:4]]
    sheet([list(row) for row in zip(*columns, strict=True)], 240, 8).save(DOCS / "painting-to-art.png", optimize=True)
    for punk in punks:
        print(f"{punk.recipe.seed:2} {len(punk.art.palette):3} colors  {punk.recipe.prompt}")


if __name__ == "__main__":
    main()
