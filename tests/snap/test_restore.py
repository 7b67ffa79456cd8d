import base64
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from punks.errors import ImageError, RecipeError
from punks.finish import Finish
from punks.snap import Cells, PixelArt, finish_cells, restore, shared_palette, snap
from punks.snap.color import ciede2000, lab, nearest
from punks.vocabulary import COLORS

# Pairs 1-34 of Sharma, Wu, Dalal (2005), table 1: L1 a1 b1 L2 a2 b2 dE00.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""

ARTS = st.tuples(arrays(np.uint8, (7, 3)), arrays(np.uint8, (24, 24), elements=st.integers(0, 6))).map(
    lambda drawn: drawn[0][drawn[1]]
)
QUICK = settings(max_examples=25, deadline=None)


def enlarged(cells: np.ndarray, size: int = 512) -> Image.Image:
    return Image.fromarray(cells).resize((size, size), Image.Resampling.NEAREST)


def portrait() -> np.ndarray:
    """A face on blue: an outline, hair, skin, brows a shade from it, eyes of one cell."""
    cells = np.full((24, 24, 3), (99, 133, 150), np.uint8)
    cells[4:22, 6:18] = 0
    cells[5:9, 7:17] = (90, 40, 20)
    cells[9:22, 7:17] = (210, 157, 96)
    cells[11, 9:11] = cells[11, 13:15] = (160, 110, 60)
    cells[12, 10] = cells[12, 14] = (40, 90, 200)
    cells[17, 10:14] = (180, 60, 70)
    return cells


def painted(cells: np.ndarray, seed: int, noise: float = 2.0) -> Image.Image:
    """A painting of it: noise, jitter of the cells, a slow drift."""
    rng = np.random.default_rng(seed)
    picture = np.asarray(enlarged((cells + rng.normal(0, 0.4, cells.shape)).clip(0, 255).round().astype(np.uint8)))
    wave = 2 * np.sin(np.linspace(0, 3, 512))[:, None, None]
    return Image.fromarray((picture + wave + rng.normal(0, noise, picture.shape)).clip(0, 255).astype(np.uint8))


def difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return ciede2000(lab(one[..., :3]), lab(two[..., :3]))


def test_ciede2000_is_the_published_one() -> None:
    rows = np.array([line.split() for line in SHARMA.split("\n") if line], float)
    assert len(rows) == 28
    np.testing.assert_allclose(ciede2000(rows[:, :3], rows[:, 3:6]), rows[:, 6], atol=1e-4)


@QUICK
@given(cells=ARTS, size=st.integers(256, 2048))
def test_exact_art_is_itself_at_any_size(cells: np.ndarray, size: int) -> None:
    assert np.array_equal(snap(art_of(cells).enlarge(size)).cells, cells)


def art_of(cells: np.ndarray) -> PixelArt:
    none = np.zeros((24, 24), bool)
    return PixelArt(cells=cells, background=none)


@pytest.mark.parametrize("background", ["keep", "solid", "transparent", "teal"])
@pytest.mark.parametrize("size", [24, 256, 512, 1000, 1024])
def test_snap_of_snap_is_snap(background: str, size: int) -> None:
    once = snap(painted(portrait(), 1), background=background)
    twice = snap(once.enlarge(size), background=background)
    assert np.array_equal(once.cells, twice.cells)
    assert np.array_equal(once.palette, twice.palette)


@pytest.mark.parametrize("seed", range(4))
def test_a_painting_becomes_its_art(seed: int) -> None:
    art = snap(painted(portrait(), seed))
    assert difference(art.cells, portrait()).max() < 3
    assert len(art.palette) == len(np.unique(portrait().reshape(-1, 3), axis=0))
    assert art.has_grid
    assert art.confidence > 0.8
    assert art.background[0].all()
    assert not art.background[10, 10]


@pytest.mark.parametrize("size", [256, 512, 768, 1024, 2048])
def test_sizes_and_determinism(size: int) -> None:
    picture = painted(portrait(), 3).resize((size, size), Image.Resampling.BICUBIC)
    one, two = snap(picture), snap(picture)
    assert np.array_equal(one.cells, two.cells)
    assert one.cells.shape == (24, 24, 3)
    assert difference(one.cells, portrait()).max() < 3.5


@QUICK
@given(cells=ARTS, palette=arrays(np.uint8, (5, 3)))
def test_output_is_a_subset_of_the_palette(cells: np.ndarray, palette: np.ndarray) -> None:
    for dither in (False, True):
        art = snap(enlarged(cells), palette=palette, dither=dither)
        assert {tuple(c) for c in art.palette.tolist()} <= {tuple(c) for c in palette.tolist()}


@QUICK
@given(cells=ARTS, seed=st.integers(0, 9))
def test_the_palettes_own_colors_are_fixed_points(cells: np.ndarray, seed: int) -> None:
    palette = np.unique(cells.reshape(-1, 3), axis=0)
    shuffled = np.random.default_rng(seed).permutation(palette)
    for given_palette in (palette, shuffled):
        for dither in (False, True):
            assert np.array_equal(snap(enlarged(cells), palette=given_palette, dither=dither).cells, cells)


@QUICK
@given(cells=ARTS, count=st.integers(2, 6))
def test_colors_caps(cells: np.ndarray, count: int) -> None:
    art = snap(enlarged(cells), colors=count)
    assert len(art.palette) <= count
    assert {tuple(c) for c in art.palette.tolist()} <= {tuple(c) for c in cells.reshape(-1, 3).tolist()}


@QUICK
@given(rgb=arrays(np.uint8, (20, 3)), palette=arrays(np.uint8, (9, 3)))
def test_nearest_is_nearest(rgb: np.ndarray, palette: np.ndarray) -> None:
    chosen = ciede2000(lab(rgb), lab(palette[nearest(rgb, palette)]))
    every = ciede2000(lab(rgb)[:, None], lab(palette)[None])
    np.testing.assert_allclose(chosen, every.min(1), atol=1e-4)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_exact_colors_may_be_permuted(order: tuple[int, int, int]) -> None:
    cells = portrait()
    assert np.array_equal(snap(enlarged(cells[..., order])).cells, snap(enlarged(cells)).cells[..., order])


@pytest.mark.parametrize("shades", [((200, 60, 60), (60, 60, 200)), ((99, 133, 150), (110, 150, 165))])
@pytest.mark.parametrize("kind", ["checkers", "stripes", "split"])
def test_patterned_backgrounds_are_kept(kind: str, shades: tuple[tuple[int, int, int], ...]) -> None:
    cells, at = portrait(), np.arange(24)
    ground = snap(enlarged(cells)).background
    code = {
        "checkers": (at[:, None] + at) % 2,
        "stripes": np.broadcast_to(at // 3 % 2, (24, 24)),
        "split": np.broadcast_to(at // 12, (24, 24)),
    }[kind]
    cells[ground] = np.array(shades, np.uint8)[code][ground]
    art = snap(painted(cells, 5))
    assert difference(art.cells, cells).max() < 3


def test_a_gradient_background_is_kept() -> None:
    cells = portrait()
    ground = snap(enlarged(cells)).background
    ramp = np.linspace((20, 30, 120), (20, 220, 120), 24).round().astype(np.uint8)
    cells[ground] = np.broadcast_to(ramp, (24, 24, 3))[ground]
    art = snap(painted(cells, 6, noise=1))
    assert difference(art.cells, cells).max() < 3.5


def test_a_cloud_is_background_and_a_pixel_of_its_color_is_not() -> None:
    """Both differ from the background by the same; only the pixel has edges."""
    pixels = np.asarray(painted(portrait(), 3), np.float32)
    y, x = np.mgrid[:512, :512]
    tint = np.array([24, 18, -8])
    for row, column in ((1, 1), (3, 21)):
        middle = (np.array([row, column]) + 0.5) * 512 / 24
        pixels += np.exp(-(((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * 15**2)))[..., None] * tint
    borders = np.rint(np.arange(25) * 512 / 24).astype(int)
    pixels[borders[3] : borders[4], borders[2] : borders[3]] += tint
    art = snap(Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)))
    assert (art.cells[1, 1] == art.cells[0, 0]).all()
    assert (art.cells[3, 21] == art.cells[0, 0]).all()
    assert difference(art.cells[3, 2], art.cells[0, 0]) > 5
    assert not art.background[3, 2]


def test_backgrounds() -> None:
    picture = painted(portrait(), 7)
    solid = snap(picture, background="solid")
    assert len(np.unique(solid.cells[solid.background], axis=0)) == 1
    teal = snap(picture, background="teal")
    assert (teal.cells[teal.background] == COLORS["teal"]).all()
    assert np.array_equal(snap(picture, background="#148a8c").cells, teal.cells)
    clear = snap(picture, background="transparent")
    assert clear.cells.shape == (24, 24, 4)
    assert np.array_equal(clear.cells[..., 3] == 0, clear.background)
    assert clear.enlarge(48).mode == "RGBA"
    assert len(clear.palette) == len(solid.palette) - 1


def test_pictures_without_a_grid_have_none() -> None:
    rng = np.random.default_rng(0)
    for seed in range(5):
        soft = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (13, 13, 3), np.uint8))
        assert not snap(soft.resize((512, 512), Image.Resampling.BICUBIC)).has_grid
    assert not snap(Image.fromarray(rng.integers(0, 256, (512, 512, 3), np.uint8))).has_grid
    for other in (16, 32, 40):
        assert not snap(enlarged(rng.integers(0, 256, (other, other, 3), np.uint8))).has_grid
    assert not snap(Image.new("RGB", (512, 512), "teal")).has_grid


@pytest.mark.parametrize("grid", [24, 32])
def test_a_pixel_a_cell_is_a_grid(grid: int) -> None:
    rng = np.random.default_rng(1)
    art, soft = (rng.integers(0, 256, (side, side, 3), np.uint8) for side in (grid, 7))
    for picture in (art, np.asarray(Image.fromarray(soft).resize((grid, grid))), np.full((grid, grid, 3), 9, np.uint8)):
        found = snap(Image.fromarray(picture), grid=grid)
        assert found.has_grid
        assert np.array_equal(found.cells, picture)
    assert not snap(Image.fromarray(soft).resize((grid + 1, grid + 1)), grid=grid).has_grid


def test_a_moved_grid_is_found() -> None:
    cells = portrait()
    moved = Image.new("RGB", (512, 512), (99, 133, 150))
    moved.paste(enlarged(cells), (5, -4))
    art = snap(moved)
    assert np.array_equal(art.cells, cells)
    assert 3 < art.drift < 6


def test_specks_do_not_count() -> None:
    picture, rng = np.asarray(enlarged(portrait())).copy(), np.random.default_rng(8)
    y, x = np.mgrid[:512, :512]
    for _ in range(100):
        picture[np.hypot(y - rng.uniform(0, 512), x - rng.uniform(0, 512)) < 4] = rng.integers(0, 256, 3)
    assert np.array_equal(snap(Image.fromarray(picture)).cells, portrait())


def test_a_shared_palette() -> None:
    arts = [snap(painted(portrait(), seed)) for seed in range(3)]
    counts = Counter((r, g, b) for art in arts for r, g, b in art.cells.reshape(-1, 3).tolist())
    palette = shared_palette(counts, 8)
    assert len(palette.colors) <= 8
    assert palette.colors[0] in dict(counts.most_common(8))
    for seed in range(3):
        art = snap(painted(portrait(), seed), palette=palette)
        assert {tuple(color) for color in art.palette.tolist()} <= set(palette.colors)
    many = Counter((r, g, b) for r, g, b in np.random.default_rng(0).integers(0, 256, (5000, 3)).tolist())
    assert len(shared_palette(many, 64).colors) == 64


def test_what_finishing_needs_fits_into_a_text() -> None:
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    holes = enlarged(portrait()).convert("RGBA")
    holes.paste((0, 0, 0, 0), (0, 0, 100, 100))
    for picture, most in ((painted(portrait(), 1), 1200), (holes, 1200), (noise, 6000)):
        cells = restore(picture)
        text = cells.to_text()
        assert len(text) < most
        back = Cells.from_text(text)
        assert (back.confidence, back.drift) == pytest.approx((cells.confidence, cells.drift))
        for finish in (
            Finish(),
            Finish(background="solid"),
            Finish(background="#123456", colors=9),
            Finish(background="transparent"),
        ):
            one, two = (finish_cells(each, finish, None)[0] for each in (cells, back))
            assert np.array_equal(one.cells, two.cells)
            assert np.array_equal(one.background, two.background)


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-8], lambda t: t[:40] + "!" + t[41:], lambda _: "", lambda _: "eNo=", lambda t: t * 2]
)
def test_a_damaged_text_is_refused(damage: Callable[[str], str]) -> None:
    with pytest.raises(ImageError, match="the data for finishing inside the picture is damaged"):
        Cells.from_text(damage(restore(painted(portrait(), 1)).to_text()))


@given(data=st.binary(max_size=4000))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(data: bytes) -> None:
    good = base64.b64decode(restore_text())
    inside = zlib.decompress(good)
    for raw in (data, inside[:10] + data, inside[: len(data) % len(inside)] + data):
        with suppress(ImageError):
            finish_cells(
                Cells.from_text(base64.b64encode(zlib.compress(raw)).decode()), Finish(background="solid"), None
            )


@lru_cache
def restore_text() -> str:
    return restore(painted(portrait(), 1)).to_text()


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "CMYK", "I;16"])
def test_modes(mode: str) -> None:
    picture = enlarged(portrait())
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257)
    assert snap(picture.convert(mode)).cells.shape == (24, 24, 3)


def test_alpha_stays() -> None:
    picture = enlarged(portrait()).convert("RGBA")
    hole = np.asarray(picture).copy()
    hole[:64, :64, 3] = 0
    art = snap(Image.fromarray(hole))
    assert (art.cells[:3, :3] == 0).all()
    assert (art.cells[3:, 3:, 3] == 255).all()


def test_bad_input_is_refused() -> None:
    for size in [(512, 500), (20, 20), (4100, 4100)]:
        with pytest.raises(ImageError):
            snap(Image.new("RGB", size))
    good = Image.new("RGB", (96, 96))
    for bad in [{"colors": 0}, {"grid": 3}, {"palette": []}, {"palette": ["puce-ish"]}, {"background": "nope"}]:
        with pytest.raises(RecipeError):
            snap(good, **bad)
    with pytest.raises(RecipeError):
        snap(good).enlarge(23)


@pytest.mark.parametrize("size", [24, 100, 512, 1024])
def test_enlarge_has_the_grids_borders(size: int) -> None:
    cells = np.arange(24 * 24 * 3, dtype=np.int64).reshape(24, 24, 3).astype(np.uint8)
    borders = [round(i * size / 24) for i in range(25)]
    picture = np.asarray(art_of(cells).enlarge(size))
    for i in (0, 7, 23):
        for j in (0, 11, 23):
            part = picture[borders[i] : borders[i + 1], borders[j] : borders[j + 1]]
            assert (part == cells[i, j]).all()


def test_no_warnings_from_black_or_flat() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert snap(Image.new("RGB", (512, 512))).hexes == ["#000000"]
