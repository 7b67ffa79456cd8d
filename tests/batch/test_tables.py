"""Tables with anything wrong in their structure: each row is read as it stands or refused, and the others count."""

import json
import random
from pathlib import Path

import pytest

from punks.batch.jobs import read_jobs
from punks.batch.tables import SUFFIXES
from punks.errors import PunkError
from punks.fields import kinds
from punks.request import FIELDS, flat

GOOD = {"prompt": "lady, red hair", "seed": "7", "steps": "3"}
NAMES = ["prompt", "Seed", "steps", "guidance_scale", "template", "background", "traits", "image", "loras", "vary"]
ODD_NAMES = ["", " ", "seed", "id", "promt", "\x1b[2J", "a" * 999, "prompt\n", '"', "é漢"]
WORDS = "0 1 7 96 -1 7.0 7,5 1e9 nan inf ٣ 0x10 true maybe teal #12 () ; , \" ' \\ {} null =1+1 ~x/y a.png"
CELLS = [*WORDS.split(), ""]
CELLS += ["\n", "\t", "\x00", "\x1b[2J", "\ud800", "9" * 5000, "[" * 9999, "x" * 200_000, '{"hair": {}}']
CELLS += ["https://example.com/a.png", "../../etc/passwd", "<lora:x:1>"]
MARKS = {"utf-8": "", "utf-8-sig": "", "utf-16": "", "utf-16-be": "", "utf-32": "", "cp1252": "é"}


def row(draw: random.Random) -> dict[str, str]:
    return {draw.choice(NAMES): draw.choice(CELLS) for _ in range(draw.randint(1, 4))}


def as_text(draw: random.Random, suffix: str, rows: list[dict[str, str]]) -> str:
    """The rows between two good ones, as that kind of file."""
    every = [GOOD, *rows, GOOD]
    if suffix == ".txt":
        return "\n".join(one.get("prompt", "lad") for one in every)
    if suffix in (".jsonl", ".ndjson", ".json"):
        odd = draw.choice([["lad"], [None], [[]], [1e999], [{"seed": 1e999}], [{"prompt": {}}], [], [], []])
        parts = [json.dumps(one) for one in [GOOD, *rows, *odd, GOOD]]
        return f"[{', '.join(parts)}]" if suffix == ".json" else "\n".join(parts)
    mark = draw.choice(",;\t|")
    names = list(dict.fromkeys([*GOOD, *(name for one in rows for name in one)]))
    lines = [names, *([one.get(name, "") for name in names] for one in every)]
    if draw.random() < 0.3:
        draw.choice(lines).append(draw.choice(CELLS))
    if draw.random() < 0.2:
        lines[0][draw.randrange(len(names))] = draw.choice(ODD_NAMES)
    quoted = draw.random() < 0.8
    cells = [[f'"{cell.replace(chr(34), 2 * chr(34))}"' if quoted else cell for cell in line] for line in lines]
    return draw.choice(["", "", f"sep={mark}\n"]) + "\n".join(mark.join(line) for line in cells)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_malformed_tables(tmp_path: Path, suffix: str):
    draw, path, counts = random.Random(suffix), tmp_path / f"a{suffix}", {"read": 0, "refused": 0, "rows": 0}
    for _ in range(120):
        encoding = draw.choice(list(MARKS))
        text = as_text(draw, suffix, [row(draw) for _ in range(draw.randint(0, 3))]) + MARKS[encoding]
        content = bytearray(text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace"))
        if draw.random() < 0.2:
            del content[draw.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            jobs = list(read_jobs(path, {"variant": "tiny"}))
        except PunkError:
            counts["refused"] += 1
            continue
        counts["read"] += 1
        for job in jobs:
            assert bool(job.error) == (job.recipe is None)
            counts["rows"] += bool(job.error)
        if suffix not in (".txt", ".json") and jobs[0].recipe is not None:
            given = flat(jobs[0].recipe, jobs[0].finish)
            assert (given["prompt"], given["seed"], given["num_inference_steps"]) == (GOOD["prompt"], 7, 3)
    assert min(counts.values()) > 5, counts


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if {int, float} & set(kinds(field))])
def test_a_number_is_taken_as_it_stands_or_refused(tmp_path: Path, name: str):
    kept = 0
    for cell in CELLS:
        if cell.strip() and not {'"', "\n", "\x00", "\ud800"} & set(cell) and len(cell) < 9999:
            (tmp_path / "a.tsv").write_text(f"prompt\t{name}\nlady\t{cell}", encoding="utf-8")
            (job,) = read_jobs(tmp_path / "a.tsv", {"variant": "tiny"})
            assert job.error or flat(job.recipe, job.finish)[name] == float(cell)
            kept += not job.error
    assert kept
