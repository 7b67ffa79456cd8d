"""One palette over a batch: every punk is finished with it, and what it takes is said; it goes with the option."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from punks.batch.folder import UNLOCKED, json_of
from punks.batch.jobs import Job, jobs_of
from punks.batch.manifest import NAME, entries, warnings
from punks.batch.run import run
from punks.files.checksums import sha256
from punks.files.png import RECIPE, write_png
from punks.finish import Finish
from punks.palette import Palette
from punks.recipe import Recipe
from punks.snap.art import Bytes
from punks.snap.portrait import read
from tests.support.batches import facts, pictures
from tests.support.drawn import Drawn, cells_of, exact, portrait
from tests.support.recipes import recipe_in


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    """Portraits whose eyes and hair can be read for sure."""
    seeds = [seed for seed in range(12) if _eyes(portrait(seed)) and read(portrait(seed)).hair]
    return jobs_of(Recipe(prompt="lady", variant="demo", seed=seed) for seed in seeds)


def _eyes(cells: Bytes) -> str | None:
    found = read(cells).eyes
    return found and found.name


def _hair(cells: Bytes) -> str | None:
    found = read(cells).hair
    return found and found.name


def test_punks_whose_eyes_or_hair_change_say_so(tmp_path: Path, jobs: list[Job]) -> None:
    run(jobs, tmp_path, Drawn(exact))
    own = [cells_of(tmp_path, entry) for entry in entries(tmp_path)]
    for colors in (3, 256):  # the second from what was before the first
        place = Drawn(exact)
        run(jobs, tmp_path, place, shared_palette=colors)
        assert place.painted == []
        for was, entry in zip(own, entries(tmp_path), strict=True):
            now = cells_of(tmp_path, entry)
            lost = [name for name, seen in (("eyes", _eyes), ("hair", _hair)) if seen(was) != seen(now)]
            said = f"shared palette: {' and '.join(lost)} changed color; allow more colors" if lost else ""
            assert warnings(entry) == said
        assert any(map(warnings, entries(tmp_path))) == (colors == 3)


def test_without_the_option_every_punk_is_as_its_row_says(tmp_path: Path, jobs: list[Job]) -> None:
    run(jobs, tmp_path, Drawn())
    before = (facts(tmp_path), pictures(tmp_path), [entry["seconds"] for entry in entries(tmp_path)])
    run(jobs, tmp_path, Drawn(), shared_palette=3)
    assert pictures(tmp_path) != before[1]
    for finished in (len(jobs), 0):
        place = Drawn()
        tally = run(jobs, tmp_path, place)
        assert (tally.finished, tally.kept, place.painted) == (finished, len(jobs) - finished, [])
        assert (facts(tmp_path), pictures(tmp_path), [entry["seconds"] for entry in entries(tmp_path)]) == before


@pytest.mark.parametrize("colors", [4, 12, 40])
def test_a_picture_carries_the_finish_that_gives_its_colors(tmp_path: Path, jobs: list[Job], colors: int) -> None:
    given = [replace(job, finish=Finish(background="teal", eyes="blue")) for job in jobs]
    run(given, tmp_path, Drawn(), shared_palette=colors)
    palettes: set[str] = set()
    for job, entry in zip(given, entries(tmp_path), strict=True):
        recipe, finish = recipe_in(tmp_path / entry["files"]["image"])
        assert recipe == job.recipe
        assert isinstance(finish.palette, Palette)
        assert len(finish.palette.colors) <= colors
        assert finish.background in finish.palette.hexes
        assert set(entry["palette"]) <= set(finish.palette.hexes)
        palettes.add(str(finish.palette))
        (again,) = Drawn().paint(iter([replace(job, finish=finish)]))
        assert again.punk
        assert (again.punk.art.cells == cells_of(tmp_path, entry)).all()
    assert len(palettes) == 1
    place, before = Drawn(), facts(tmp_path)
    assert run(given, tmp_path, place, shared_palette=colors).kept == len(given)
    assert (place.painted, facts(tmp_path)) == ([], before)


def test_a_run_that_ends_at_any_point_goes_on(tmp_path: Path, jobs: list[Job]) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    run(jobs, own, Drawn())
    shutil.copytree(own, shared)
    run(jobs, shared, Drawn(), shared_palette=6)
    lines = (shared / NAME).read_bytes().splitlines(keepends=True)[len(jobs) :]
    names = [json.loads(line)["name"] for line in lines]
    for done in range(len(lines) + 1):
        folder = shutil.copytree(own, tmp_path / f"after {done}")
        with (folder / NAME).open("ab") as file:
            file.writelines(lines[:done])
            file.write(b"".join(lines[done : done + 1])[:99])  # killed while it wrote
        for name in names[:done]:
            for kind in ("images", "pixels"):
                shutil.copy(shared / kind / f"{name}.png", folder / kind)
        place = Drawn()
        run(jobs, folder, place, shared_palette=6)
        assert (place.painted, facts(folder), pictures(folder)) == ([], facts(shared), pictures(shared))
        # killed between the two files of a punk
        shutil.copy(own / "images" / f"{names[-1]}.png", folder / "images")
        run(jobs, folder, Drawn(), shared_palette=6)
        assert (facts(folder), pictures(folder)) == (facts(shared), pictures(shared))


def test_a_row_is_edited_while_a_palette_is_shared(tmp_path: Path, jobs: list[Job]) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(jobs, one, Drawn(), shared_palette=8)
    changed = [replace(jobs[0], finish=Finish(background="lime", eyes="keep")), *jobs[1:]]
    place = Drawn()
    assert run(changed, one, place, shared_palette=8).finished == 1
    assert place.painted == []
    run(changed, two, Drawn(), shared_palette=8)
    assert (facts(one), pictures(one)) == (facts(two), pictures(two))


def test_twins_under_the_shared_palette_fail_with_a_reason(tmp_path: Path) -> None:
    other = portrait(0).copy()
    other[(other == other[0, 0]).all(-1)] ^= 1
    drawn = {1: portrait(0), 2: other, 3: portrait(4)}

    def enlarged(seed: int) -> Image.Image:
        return Image.fromarray(drawn[seed]).resize((512, 512), Image.Resampling.NEAREST)

    jobs = jobs_of(Recipe(prompt="lady", variant="demo", seed=seed) for seed in drawn)
    assert run(jobs, tmp_path, Drawn(enlarged), unique=True).failed == {}
    place = Drawn(enlarged)
    tally = run(jobs, tmp_path, place, unique=True, shared_palette=8)
    assert tally.failed == {2: "the same punk as 000001 under the shared palette; allow more colors"}
    assert place.painted == []
    assert run(jobs, tmp_path, place, unique=True).failed == {}


def test_a_folder_of_version_0_1_goes_on_from_what_it_kept(tmp_path: Path, jobs: list[Job]) -> None:
    """It kept the 24x24 from before the palette was shared, and no data for finishing in its pictures."""
    run(jobs, tmp_path / "new", Drawn())
    run(jobs, tmp_path / "old", Drawn(), shared_palette=4)
    own = {entry["name"]: cells_of(tmp_path / "new", entry) for entry in entries(tmp_path / "new")}
    (tmp_path / "old" / UNLOCKED).mkdir()
    lines: list[str] = []
    for job, entry in zip(jobs, entries(tmp_path / "old"), strict=True):
        folder = tmp_path / "old"
        entry |= {"recipe": _old(entry["recipe"]), "asked": {"palette": "auto"}, "lost": "palette-lock: eyes changed"}
        entry["files"][UNLOCKED] = f"{UNLOCKED}/{job.name}.png"
        for kind, cells, request in (
            ("pixels", cells_of(folder, entry), entry["recipe"]),
            (UNLOCKED, own[job.name], _old(json_of(job))),
        ):
            path = folder / entry["files"][kind]
            write_png(Image.fromarray(cells), path, {RECIPE: json.dumps(request)})
            entry["bytes"][kind] = path.stat().st_size
            entry["sha256"][kind] = sha256(path)
        lines.append(json.dumps(entry) + "\n")
    (tmp_path / "old" / NAME).write_text("".join(lines))
    for colors in (4, None):
        folder, place = shutil.copytree(tmp_path / "old", tmp_path / f"{colors}"), Drawn()
        run(jobs, folder, place, shared_palette=colors)
        assert place.painted == []
        palettes = {entry["recipe"]["palette"] for entry in entries(folder)}
        if colors is None:
            assert all((cells_of(folder, entry) == own[entry["name"]]).all() for entry in entries(folder))
            assert palettes == {"auto"}
            assert not list((folder / UNLOCKED).iterdir())
            assert not any(map(warnings, entries(folder)))
        else:
            assert len(palettes) == 1


def _old(request: dict[str, object]) -> dict[str, object]:
    """A request as version 0.1 wrote it."""
    old = {name: value for name, value in request.items() if name not in ("dither", "steer_color", "image_sha256")}
    return {**old, "image": None}
