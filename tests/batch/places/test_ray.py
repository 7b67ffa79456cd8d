"""Batches on Ray: two actors give the punks of this machine."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.batches import facts, pictures


def test_two_actors_give_the_same_punks(served_weights: Path, tmp_path: Path):
    environment = {**os.environ, "PUNKS_WEIGHTS": str(served_weights), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    fast = ["--steps", "1", "--guidance", "1", "--scheduler", "ddim", "--size", "48", "--variant", "sd15-perfect"]
    for where, workers in (("local", "1"), ("ray", "2")):
        jobs = ["--prompt", "{lady|lad}, {red|no} hair", "--on", where, "--workers", workers, "-o", tmp_path / where]
        ended = subprocess.run(
            [sys.executable, "-m", "punks", "batch", *fast, *jobs],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stderr
    assert len(pictures(tmp_path / "ray")) == 8
    assert pictures(tmp_path / "ray") == pictures(tmp_path / "local")
    assert facts(tmp_path / "ray") == facts(tmp_path / "local")
