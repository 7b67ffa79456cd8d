"""A store in the owner's tables: CSV that PostgreSQL loads, and JSON, by the names of their columns.

What nothing here measures has no column, and keeps its default where the files are loaded. Identifiers are UUIDs that
stay the same, so that what is loaded twice is refused and not there twice.
"""

import csv
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, or_, select

from punks.errors import StoreError
from punks.snap.art import SURE
from punks.store.database import Row
from punks.store.tables import EPOCHS, PICKS, PICTURES, RUNS, SCORES

MANY = 4  # strays, single cells unlike all around, above which a picture has random pixels
LUCK = 0.05  # the chance of luck, under which an epoch is worse than the recommended one
_CHUNK = 500
# kohya's names of parameters, and the owner's columns for them
_TEXTS = {
    **{name: name for name in ("resolution", "mixed_precision", "lr_scheduler", "output_name")},
    "optimizer": "optimizer_type",
}
_SAME = "network_dim network_alpha learning_rate unet_lr text_encoder_lr train_batch_size gradient_accumulation_steps"
_NUMBERS = {
    **{name: name for name in (*_SAME.split(), "noise_offset", "min_snr_gamma")},
    "num_train_images": "num_images",
    "num_epochs": "max_train_epochs",
    "max_train_steps": "total_steps",
    "lr_scheduler_num_cycles": "lr_scheduler_cycles",
}


def export(engine: Engine, folder: Path) -> dict[str, int]:
    """Writes each table as TABLE.csv and TABLE.json. -> the rows of each. Raises StoreError where the disk refuses."""
    counts: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with engine.connect().execution_options(yield_per=_CHUNK) as connection:
            for name, rows in _TABLES.items():
                counts[name] = _write(folder / name, rows(connection))
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return counts


def _training_runs(connection: Connection) -> Iterator[Row]:
    best = select(EPOCHS.c.run, EPOCHS.c.epoch).where(EPOCHS.c.recommended)
    recommended = {row.run: row.epoch for row in connection.execute(best)}
    for run in connection.execute(select(RUNS).order_by(RUNS.c.name)):
        known: Mapping[str, Any] = run.parameters
        numbers = {name: known[name] for name in _NUMBERS if type(known.get(name)) in (int, float)}
        rest = {name: value for name, value in known.items() if name not in {*_TEXTS, *numbers}}
        yield {
            "id": _id("run", run.name),
            "run_name": run.name,
            "status": "completed",
            "base_model": known.get("sd_model_name") or known.get("base"),
            "model_type": run.base or "other",
            **{column: known.get(name) for name, column in _TEXTS.items()},
            **{column: numbers.get(name) for name, column in _NUMBERS.items()},
            "best_epoch": recommended.get(run.name),
            "overall_verdict": "pending" if run.failed is None else "failure" if run.failed else "success",
            "notes": "; ".join(filter(None, [run.verdict, *(f"{name}={value}" for name, value in rest.items())])),
        }


def _epoch_results(connection: Connection) -> Iterator[Row]:
    for one in connection.execute(select(EPOCHS).order_by(EPOCHS.c.run, EPOCHS.c.epoch)).all():
        own = (PICTURES.c.run == one.run, PICTURES.c.epoch == one.epoch, PICTURES.c.folder == one.comparison)
        paths = connection.scalars(select(PICTURES.c.address).where(*own).order_by(PICTURES.c.name)).all()
        means: Mapping[str, Any] = one.measures or {}
        obeyed = [means[name] for name in ("background", "eyes", "hair") if means.get(name) is not None]
        verdict = None
        if one.recommended:
            verdict = "best"
        elif one.luck is not None:
            verdict = "acceptable" if one.luck < LUCK else "good"
        points = None if one.points is None else f"{one.points:.3f} points of 1 in {one.pictures} pictures"
        less = None if one.luck is None else f"{one.difference:.3f} less than the best, by luck with {one.luck:.2g}"
        yield {
            "id": _id("epoch", one.run, one.epoch),
            "training_run_id": _id("run", one.run),
            "epoch_number": one.epoch,
            "checkpoint_path": one.checkpoint,
            "checkpoint_file_size_mb": one.bytes and round(one.bytes / 2**20, 2),
            "test_output_dir": one.comparison,
            "num_test_images": one.pictures,
            "visual_quality_score": one.rating,
            "prompt_adherence_score": round(10 * sum(obeyed) / len(obeyed), 2) if obeyed else None,
            "has_wrong_backgrounds": _below(1, means, "background", "solid"),
            "has_random_pixels": means["strays"] > MANY if means.get("strays") is not None else None,
            "has_wrong_colors": _below(1, means, "eyes", "hair"),
            "verdict": verdict,
            "observations": "; ".join(filter(None, [points, less])) or None,
            "test_image_paths": list(paths),
        }


def _test_prompts(connection: Connection) -> Iterator[Row]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for one in _scored(connection):
        found.setdefault((one.prompt, one.recipe["negative_prompt"]), one.asked)
    for (prompt, negative), asked in found.items():
        yield {
            "id": (known := _id("prompt", prompt, negative)),
            "prompt_name": f"{'-'.join(re.findall(r'[a-z0-9]+', prompt.lower())[:8])}-{known[:8]}",
            "prompt_text": prompt,
            "negative_prompt": negative,
            "purpose": "punks compare",
            "expected_result": ", ".join(f"{name} {value}" for name, value in asked.items() if value),
        }


def _prompt_test_results(connection: Connection) -> Iterator[Row]:
    for one in _scored(connection):
        obeyed = {name: one.measures.get(name) for name in ("background", "hair", "eyes")}
        obeyed = {name: None if value is None else value == 1 for name, value in obeyed.items()}
        yield {
            "id": _id("result", one.key),
            "epoch_result_id": _id("epoch", one.run, one.epoch),
            "test_prompt_id": _id("prompt", one.prompt, one.recipe["negative_prompt"]),
            "image_path": one.address,
            "passed": False not in obeyed.values(),
            "correct_background_color": obeyed["background"],
            "correct_hair_color": obeyed["hair"],
            "correct_eye_color": obeyed["eyes"],
            "is_pixel_art": one.confidence >= SURE,
            "has_random_artifacts": one.measures["strays"] > MANY if "strays" in one.measures else None,
            "observations": ", ".join(f"{name} {value}" for name, value in one.read.items() if value),
            "score": round(10 * one.points, 2),
        }


def _user_generations(connection: Connection) -> Iterator[Row]:
    own = select(PICTURES, PICKS.c.rating).outerjoin(PICKS).outerjoin(SCORES)
    own = own.where(or_(SCORES.c.picture.is_(None), PICTURES.c.epoch.is_(None)))
    for one in connection.execute(own.order_by(PICTURES.c.folder, PICTURES.c.name, PICTURES.c.key)):
        yield {
            "id": _id("picture", one.key),
            "prompt": one.prompt,
            "epoch": one.epoch,
            "paths": [one.address],
            "rating": one.rating,
        }


def _scored(connection: Connection) -> Iterator[Any]:
    """Pictures of an epoch with what was measured of them."""
    own = select(PICTURES, SCORES).join(SCORES).where(PICTURES.c.epoch.is_not(None))
    yield from connection.execute(own.order_by(PICTURES.c.folder, PICTURES.c.name, PICTURES.c.key))


_TABLES: Mapping[str, Callable[[Connection], Iterator[Row]]] = {
    "training_runs": _training_runs,
    "epoch_results": _epoch_results,
    "test_prompts": _test_prompts,
    "prompt_test_results": _prompt_test_results,
    "user_generations": _user_generations,
}


def _below(most: float, means: Mapping[str, Any], *names: str) -> bool | None:
    """Whether the mean of any of these that was measured is below; None where none was."""
    values = [means[name] for name in names if means.get(name) is not None]
    return min(values) < most if values else None


def _id(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(["punks", *parts])))


def _write(path: Path, rows: Iterator[Row]) -> int:
    """One row after the other into both files; none is empty, so that programs read it. -> how many."""
    count = 0
    with ExitStack() as stack:
        table = stack.enter_context(path.with_suffix(".csv").open("w", encoding="utf-8", newline=""))
        objects = stack.enter_context(path.with_suffix(".json").open("w", encoding="utf-8"))
        writer = csv.writer(table)
        for count, row in enumerate(rows, 1):
            if count == 1:
                writer.writerow(row)
            writer.writerow(map(_cell, row.values()))
            objects.write(("[\n" if count == 1 else ",\n") + json.dumps(row, ensure_ascii=False))
        objects.write("\n]\n" if count else "[]\n")
    return count


def _cell(value: object) -> object:
    """A value as PostgreSQL reads it from CSV; an array is text in braces."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        quoted = [re.sub(r'(["\\])', r"\\\1", one) for one in cast("list[str]", value)]
        return "{" + ",".join(f'"{one}"' for one in quoted) + "}"
    return value
