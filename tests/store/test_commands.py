"""--store of batch, compare and studio, and PUNKS_STORE, as people use them."""

import signal
from pathlib import Path

import pytest

from bench.batch_folder import write_folder
from punks import Recipe
from punks.batch.jobs import jobs_of, prompt_jobs
from punks.batch.picks import Pick, write_picks
from punks.batch.run import run
from punks.cli import main
from punks.report.compare.grid import epochs_axis, make_grid
from tests.support.batches import until
from tests.support.databases import Sqlite, Store
from tests.support.stand import Stand, bring, jobs
from tests.support.studios import studio


@pytest.fixture
def file(tmp_path: Path) -> Store:
    return Store(Sqlite(tmp_path / "punks.db"))


def test_batch_and_compare_fill_a_store(file: Store, tmp_path: Path):
    """What they would paint is there already."""
    prompt, folder = "{lady|lad}, red hair", tmp_path / "night"
    run(prompt_jobs(prompt, None, {"variant": "tiny"}), folder, Stand())
    assert main(["batch", "--prompt", prompt, "--variant", "tiny", "-o", str(folder), "--store", file.url]) == 0
    assert {Path(row["address"]) for row in file.rows("pictures")} == set((folder / "images").iterdir())
    folder = tmp_path / "epochs"
    run(make_grid(epochs_axis("tiny"), None, ["lady"], {"variant": "tiny"}).jobs(), folder, Stand(paintings=True))
    epochs = ["compare", "lady", "--variant", "tiny", "-o", str(folder)]
    assert main([*epochs, "--store", str(tmp_path / "punks.db")]) == 0
    assert len(file.rows("pictures")) == 4
    assert len(file.rows("scores")) == 2
    assert [(row["run"], row["epoch"], row["pictures"]) for row in file.rows("epochs")] == [
        ("tiny", 1, 1),
        ("tiny", 2, 1),
    ]
    assert sum(row["recommended"] for row in file.rows("epochs")) == 1


def test_finishing_a_folder_replaces_its_pictures_in_the_store(
    file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run(jobs(2), tmp_path / "out", Stand())
    assert bring(file, tmp_path / "out") == 0
    before = {row["image_sha256"] for row in file.rows("pictures")}
    words = ["finish", str(tmp_path / "out"), "--background", "lime", "--store", file.url]
    assert main(words) == 0
    rows = file.rows("pictures")
    assert [row["finish"]["background"] for row in rows] == ["#00ff00"] * 2
    assert not before & {row["image_sha256"] for row in rows}
    words[1] = str(tmp_path / "out/images/000001.png")
    with pytest.raises(SystemExit):
        main(words)
    assert "--store works with a batch; give its folder and nothing else" in capsys.readouterr().err


def test_a_variant_of_another_machine_is_a_run_by_its_name(file: Store, tmp_path: Path):
    of = {"variant": "night", "epoch": 3, "lora_scale": 1.0, "num_inference_steps": 9, "guidance_scale": 2.0}
    run(jobs_of([Recipe(prompt="lady", seed=1, **of)]), tmp_path / "out", Stand())
    assert bring(file, tmp_path / "out") == 0
    assert [(row["run"], row["epoch"]) for row in file.rows("pictures")] == [("night", 3)]
    assert [(row["name"], row["base"]) for row in file.rows("runs")] == [("night", None)]


def test_the_studio_fills_a_store_while_it_runs(file: Store, tiny_weights: Path, tmp_path: Path):
    write_folder(tmp_path / "studio", 2, images=False)
    with studio(tmp_path / "studio", tiny_weights, "--store", file.url) as served:
        until(lambda: (tmp_path / "punks.db").exists() and len(file.rows("pictures")) == 2)
        write_picks(served.folder, {"000001": Pick(choice="keep", rating=10)})
        until(lambda: [(row["choice"], row["rating"]) for row in file.rows("picks")] == [("keep", 10)])
        code, said = served.stop(signal.SIGTERM)
    assert code == 0, said


def test_the_address_may_come_from_the_environment(
    file: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_folder(tmp_path / "batch", 2, images=False)
    with pytest.raises(SystemExit):
        main(["store", "import", str(tmp_path / "batch")])
    assert "name a database with --store, or in PUNKS_STORE" in capsys.readouterr().err
    monkeypatch.setenv("PUNKS_STORE", file.url)
    assert main(["store", "import", str(tmp_path / "batch")]) == 0
    assert len(file.rows("pictures")) == 2
    file.server.stop()
    assert main(["store", "export", "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.endswith(
        "punks.db: unable to open database file; run the same command again when it is back\n"
    )
