"""The manifest of a folder: the last line of a name counts, and what cannot be read costs its own punk only."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from punks.batch.manifest import DAMAGED, NAME, Entry, Manifest, entries
from punks.errors import BatchError


def done(job: int) -> Entry:
    """A line as runs write it."""
    name = f"{job:06d}"
    files = {"image": f"images/{name}.png", "pixels": f"pixels/{name}.png"}
    entry = {"name": name, "job": job, "status": "done", "recipe": {"seed": job}, "prompt": "lady", "files": files}
    entry |= {"sha256": dict.fromkeys(files, "0" * 64), "bytes": dict.fromkeys(files, 99)}
    return entry | {"palette": ["#ff0000"], "confidence": 0.9, "cells": "0" * 32, "seconds": {"snap": 0.1}}


def failed(job: int) -> Entry:
    return {"name": f"{job:06d}", "job": job, "status": "failed", "error": "prompt: missing"}


def test_the_last_line_of_a_name_counts_and_a_torn_one_does_not(tmp_path: Path):
    manifest = Manifest(tmp_path)
    for entry in (failed(2), done(1), done(2)):
        manifest.append(entry)
    manifest.close()
    whole = (tmp_path / NAME).read_bytes()
    for torn in range(len(whole.splitlines()[0]) + 1):
        (tmp_path / NAME).write_bytes(whole + whole[:torn])
        assert list(entries(tmp_path)) == [done(1), done(2)]
    manifest = Manifest(tmp_path)
    manifest.append(done(3))
    assert manifest.last("000003") == done(3)
    assert manifest.last("000004") is None
    manifest.close()
    assert list(entries(tmp_path)) == [done(1), done(2), done(3)]


STRANGE: list[dict[str, Any]] = [
    {"files": {"image": "/etc/passwd", "pixels": "pixels/000002.png"}},
    {"files": {"image": "images/000002.png", "pixels": "../000002.png"}},
    {"palette": ["red"]},
    {"confidence": "high"},
    {"recipe": {"seed": -1}},
    {"bytes": {"image": 1}},
    {"job": 0},
    {"name": "../2"},
]


DAMAGED_LINES = ["{", "[1]", "[" * 99_999, '{"name": "000002"}', *(json.dumps(done(2) | one) for one in STRANGE)]


@pytest.mark.parametrize("line", DAMAGED_LINES, ids=[one[:20] for one in DAMAGED_LINES])
def test_a_damaged_line_is_set_aside_and_the_others_count(tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture):
    manifest = Manifest(tmp_path)
    manifest.append(done(1))
    manifest.close()
    with (tmp_path / NAME).open("a") as file:
        file.write(f"{line}\n")
    assert list(entries(tmp_path)) == [done(1)]
    manifest = Manifest(tmp_path)
    manifest.append(done(3))
    manifest.close()
    assert "1 damaged lines are now in" in caplog.text
    assert (tmp_path / DAMAGED).read_text() == f"{line}\n"
    assert list(entries(tmp_path)) == [done(1), done(3)]


def test_after_a_line_that_the_disk_refused_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_number: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    manifest = Manifest(tmp_path)
    manifest.append(done(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(BatchError, match=r"cannot be written \(Disk quota exceeded\); run the same command again"):
            manifest.append(done(2))
    with pytest.raises(BatchError, match="Disk quota exceeded"):
        manifest.append(done(3))
    manifest.close()
    assert list(entries(tmp_path)) == [done(1)]
    assert (tmp_path / NAME).read_bytes().count(b"\n") == 1


def test_a_folder_without_a_manifest_is_named(tmp_path: Path):
    with pytest.raises(BatchError, match=r"absent/manifest\.jsonl: cannot be read"):
        list(entries(tmp_path / "absent"))
