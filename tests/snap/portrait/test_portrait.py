"""The reader of finished pictures agrees with portraits whose traits are known, and with eyes drawn otherwise."""

import numpy as np
import pytest

from bench.reading import SHOWS, visible, word
from punks.errors import ImageError, RecipeError
from punks.snap.portrait import color_name, read, repaint_eyes
from punks.snap.portrait.names import EYES
from tests.support.faces import hand_made
from training.portraits import Portrait, draw, sample
from training.reading import nearest_eyes
from training.traits import BACKGROUNDS

COUNT = 120


@pytest.fixture(scope="module")
def portraits() -> list[Portrait]:
    return [draw(sample(rng), rng) for rng in (np.random.default_rng([71, i]) for i in range(COUNT))]


def seen(portrait: Portrait) -> bool:
    return bool(visible(portrait, "left eye") and visible(portrait, "right eye"))


def test_it_agrees_with_the_truth(portraits: list[Portrait]):
    found = [read(one.cells) for one in portraits]
    both = list(zip(portraits, found, strict=True))
    solid = [(one, reading) for one, reading in both if one.traits.pattern == "solid"]
    assert sum((one.traits.pattern == "solid") == reading.background.solid for one, reading in both) >= 0.98 * COUNT
    named = sum(word(one.traits.background) == reading.background.name for one, reading in solid)
    assert named >= 0.98 * len(solid)
    eyes = [(one.traits.eyes if seen(one) else None, reading.eyes and reading.eyes.name) for one, reading in both]
    assert sum(truth == name for truth, name in eyes) >= 0.95 * COUNT
    hair = [
        (word(one.traits.hair_color), got.hair and got.hair.name) for one, got in both if visible(one, "hair") >= SHOWS
    ]
    assert sum(truth == name for truth, name in hair) >= 0.95 * len(hair)


def test_repainting_changes_irises_and_nothing_else(portraits: list[Portrait]):
    painted = clean = asked = 0
    for place, one in enumerate(portraits[:60]):
        name = [name for name in EYES if name != one.traits.eyes][place % 4]
        cells = repaint_eyes(one.cells, name)
        if not seen(one):
            assert cells is None
        elif cells is not None:
            painted += 1
            changed = (cells != one.cells).any(-1)
            clean += not (changed & ~(one.masks["left eye"] | one.masks["right eye"])).any()
            asked += all(nearest_eyes(cells, one.masks[side]) == name for side in ("left eye", "right eye"))
    assert painted >= 40
    assert clean >= 0.95 * painted
    assert asked >= 0.95 * painted


@pytest.mark.parametrize(
    ("iris", "name"),
    [((66, 25, 1), "brown"), ((29, 63, 102), "blue"), ((21, 185, 11), "green"), ((143, 145, 142), "gray")],
)
def test_eyes_of_another_make_are_found_too(iris: tuple[int, int, int], name: str):
    cells = hand_made(iris)
    reading = read(cells)
    assert reading.eyes is not None
    assert reading.hair is not None
    assert reading.skin is not None
    assert (reading.eyes.name, reading.eyes.rgb) == (name, iris)
    assert set(map(tuple, np.argwhere(reading.eyes.left).tolist())) == {(11, 9), (11, 10), (12, 10)}
    assert set(map(tuple, np.argwhere(reading.eyes.right).tolist())) == {(11, 14), (11, 15), (12, 15)}
    assert (reading.hair.name, reading.skin.name) == ("brown", "light")
    assert (reading.background.name, reading.background.solid) == ("blue", True)
    assert (reading.colors, int(reading.strays.sum())) == (6, 0)


BROWN, BLACK, RED, GINGER, BLUE = (66, 25, 1), (30, 26, 34), (186, 40, 46), (206, 100, 40), (46, 84, 178)


def shorn(cells: np.ndarray) -> np.ndarray:
    """The same head without what hangs beside the face: hair on the forehead and one sideburn."""
    hair, background = cells[3, 5].copy(), cells[0, 0].copy()
    cells[3:22, 5:8] = cells[3:22, 17:19] = cells[20:22] = background
    cells[8:12, 8] = hair
    return cells


def hair_of(cells: np.ndarray) -> str | None:
    hair = read(cells).hair
    return hair and hair.name


def test_hair_may_be_nearly_of_the_color_of_the_skin():
    cells = hand_made((143, 145, 142))
    skin = (cells == (244, 203, 173)).all(-1)
    cells[skin] = (74, 42, 22)
    assert hair_of(cells) == hair_of(shorn(cells)) == "brown"
    cells[(cells == (54, 32, 13)).all(-1)] = (74, 42, 22)
    assert hair_of(cells) is None  # nothing but skin


def test_clothes_are_no_hair():
    cells = hand_made(BROWN)
    cells[(cells == (54, 32, 13)).all(-1)] = BLACK
    cells[1:9, 3:21] = RED
    cells[19:, 3:21] = 240
    assert hair_of(cells) == "black"


def test_a_hat_is_no_hair():
    cells = shorn(hand_made(BROWN))
    cells[3:9, 5:20] = RED
    assert hair_of(cells) is None
    cells = hand_made(BROWN)
    cells[1:9, 3:21] = RED
    assert hair_of(cells) == "brown"  # what hangs out below it


def test_a_bow_leaves_hair_hair():
    cells = shorn(hand_made(BROWN))
    cells[(cells == (54, 32, 13)).all(-1)] = GINGER
    cells[2:5, 14:19] = BLUE
    assert hair_of(cells) == "red"


def test_strays_are_single_cells_in_plain_surroundings():
    cells = hand_made((66, 25, 1))
    cells[2, 2] = cells[7, 21] = cells[20, 20] = (255, 0, 255)
    cells[9, 21:23] = (255, 0, 255)  # two cells are no stray
    assert np.argwhere(read(cells).strays).tolist() == [[2, 2], [7, 21], [20, 20]]


def test_there_may_be_nothing_to_read():
    reading = read(np.full((24, 24, 3), 90, np.uint8))
    assert (reading.skin, reading.eyes, reading.hair) == (None, None, None)
    assert reading.background.solid
    assert repaint_eyes(np.full((24, 24, 3), 90, np.uint8), "blue") is None


@pytest.mark.parametrize("colors", [2, 5, 40, 576])
def test_noise_has_colors_and_no_eyes(colors: int):
    rng = np.random.default_rng(colors)
    for _ in range(10):
        cells = rng.integers(0, 256, (colors, 3)).astype(np.uint8)[rng.integers(0, colors, (24, 24))]
        reading = read(cells)
        assert reading.colors == len(np.unique(cells.reshape(-1, 3), axis=0))
        assert repaint_eyes(cells, "blue") is None


def test_colors_have_the_names_that_people_give_them():
    wrong = {name for name, rgb in BACKGROUNDS.items() if color_name(np.array(rgb))[0] != word(name)}
    assert not wrong


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ImageError, match=r"give uint8 \(24, 24, 3 or 4\)"):
        read(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(RecipeError, match="eyes: 'red' is not allowed; choose one of brown"):
        repaint_eyes(hand_made((66, 25, 1)), "red")
