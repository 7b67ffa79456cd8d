"""The examples paint a punk when they are run as their first lines say, and script/serve's curl line does."""

import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from punks import Recipe
from punks.files.png import read_recipe
from punks.service.server import health
from tests.support import ROOT
from tests.support.cog_server import FAST, PATIENCE, Cog

CLIENTS = {
    "curl": ["examples/predict.sh"],
    "python": [sys.executable, "examples/predict.py"],
    "node": ["node", "examples/predict.mjs"],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_saves_a_punk(service: Cog, tmp_path: Path, client: str):
    if client != "python" and not shutil.which(client):
        pytest.skip(f"{client} is not on this machine")
    if client == "python":
        pytest.importorskip("replicate")
    service.wait_idle()
    file = tmp_path / "a punk.png"
    command = [*CLIENTS[client], service.url, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{re.escape(str(file))} 7( #\w{{6}}){{1,6}}", done.stdout.splitlines()[-1])
    with Image.open(file) as image:
        assert image.size == (1024, 1024)
    assert read_recipe(file) == Recipe(prompt="lady, red hair, green eyes", seed=7), "the variant's own settings"


def test_the_cog_example_names_inputs_that_there_are(service: Cog):
    words = (ROOT / "examples/cog.sh").read_text().split()
    names = {word.partition("=")[0] for flag, word in itertools.pairwise(words) if flag == "-i"}
    schema = service.ask("GET", "/openapi.json").json()
    assert names <= set(schema["components"]["schemas"]["Input"]["properties"])


def test_serve_prints_a_line_that_works_and_ctrl_c_stops_all(served_weights: Path, tmp_path: Path):
    environment = os.environ | {"PUNKS_WEIGHTS": str(served_weights), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "punks", "serve", "--variant", "sdxl-fixed"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    assert process.stdout
    with process.stdout:
        first, call = process.stdout.readline(), process.stdout.readline()
        started = psutil.Process(process.pid).children(recursive=True)
        try:
            assert first.startswith("sdxl-fixed is served at http://127.0.0.1:"), (tmp_path / "log").read_text()
            url = first.split()[4]
            assert health(url)["status"] == "READY"
            *curl, body = shlex.split(call)
            quick = json.loads(body)["input"] | FAST
            curl.append(json.dumps({"input": quick}))
            answer = subprocess.run(curl, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
            assert '"model":"sdxl-fixed"' in answer, "the variant that was named is the default of requests"
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
    gone, alive = psutil.wait_procs(started, PATIENCE)
    assert len(gone) >= 2
    assert not alive
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
