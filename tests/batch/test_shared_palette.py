"""One palette over a batch: what it takes is said, and without it every punk is again as it was."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pixels_damage import damage
from punks import Finish, Painting, Recipe
from punks.batch.folder import Folder, opened
from punks.batch.jobs import Job
from punks.batch.manifest import entries, warnings
from punks.batch.places.local import Local
from punks.batch.places.worker import Outcome
from punks.batch.run import run
from punks.batch.shared_palette import share_palette, twins
from punks.files.png import RECIPE, read_texts
from punks.report.sheet import read_pixels
from punks.request import from_json
from punks.snap import Cells, restore
from punks.snap.portrait import read
from training.portraits import draw, sample

PLAIN = Recipe(prompt="lady", variant="demo", seed=7)


def keep(folder: Folder, punks: list[Cells], finish: Finish) -> list[Job]:
    jobs = [Job(number=number, recipe=PLAIN, finish=finish) for number in range(1, len(punks) + 1)]
    for job, cells in zip(jobs, punks, strict=True):
        painting = Painting(recipe=PLAIN, restored=cells, prompt=PLAIN.painted_prompt)
        folder.keep(Outcome(job=job, punk=painting.finish(finish)))
    return jobs


def cells_of(art: np.ndarray) -> Cells:
    return restore(Image.fromarray(art))


@pytest.fixture(scope="module")
def portraits() -> list[np.ndarray]:
    found = [draw(sample(np.random.default_rng(i)), np.random.default_rng(i)).cells for i in range(12)]
    return [cells for cells in found if read(cells).eyes and read(cells).hair]


@pytest.fixture(scope="module")
def restored(portraits: list[np.ndarray]) -> list[Cells]:
    return [restore(damage("real", cells, 5)) for cells in portraits]


def files(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*.png")}


def test_punks_that_lose_eyes_or_hair_say_so(tmp_path: Path, portraits: list[np.ndarray]) -> None:
    with opened(tmp_path) as folder:
        jobs = keep(folder, [cells_of(art) for art in portraits], Finish())
        for colors in (3, 256):  # the second from what was before the first
            share_palette(folder, jobs, colors)
            for before, entry in zip(portraits, entries(tmp_path), strict=True):
                was, now = read(before), read(np.asarray(read_pixels(tmp_path / entry["files"]["pixels"])))
                assert was.eyes
                assert was.hair
                eyes = was.eyes.name != (now.eyes and now.eyes.name)
                hair = was.hair.name != (now.hair and now.hair.name)
                assert ("eyes" in warnings(entry), "hair" in warnings(entry)) == (eyes, hair)
            assert any(map(warnings, entries(tmp_path))) == (colors == 3)


def test_what_was_before_comes_back(tmp_path: Path, portraits: list[np.ndarray]) -> None:
    with opened(tmp_path) as folder:
        jobs = keep(folder, [cells_of(art) for art in portraits], Finish())
        before = (list(entries(tmp_path)), files(tmp_path))
        share_palette(folder, jobs, 3)
        assert files(tmp_path) != before[1]
    with closing(Local()) as place:
        assert run(jobs, tmp_path, place).finished == len(jobs)
        assert list(entries(tmp_path)) == before[0]
        assert files(tmp_path) == before[1]
        assert run(jobs, tmp_path, place).kept == len(jobs)


@pytest.mark.parametrize("colors", [4, 12, 40])
def test_the_recipe_gives_what_the_folder_has(tmp_path: Path, restored: list[Cells], colors: int) -> None:
    with opened(tmp_path) as folder:
        jobs = keep(folder, restored, Finish(background="teal", eyes="blue"))
        share_palette(folder, jobs, colors)
        assert {folder.todo(job, ("image",), ("palette", "background")) for job in jobs} == {"keep"}
        for cells, entry in zip(restored, entries(tmp_path), strict=True):
            recipe, finish = from_json(read_texts(tmp_path / entry["files"]["image"])[RECIPE])
            again = Painting(recipe=recipe, restored=cells).finish(finish).art
            assert (again.cells == np.asarray(read_pixels(tmp_path / entry["files"]["pixels"]))).all()
            assert len(again.hexes) <= colors


def test_twins_are_found_under_one_palette_only(tmp_path: Path, portraits: list[np.ndarray]) -> None:
    other = portraits[0].copy()
    other[other == other[0, 0]] ^= 1
    with opened(tmp_path) as folder:
        jobs = keep(folder, [cells_of(art) for art in (portraits[0], other, portraits[1])], Finish())
        assert list(twins(folder, jobs)) == []
        share_palette(folder, jobs, 8)
        assert [(job.name, first) for job, first in twins(folder, jobs)] == [("000002", "000001")]
