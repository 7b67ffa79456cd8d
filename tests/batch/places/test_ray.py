"""Batches on Ray, where it is installed (`pip install 'punks[ray]'`): two actors give the punks of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.batches import facts, pictures

pytest.importorskip("ray")


def test_two_actors_give_the_same_punks(served_weights: Path, tmp_path: Path):
    environment = {**os.environ, "PUNKS_WEIGHTS": str(served_weights), "OMP_NUM_THREADS": "1"}
    fast = ["--steps", "1", "--guidance", "1", "--scheduler", "ddim", "--size", "48", "--variant", "sd15-perfect"]
    for where in ("local", "ray"):
        jobs = ["--prompt", "{lady|lad}, {red|no} hair", "--on", where, "--workers", "2", "-o", tmp_path / where]
        ended = subprocess.run(
            [sys.executable, "-m", "punks", "batch", *fast, *jobs],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stderr
    assert pictures(tmp_path / "ray") == pictures(tmp_path / "local")
    assert facts(tmp_path / "ray") == facts(tmp_path / "local")
