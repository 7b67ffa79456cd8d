"""Picks: what is kept and rejected, rejected punks painted again, and kept ones copied."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.batch_folder import write_folder
from punks import Finish, Recipe
from punks.batch.jobs import Job, jobs_of
from punks.batch.manifest import entries
from punks.batch.picks import NAME, Pick, export_kept, read_picks, write_picks
from punks.batch.run import Tally, finish_folder, run
from punks.errors import BatchError
from punks.report.gallery import write_gallery
from tests.support.drawn import Drawn, exact

REJECT = Pick(choice="reject")


def rows(*seeds: int, background: str = "keep") -> list[Job]:
    recipes = [Recipe(prompt=f"lady {seed}", variant="demo", seed=seed) for seed in seeds]
    return jobs_of(recipes, Finish(background=background))


def seeds(folder: Path) -> list[int]:
    return [entry["recipe"]["seed"] for entry in entries(folder)]


def repaint(folder: Path, jobs: list[Job], **options: Any) -> tuple[list[str], Tally]:
    place = Drawn(exact)
    tally = run(jobs, folder, place, **options)
    return place.painted, tally


def test_rejected_punks_get_another_seed_for_good(tmp_path: Path) -> None:
    run(rows(1, 2, 3), tmp_path, Drawn(exact))
    write_picks(tmp_path, {"000002": REJECT, "000003": Pick(choice="keep")})
    assert repaint(tmp_path, rows(1, 2, 3)) == ([], Tally(kept=3))
    assert seeds(tmp_path) == [1, 2, 3]
    painted, tally = repaint(tmp_path, rows(1, 2, 3), repaint_rejected=True)
    assert (painted, tally.done, tally.kept) == (["000002"], 1, 2)
    again = seeds(tmp_path)
    assert (again[0], again[2]) == (1, 3)
    assert again[1] != 2
    assert read_picks(tmp_path) == {"000003": Pick(choice="keep")}
    for options in ({}, {"repaint_rejected": True}, {"verify": True}, {"unique": True}):  # resuming undoes nothing
        assert repaint(tmp_path, rows(1, 2, 3), **options)[0] == []
        assert seeds(tmp_path) == again


def test_a_punk_that_is_rejected_twice_gets_a_third_seed(tmp_path: Path) -> None:
    run(rows(5), tmp_path, Drawn(exact))
    seen = seeds(tmp_path)
    for _ in range(25):
        write_picks(tmp_path, {"000001": REJECT})
        assert repaint(tmp_path, rows(5), repaint_rejected=True)[1].done == 1
        seen += seeds(tmp_path)
    assert len(set(seen)) == 26
    assert next(entries(tmp_path))["rejected"] == seen[:-1]


def test_a_repainted_punk_stays_so_when_it_is_damaged_or_finished_anew(tmp_path: Path) -> None:
    run(rows(5, 6), tmp_path, Drawn(exact))
    write_picks(tmp_path, {"000001": REJECT})
    repaint(tmp_path, rows(5, 6), repaint_rejected=True)
    again = seeds(tmp_path)
    assert repaint(tmp_path, rows(5, 6, background="teal"))[1].finished == 2
    assert seeds(tmp_path) == again
    finish_folder(tmp_path, lambda _: Finish(background="keep"), lambda: None)
    assert repaint(tmp_path, rows(5, 6)) == ([], Tally(kept=2))
    (tmp_path / "images" / "000001.png").write_bytes(b"")
    assert repaint(tmp_path, rows(5, 6))[0] == ["000001"]
    assert seeds(tmp_path) == again
    assert repaint(tmp_path, rows(5, 6), shared_palette=8)[0] == []
    assert seeds(tmp_path) == again


def test_another_seed_of_the_row_counts_again(tmp_path: Path) -> None:
    run(rows(5), tmp_path, Drawn(exact))
    write_picks(tmp_path, {"000001": REJECT})
    repaint(tmp_path, rows(5), repaint_rejected=True)
    changed = jobs_of([Recipe(prompt="lady 5", variant="demo", seed=77)])
    assert repaint(tmp_path, changed)[0] == ["000001"]
    assert seeds(tmp_path) == [77]


def test_a_rejected_punk_that_would_be_a_twin_goes_on(tmp_path: Path) -> None:
    """--unique gives the repainted punk yet another seed where it equals one before."""

    def drawing(seed: int) -> Any:
        return exact(9 if seed not in (1, 2) else seed)

    run(rows(9, 2), tmp_path, Drawn(drawing), unique=True)
    write_picks(tmp_path, {"000002": REJECT})
    tally = run(rows(9, 2), tmp_path, Drawn(drawing), unique=True, repaint_rejected=True)
    assert "000001" in tally.failed[2]


def test_the_kept_punks_are_copied_with_all_their_files(tmp_path: Path) -> None:
    folder, target = tmp_path / "night", tmp_path / "best"
    run(rows(1, 2, 3), folder, Drawn(exact, paintings=True))
    with pytest.raises(BatchError, match="no punk is kept"):
        export_kept(folder, target)
    picks = {"000001": Pick(choice="keep", rating=9), "000002": REJECT, "000003": Pick(rating=3)}
    picks |= {"000009": Pick(choice="keep")}  # which is not there
    write_picks(folder, picks)
    assert export_kept(folder, target) == 1
    assert list(entries(target)) == [next(entries(folder))]
    assert read_picks(target) == {"000001": picks["000001"]}
    for kind in ("images", "pixels", "paintings"):
        assert [path.name for path in (target / kind).iterdir()] == ["000001.png"]
        assert (target / kind / "000001.png").read_bytes() == (folder / kind / "000001.png").read_bytes()
    with pytest.raises(BatchError, match="not empty"):
        export_kept(folder, target)


def test_the_gallery_filters_by_picks(tmp_path: Path) -> None:
    write_folder(tmp_path, 3, images=False)
    write_picks(tmp_path, {"000001": Pick(choice="keep", rating=9), "000002": REJECT})
    page = write_gallery(tmp_path, entries(tmp_path)).read_text("utf-8")
    head = json.loads(page.split('id="head">')[1].split("</script>")[0])
    values = {(head["types"][kind], value): count for kind, value, count in head["values"]}
    assert {key: count for key, count in values.items() if key[0] in ("pick", "rating")} == {
        ("pick", "kept"): 1,
        ("pick", "rejected"): 1,
        ("rating", "9"): 1,
    }


@pytest.mark.parametrize("text", ["", "[1]", '{"000001": 3}', '{"000001": {"choice": "maybe"}}', '{"1": {"x": 1}}'])
def test_picks_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(BatchError, match=NAME):
        read_picks(tmp_path)


@pytest.mark.parametrize("rating", [-1, 11, float("nan"), True, "9"])
def test_ratings_are_from_0_to_10(rating: Any) -> None:
    with pytest.raises(BatchError, match="rating"):
        Pick(rating=rating)
