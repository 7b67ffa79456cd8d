"""`punks studio` as a program: how it starts, what it refuses, and how it ends."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bench.batch_folder import write_folder
from punks.batch.manifest import entries
from tests.support.batches import until
from tests.support.studios import Served, ready, start, studio


def post(served: Served, path: str, body: Any) -> Any:
    origin = served.url.rstrip("/")
    request = urllib.request.Request(f"{origin}/{path}", json.dumps(body).encode(), {"Origin": origin})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def painting(served: Served, steps: int = 100) -> list[str]:
    """Starts long paintings; they are under way when this returns."""
    values = {"prompt": "lady", "variant": "tiny", "seed": 1, "num_inference_steps": steps}
    with urllib.request.urlopen(f"{served.url}api/news", timeout=120) as news:
        names = post(served, "api/paint", {"values": values, "count": 3})["names"]
        for line in news:
            if line.startswith(b"data:") and json.loads(line[5:]).get("step", 0) >= 2:
                return names
    raise AssertionError("nothing was painted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_the_folder_stays_whole(tiny_weights: Path, tmp_path: Path, number: int) -> None:
    write_folder(tmp_path / "punks", 3, images=False)
    with (
        studio(tmp_path / "punks", tiny_weights) as served,
        urllib.request.urlopen(f"{served.url}api/news", timeout=120),  # a browser listens
    ):
        if number == signal.SIGINT:
            painting(served)
        begun = time.monotonic()
        code, said = served.stop(number)
    assert (code, said) == (0, "punks: stopped\n")
    assert time.monotonic() - begun < 10
    assert [entry["name"] for entry in entries(tmp_path / "punks")] == ["000001", "000002", "000003"]
    assert not list((tmp_path / "punks").rglob("*.part"))
    with studio(tmp_path / "punks", tiny_weights) as again:  # nothing holds the folder
        assert again.url


def test_it_ends_with_its_terminal(tiny_weights: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    folder = tmp_path / "punks"
    command = [sys.executable, "-m", "punks", "studio", str(folder), "--no-browser"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    while not said.endswith(b"\n"):
        said += os.read(ours, 1000)
    assert said.startswith(b"http://127.0.0.1:")
    os.close(ours)
    process.send_signal(signal.SIGHUP)  # which a shell sends its jobs when the terminal closes
    assert process.wait(30) == 0


def test_picks_and_finishes_reach_the_gallery_when_it_ends(tiny_weights: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "punks", 3, images=False)
    with studio(tmp_path / "punks", tiny_weights) as served:
        post(served, "api/punks/2/pick", {"values": {"choice": "keep", "rating": 9}})
        post(served, "api/punks/3/finish", {"values": {"background": "#6ae745"}, "save": True})
        code, said = served.stop()
    assert code == 0
    assert "index.html" in said
    page = (tmp_path / "punks" / "index.html").read_text("utf-8")
    assert '["keep",' not in page
    assert "kept" in page
    assert next(entry for entry in entries(tmp_path / "punks") if entry["job"] == 3)["palette"][0] == "#6ae745"


def test_a_second_studio_on_the_folder_is_refused(tiny_weights: Path, tmp_path: Path) -> None:
    with studio(tmp_path / "punks", tiny_weights):
        second = start(tmp_path / "punks", tiny_weights)
        out, said = second.communicate(timeout=60)
    assert (second.returncode, out) == (1, "")
    assert said == f"punks: {tmp_path / 'punks'}: another run writes there; let it end, or name another folder\n"


def test_a_port_that_is_taken_is_named(tiny_weights: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(tmp_path / "punks", tiny_weights, "--port", str(port))
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert said.startswith(f"punks: port {port}: cannot be used (")
    assert not (tmp_path / "punks").exists()


def test_the_port_that_was_asked_for_is_used(tiny_weights: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = ready(start(tmp_path / "punks", tiny_weights, "--port", str(port)), tmp_path / "punks")
    assert served.port == port
    assert served.stop()[0] == 0


def test_what_it_needs_is_named(tmp_path: Path) -> None:
    script = "import sys; sys.modules['starlette'] = None; from punks.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "studio", str(tmp_path / "punks")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr == "punks: the page needs starlette; pip install 'punks[studio]'\n"


def test_cancel_ends_what_is_painted_and_what_waits(tiny_weights: Path, tmp_path: Path) -> None:
    with studio(tmp_path / "punks", tiny_weights) as served:
        first, second, third = painting(served)
        with urllib.request.urlopen(f"{served.url}api/news", timeout=60) as news:
            queues = (json.loads(line[5:]) for line in news if line.startswith(b"data:"))
            queue = (one["names"] for one in queues if one["event"] == "queue")
            assert next(queue) == [first, second, third]
            post(served, "api/cancel", {"name": second})
            assert next(queue) == [first, third]
            post(served, "api/cancel", {})
            assert next(queue) == []
        values = {"prompt": "lad", "variant": "tiny", "seed": 2, "num_inference_steps": 1}
        (name,) = post(served, "api/paint", {"values": values})["names"]
        until(lambda: [entry["name"] for entry in entries(served.folder)] == [name])
