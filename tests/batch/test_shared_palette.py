"""One palette over a batch: what it takes is said, and it is given back where the lock is dropped."""

from pathlib import Path

import numpy as np
import pytest

from bench.pixels_damage import damage
from punks import Recipe
from punks.batch.folder import LOCKED, Folder, opened
from punks.batch.jobs import Job
from punks.batch.manifest import Entry, entries, warnings
from punks.batch.palette_lock import lock, twins, unlock
from punks.batch.places.worker import Outcome
from punks.files.png import read_recipe
from punks.generate import restore
from punks.report.sheet import read_pixels
from punks.snap import PixelArt
from punks.snap.art import Bytes, palette_of
from punks.snap.portrait import read
from training.portraits import draw, sample

PLAIN = Recipe(prompt="lady", variant="demo", seed=7)


def keep(folder: Folder, *punks: Bytes, recipe: Recipe = PLAIN) -> list[str]:
    for number, cells in enumerate(punks, 1):
        art = PixelArt(
            cells=cells,
            palette=palette_of(cells),
            confidence=1.0,
            drift=0.0,
            has_grid=True,
            background=np.zeros((24, 24), bool),
        )
        folder.keep(Outcome(job=Job(number=number, recipe=recipe), art=art))
    return [f"{number:06d}" for number in range(1, len(punks) + 1)]


@pytest.fixture
def portraits() -> list[Bytes]:
    found = [draw(sample(np.random.default_rng(i)), np.random.default_rng(i)).cells for i in range(12)]
    return [cells for cells in found if read(cells).eyes and read(cells).hair]


def files(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*.png")}


def test_punks_that_lose_eyes_or_hair_say_so(tmp_path: Path, portraits: list[Bytes]) -> None:
    with opened(tmp_path) as folder:
        names = keep(folder, *portraits)
        for colors in (3, 256):  # the second from what was before the first
            lock(folder, names, colors)
            for before, entry in zip(portraits, entries(tmp_path), strict=True):
                was, now = read(before), read(np.asarray(read_pixels(tmp_path / entry["files"]["pixels"])))
                assert was.eyes
                assert was.hair
                eyes = was.eyes.name != (now.eyes and now.eyes.name)
                hair = was.hair.name != (now.hair and now.hair.name)
                assert ("eyes" in warnings(entry), "hair" in warnings(entry)) == (eyes, hair)
            assert any(map(warnings, entries(tmp_path))) == (colors == 3)


def test_what_was_before_comes_back(tmp_path: Path, portraits: list[Bytes]) -> None:
    with opened(tmp_path) as folder:
        names = keep(folder, *portraits)
        before: tuple[list[Entry], dict[str, bytes]] = (list(entries(tmp_path)), files(tmp_path))
        lock(folder, names, 3)
        assert files(tmp_path) != before[1]
        unlock(folder, names)
        unlock(folder, names)
        assert (list(entries(tmp_path)), files(tmp_path)) == before


@pytest.mark.parametrize("colors", [4, 12, 40])
def test_the_recipe_paints_what_is_locked(tmp_path: Path, portraits: list[Bytes], colors: int) -> None:
    given = PLAIN.replace(background="teal", eyes="blue")
    paintings = [damage("real", cells, 5) for cells in portraits]
    with opened(tmp_path) as folder:
        names = keep(folder, *(restore(one, given)[0].cells for one in paintings), recipe=given)
        lock(folder, names, colors)
        jobs = [Job(number=number, recipe=given) for number in range(1, len(names) + 1)]
        assert all(folder.finished(job, ("image",), LOCKED) for job in jobs)
        for painting, entry in zip(paintings, entries(tmp_path), strict=True):
            again, _ = restore(painting, read_recipe(tmp_path / entry["files"]["image"]))
            assert (again.cells == np.asarray(read_pixels(tmp_path / entry["files"]["pixels"]))).all()


def test_twins_are_found_under_one_palette_only(tmp_path: Path, portraits: list[Bytes]) -> None:
    other = portraits[0].copy()
    other[other == other[0, 0]] ^= 1
    with opened(tmp_path) as folder:
        names = keep(folder, portraits[0], other, portraits[1])
        assert list(twins(folder, names)) == []
        lock(folder, names, 8)
        assert list(twins(folder, names)) == [("000002", "000001")]
