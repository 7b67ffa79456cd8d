"""script/build hands Cog a clean export of the checkout, with the weights beside the code."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

# stands in for the program `cog`, which needs Docker: it says what it was asked, and what it would put into the image
COG = """#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path()
files = {str(path): path.stat().st_ino for path in here.rglob("*") if path.is_file()}
print(json.dumps({"argv": sys.argv[1:], "files": files, "cwd": os.getcwd()}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with an environment and weights, as people have it."""
    folder = tmp_path / "my punks"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True, capture_output=True)
    shutil.copy(ROOT / "script/build", folder / "script/build")
    for name in (".venv/lib/torch.so", "weights/sd15/unet/a.safetensors", "weights/sd15/unet/b.safetensors.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1" * 100)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cog").write_text(COG)
    (tmp_path / "bin/cog").chmod(0o755)
    return folder


def build(checkout: Path, *options: str, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}", **environment}
    command = [checkout / "script/build", *options]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)


def test_it_builds_a_clean_export_with_the_weights(checkout: Path):
    done = build(checkout, "-t", "my punks")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["argv"] == ["build", "--separate-weights", "-t", "my punks"]
    files = said["files"]
    assert {"predict.py", "cog.yaml", "requirements.txt", "punks/service/__init__.py", "weights/demo/README.md"} <= set(
        files
    )
    assert not [name for name in files if name.startswith((".venv", ".git/", "build")) or name.endswith(".part")]
    weight = checkout / "weights/sd15/unet/a.safetensors"
    assert files["weights/sd15/unet/a.safetensors"] == weight.stat().st_ino, "2 GB were copied"
    assert not Path(said["cwd"]).exists()
    assert weight.is_file()


def test_it_pushes_and_takes_weights_from_elsewhere_and_says_what_is_not_in_the_commit(checkout: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(checkout / "weights/sd15", elsewhere / "sd15")
    (checkout / "new.py").write_text("1\n")
    done = build(checkout, "push", "r8.im/me/punks", PUNKS_WEIGHTS=str(elsewhere))
    said = json.loads(done.stdout)
    assert said["argv"] == ["push", "--separate-weights", "r8.im/me/punks"]
    assert "weights/sd15/unet/a.safetensors" in said["files"]
    assert "new.py" not in said["files"]
    assert "Building the last commit" in done.stderr


def test_without_cog_it_says_where_to_get_it(checkout: Path):
    done = build(checkout, path="/usr/bin:/bin")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Cog is not installed" in done.stderr
