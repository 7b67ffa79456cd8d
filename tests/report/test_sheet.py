"""Contact sheets: every picture where its place is, cell for cell; nothing too large for a PNG."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from bench.batch_folder import write_folder
from punks.batch.manifest import entries
from punks.errors import ImageError
from punks.report import sheet
from punks.report.sheet import contact_sheet, shortened, write_sheets


def picture(seed: int, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, len(mode)), np.uint8))


def where(image: Image.Image, art: Image.Image, side: int) -> list[tuple[int, int]]:
    """The corners at which an image has this art, enlarged by nearest neighbour."""
    pixels, cell = np.asarray(image), side // 24
    cells = np.asarray(art)
    rows, columns = pixels.shape[0] - side + 1, pixels.shape[1] - side + 1
    fits = np.ones((rows, columns), bool)
    for y, x in [(0, 0), (0, 23), (23, 0), (23, 23), (11, 7)]:
        for inside in (0, cell - 1):
            corner = pixels[y * cell + inside :, x * cell + inside :][:rows, :columns]
            fits &= (corner == cells[y, x]).all(-1)
    found = [(int(x), int(y)) for y, x in np.argwhere(fits)]
    enlarged = cells.repeat(cell, 0).repeat(cell, 1)
    return [(x, y) for x, y in found if (pixels[y : y + side, x : x + side] == enlarged).all()]


@pytest.mark.parametrize(
    "titles",
    [
        {},
        {"row_titles": ["one", "a longer title"], "column_titles": ["a", "b", "c"], "title": "All"},
        {"names": [["1", "2", "3"], ["4"]]},
    ],
)
def test_pictures_stand_in_rows_and_columns_cell_for_cell(titles: dict[str, Any]) -> None:
    arts = [[picture(0), picture(1), picture(2)], [picture(3)]]
    image = contact_sheet(arts, **titles, side=48)
    places = [[where(image, art, 48) for art in row] for row in arts]
    assert all(len(found) == 1 for row in places for found in row)
    xs, ys = zip(*[found[0] for found in places[0]], strict=True)
    assert len(set(ys)) == 1
    assert xs[1] - xs[0] == xs[2] - xs[1] > 48
    assert places[1][0][0][0] == xs[0]
    assert places[1][0][0][1] - ys[0] > 48


def test_titles_are_drawn_beside_and_above_and_nowhere_else() -> None:
    arts = [[picture(0), picture(1)]]
    plain, titled = contact_sheet(arts), contact_sheet(arts, ["left of it"], ["above", "too"])
    (x, y), (small_x, small_y) = where(titled, arts[0][0], 72)[0], where(plain, arts[0][0], 72)[0]
    assert x > small_x
    assert y > small_y
    paper = np.asarray(titled)[0, 0]
    assert (np.asarray(titled)[y : y + 72, :x] != paper).any()
    assert (np.asarray(titled)[:y, x:] != paper).any()
    assert (np.asarray(titled)[:y, :x] == paper).all()
    assert (np.asarray(plain)[:small_y] == paper).all()


def test_empty_places_transparent_cells_and_paintings() -> None:
    clear = Image.new("RGBA", (24, 24))
    painting = picture(5).resize((512, 512), Image.Resampling.NEAREST)
    pixels = np.asarray(contact_sheet([[None, clear, painting]]))
    x, y, step = 32, 32, 84
    assert (pixels[y : y + 72, x : x + 72] == pixels[0, 0]).all()
    checks = pixels[y : y + 72, x + step : x + step + 72]
    assert len(np.unique(checks.reshape(-1, 3), axis=0)) == 2
    means = [np.asarray(one, float).mean((0, 1)) for one in (picture(5), pixels[y : y + 72, x + 2 * step :][:, :72])]
    assert np.abs(means[0] - means[1]).max() < 2


@pytest.mark.parametrize("text", ["red hair, green eyes, light skin", "w" * 90, "", "a  b\n c", "x " * 400])
@pytest.mark.parametrize(("width", "lines"), [(60, 1), (120, 3), (1000, 1)])
def test_a_title_keeps_to_its_place(text: str, width: int, lines: int) -> None:
    font = ImageFont.load_default(13)
    short = shortened(text, font, width, lines)
    assert len(short.splitlines()) <= lines
    assert all(font.getlength(line) <= width for line in short.splitlines())
    said, whole = " ".join(short.split()), " ".join(text.split())
    if said != whole:
        assert font.getlength(whole) > width
        assert said.endswith("...")
        assert whole.startswith(said.removesuffix("..."))
        assert said != "..."


def test_many_punks_fill_several_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, 7, images=False, failures=2)
    assert [path.name for path in write_sheets(tmp_path, entries(tmp_path))] == ["sheet.png"]
    monkeypatch.setattr(sheet, "PER_SHEET", 3)
    sheets = write_sheets(tmp_path, entries(tmp_path))
    assert [path.name for path in sheets] == ["sheet.png", "sheet-2.png", "sheet-3.png"]
    for at, path in enumerate(sheets):
        with Image.open(path) as image:
            for number in range(1, 8):
                with Image.open(tmp_path / "pixels" / f"{number:06d}.png") as art:
                    assert len(where(image, art, 120)) == ((number - 1) // 3 == at)
    write_folder(tmp_path, 2, images=False)
    write_sheets(tmp_path, entries(tmp_path))
    assert [path.name for path in tmp_path.glob("sheet*")] == ["sheet.png"]


def test_a_sheet_has_a_size_that_every_reader_opens() -> None:
    """A full sheet is decoded without Pillow's warning of a bomb, and no side nears the limits of viewers."""
    dot = Image.new("RGB", (24, 24))
    full = contact_sheet([[dot] * sheet.COLUMNS] * (sheet.PER_SHEET // sheet.COLUMNS), names=[[""]] * 40)
    assert max(full.size) <= 8192
    assert full.width * full.height < 16_000_000


@pytest.mark.parametrize("damage", ["missing", "large"])
def test_pixels_that_are_not_24x24_are_named(tmp_path: Path, damage: str) -> None:
    write_folder(tmp_path, 1, images=False)
    path = tmp_path / "pixels" / "000001.png"
    path.unlink()
    if damage == "large":
        Image.new("RGB", (25, 24)).save(path)
    with pytest.raises(ImageError, match=r"000001\.png"):
        write_sheets(tmp_path, entries(tmp_path))
