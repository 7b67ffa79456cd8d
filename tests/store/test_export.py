"""A comparison and a batch out of a store, into the owner's own tables in a real PostgreSQL."""

import csv
import json
from pathlib import Path

import pytest

from punks.batch.picks import Pick, write_picks
from punks.batch.run import run
from punks.cli import main
from punks.report.compare.grid import Axis, make_grid
from punks.report.compare.ratings import Ratings
from punks.report.compare.result import result, scores_of, show
from tests.support.databases import Postgres, Store
from tests.support.stand import Stand, bring, jobs

# by the columns that the owner's tables have; the types are those that the values want
TABLES = """
CREATE TABLE training_runs (id uuid PRIMARY KEY, run_name text UNIQUE NOT NULL, run_date timestamptz DEFAULT now(),
    status text CHECK (status IN ('in_progress', 'completed', 'failed', 'cancelled')), base_model text,
    model_type text CHECK (model_type IN ('sd15', 'sdxl', 'other')), num_images int, resolution text, network_dim int,
    network_alpha numeric, learning_rate numeric, unet_lr numeric, text_encoder_lr numeric, train_batch_size int,
    gradient_accumulation_steps int, max_train_epochs int, total_steps int, mixed_precision text, optimizer_type text,
    lr_scheduler text, lr_scheduler_cycles int, noise_offset numeric, min_snr_gamma numeric, output_name text,
    best_epoch int, notes text,
    overall_verdict text CHECK (overall_verdict IN ('success', 'failure', 'partial', 'pending')));
CREATE TABLE epoch_results (id uuid PRIMARY KEY, training_run_id uuid NOT NULL REFERENCES training_runs,
    epoch_number int NOT NULL, checkpoint_path text, checkpoint_file_size_mb numeric, test_output_dir text,
    num_test_images int, visual_quality_score numeric CHECK (visual_quality_score BETWEEN 0 AND 10),
    prompt_adherence_score numeric CHECK (prompt_adherence_score BETWEEN 0 AND 10), has_wrong_backgrounds boolean,
    has_random_pixels boolean, has_wrong_colors boolean, observations text, test_image_paths text[],
    verdict text CHECK (verdict IN ('best', 'good', 'acceptable', 'skip', 'failure')),
    UNIQUE (training_run_id, epoch_number));
CREATE TABLE test_prompts (id uuid PRIMARY KEY, prompt_name text UNIQUE NOT NULL, prompt_text text NOT NULL,
    negative_prompt text, purpose text, expected_result text);
CREATE TABLE prompt_test_results (id uuid PRIMARY KEY, epoch_result_id uuid NOT NULL REFERENCES epoch_results,
    test_prompt_id uuid NOT NULL REFERENCES test_prompts, image_path text, passed boolean,
    correct_background_color boolean, correct_hair_color boolean, correct_eye_color boolean, is_pixel_art boolean,
    has_random_artifacts boolean, observations text, score numeric CHECK (score BETWEEN 0 AND 10));
CREATE TABLE user_generations (id uuid PRIMARY KEY, prompt text NOT NULL, epoch int, paths text[], rating numeric);
"""
PROMPTS = ["lady, brown hair, teal solid background", "lad, black hair, gray solid background"]
NAMES = ("training_runs", "epoch_results", "test_prompts", "prompt_test_results", "user_generations")


@pytest.fixture
def exported(store: Store, tmp_path: Path) -> Path:
    """The tables of a comparison of two epochs and the base, one rated, and of a batch with a picked punk."""
    compared, batch, out = tmp_path / "compared", tmp_path / 'a "bätch", of {two}\\n', tmp_path / "out"
    grid = make_grid(Axis(name="epoch", values=(1, 2)), None, PROMPTS, {"variant": "tiny"}, base=True)
    run(grid.jobs(), compared, Stand())
    (compared / "ratings.json").write_text(Ratings(columns={"epoch 2": 7.5}).to_json())
    found = result(compared, grid)
    show(compared, found, "two epochs")
    assert scores_of(found)["recommended"] == "epoch 1"
    run(jobs(2), batch, Stand())
    write_picks(batch, {"000002": Pick(choice="keep", rating=9)})
    for _ in range(2):
        assert bring(store, compared, batch) == 0
    assert main(["store", "export", "--store", store.url, "-o", str(out)]) == 0
    return out


def test_postgresql_takes_the_owners_tables_as_they_are_exported(
    exported: Path,
    postgres: Postgres,
):
    with postgres.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(TABLES)
        for name in NAMES:
            text = (exported / f"{name}.csv").read_text()
            with connection.cursor().copy(
                f"COPY {name} ({text.partition(chr(10))[0].strip()}) FROM STDIN CSV HEADER"  # pyright: ignore
            ) as copy:
                copy.write(text)
        best = connection.execute(
            "SELECT run_name, best_epoch, network_dim, overall_verdict, verdict, visual_quality_score, num_test_images,"
            " array_length(test_image_paths, 1) FROM epoch_results JOIN training_runs ON training_run_id ="
            " training_runs.id WHERE run_name = 'tiny' ORDER BY epoch_number"
        ).fetchall()
        assert best == [("tiny", 1, 4, "success", "best", None, 2, 2), ("tiny", 1, 4, "success", "good", 7.5, 2, 2)]
        told = connection.execute(
            "SELECT epoch_number, prompt_text, passed, correct_background_color, score > 0 FROM prompt_test_results"
            " JOIN epoch_results ON epoch_result_id = epoch_results.id JOIN test_prompts ON test_prompt_id ="
            " test_prompts.id ORDER BY epoch_number, prompt_text"
        ).fetchall()
        assert told == [(epoch, prompt, False, False, True) for epoch in (1, 2) for prompt in sorted(PROMPTS)]
        made = connection.execute("SELECT epoch, rating, paths FROM user_generations ORDER BY paths").fetchall()
    assert [(epoch, rating) for epoch, rating, _ in made] == [(10, None), (10, 9), (None, None), (None, None)]
    assert all(Path(path).is_file() for _, _, paths in made for path in paths)


def test_json_and_csv_say_the_same(exported: Path):
    for name in NAMES:
        rows = json.loads((exported / f"{name}.json").read_text())
        with (exported / f"{name}.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        assert [list(row) for row in table] == [list(row) for row in rows]
        assert [row["id"] for row in table] == [row["id"] for row in rows]
    (run_, _) = sorted(json.loads((exported / "training_runs.json").read_text()), key=lambda row: row["run_name"])
    assert run_["run_name"] == "demo"
    assert "max_token_length=225" in run_["notes"]
