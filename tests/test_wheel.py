"""A wheel, built from this checkout and installed in a fresh environment: it needs nothing of the checkout."""

import os
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from tests.support import ROOT


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel; the dependencies are this one's own."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-qw", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = folder.glob("punks-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    install = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", "--no-compile", "-q", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    # as a path alone: what this environment itself has of punks, an editable install, stays unknown
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder, a space in its name."""
    home = tmp_path / "an empty folder"
    home.mkdir()
    return home


def environment(python: Path, home: Path) -> dict[str, str]:
    """No network, no settings, nothing cached."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PUNKS_", "HF_", "XDG_", "PYTHON"))
    }
    env |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    return env | {"HOME": str(home), "PATH": f"{python.parent}{os.pathsep}{os.defpath}", "no_proxy": "127.0.0.1"}


def punks(python: Path, home: Path, *args: str) -> str:
    """What a command prints."""
    command = [str(python.with_name("punks")), *args]
    done = subprocess.run(
        command, cwd=home, env=environment(python, home), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_it_paints_the_demo_in_an_empty_folder(python: Path, home: Path) -> None:
    said = punks(python, home, "generate", "lady, red hair", "--steps", "4", "-o", "x.png")
    assert "painting with the small demo model instead\nto install it: punks weights --fetch sd15-perfect\n" in said
    with Image.open(home / "x.png") as image:
        assert image.size == (1024, 1024)
    assert [path.name for path in home.iterdir() if not path.name.startswith(".")] == ["x.png"]


def test_its_weights_are_in_the_data_folder_of_the_user(python: Path, home: Path) -> None:
    said = punks(python, home, "weights")
    assert said.startswith(str(home))
    assert "get sd15-perfect: punks weights --fetch sd15-perfect\n" in said
    assert "1, 4, 7, 10" in said
    assert "red" in punks(python, home, "traits")
    code = "from punks.files import weights; print(weights.PREDICT, weights.folder(), sep='\\n')"
    env = environment(python, home) | {"PUNKS_WEIGHTS": "~/models"}
    done = subprocess.run([python, "-c", code], cwd=home, env=env, check=True, capture_output=True, text=True)
    predict, folder = map(Path, done.stdout.splitlines())
    assert predict.read_bytes() == (ROOT / "predict.py").read_bytes()
    assert not predict.is_relative_to(ROOT)
    assert folder == home / "models"


def test_it_serves(python: Path, home: Path) -> None:
    command = [str(python.with_name("punks")), "serve", "--variant", "demo"]
    env = environment(python, home)
    with subprocess.Popen(command, cwd=home, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert one.stderr is not None
        try:
            line = one.stdout.readline()
            assert line.startswith("demo is served at http://127.0.0.1:"), line + one.stderr.read()
            url = line.split()[4]
            inputs = {"prompt": "lady, red hair", "num_inference_steps": 2}
            answer = httpx2.post(f"{url}/predictions", json={"input": inputs}, timeout=60, trust_env=False).json()
            assert answer["status"] == "succeeded", answer
        finally:
            one.send_signal(signal.SIGINT)
            one.wait(30)
