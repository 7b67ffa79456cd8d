"""The examples paint a punk when they are run as their first lines say, and cog-safe-push.yaml can pass."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from PIL import Image

from punks.service.schema import openapi
from tests.support import ROOT
from tests.support.cog_server import FAST, PATIENCE, Cog, until
from tests.support.fault_proxy import SECRET, Hastened, Replicate, running, signed

CLIENTS = {
    "curl": ["examples/predict.sh"],
    "python": [sys.executable, "examples/predict.py"],
    "node": ["node", "examples/predict.mjs"],
}
REPLICATE = {
    "python": [sys.executable, "examples/predict.py"],
    "node": ["node", "--import", "./tests/support/rewrite.mjs", "examples/replicate.mjs"],
}
ASKED = {"prompt": "lady, red hair, green eyes", "seed": 7}
NO_NODE_MODULES = not (ROOT / "examples/node_modules/replicate").is_dir()


def run(*command: str, input: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:  # noqa: A002
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not on this machine")
    options: dict[str, Any] = {"cwd": ROOT, "env": os.environ | environment, "input": input, "timeout": PATIENCE}
    return subprocess.run(command, capture_output=True, text=True, **options)


def saved(done: subprocess.CompletedProcess[str], file: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{re.escape(str(file))} 7( #\w{{6}}){{1,6}}", done.stdout.splitlines()[-1])
    with Image.open(file) as image:
        assert image.size == (1024, 1024)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_saves_a_punk(service: Cog, tmp_path: Path, client: str):
    inputs: list[dict[str, Any]] = []
    file = tmp_path / "a punk.png"
    with running(Hastened, target=service.url, inputs=inputs, hurry=FAST) as (url, _):
        saved(run(*CLIENTS[client], url, str(file)), file)
    assert inputs == [ASKED] * 2, "the variant's own settings, asked for again after a 409"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_gives_up_on_a_server_that_cannot_come_back(tmp_path: Path, client: str):
    with running(Hastened, target="", inputs=[], hurry={}, health="UNHEALTHY") as (url, _):
        done = run(*CLIENTS[client], url, str(tmp_path / "punk.png"))
    assert done.returncode == 1
    assert "the server is unhealthy; start it again" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_says_why_there_is_no_punk(service: Cog, tmp_path: Path, client: str):
    with running(Hastened, target=service.url, inputs=[], hurry={"colors": 1}) as (url, _):
        done = run(*CLIENTS[client], url, str(tmp_path / "punk.png"))
    assert done.returncode != 0
    assert "1 is less than the minimum of 2" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def replicate(service: Cog) -> Iterator[tuple[str, Any]]:
    """Replicate's API, painting in one step."""
    state: dict[str, Any] = {"target": service.url, "token": "r8_secret", "predictions": {}, "files": {}}
    with running(Replicate, **state, hurry=FAST) as (url, handler):
        yield url, handler


@pytest.mark.parametrize("client", REPLICATE)
def test_a_client_paints_on_replicate_with_the_latest_version(replicate: tuple[str, Any], tmp_path: Path, client: str):
    if client == "node" and NO_NODE_MODULES:
        pytest.skip("npm install --prefix examples")
    url, handler = replicate
    file = tmp_path / "punk.png"
    keys = {"REPLICATE_BASE_URL": url, "REPLICATE_API_TOKEN": "r8_secret"}
    saved(run(*REPLICATE[client], "owner/punks", str(file), **keys), file)
    (prediction,) = handler.predictions.values()
    assert prediction["input"] == ASKED


@pytest.mark.skipif(NO_NODE_MODULES, reason="npm install --prefix examples")
def test_the_next_js_route_paints_and_its_webhook_saves(replicate: tuple[str, Any], tmp_path: Path):
    url, handler = replicate
    environment = os.environ | {
        "REPLICATE_BASE_URL": url,
        "REPLICATE_API_TOKEN": "r8_secret",
        "REPLICATE_WEBHOOK_SIGNING_SECRET": SECRET,
        "PUNKS_MODEL": "owner/punks",
    }
    support, app = ROOT / "tests/support", ROOT / "examples/nextjs/app"
    command = ["node", "--import", str(support / "rewrite.mjs"), str(support / "routes.mjs"), str(app)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            site = process.stdout.readline().strip()
            started = httpx2.post(f"{site}/api/punks", json={"prompt": "lady, red hair"}, timeout=PATIENCE)
            assert started.status_code == 202
            name = started.json()["id"]
            until(lambda: (tmp_path / f"public/punks/{name}.png").is_file())
            assert handler.predictions[name]["input"] == {"prompt": "lady, red hair"}
            forged = {"id": "../../x", "status": "succeeded", "output": {"images": [site]}}
            headers = {**signed("{}"), "Content-Type": "application/json"}
            refused = httpx2.post(f"{site}/api/punks/webhook", json=forged, headers=headers)
            unsigned = httpx2.post(f"{site}/api/punks/webhook", json=forged)
            assert (refused.status_code, unsigned.status_code) == (403, 403)
            assert httpx2.post(f"{site}/api/punks", json={}).status_code == 400
        finally:
            process.terminate()
    assert [path.name for path in tmp_path.rglob("*.png")] == [f"{name}.png"]


def test_cog_sh_decodes_the_pictures(service: Cog, tmp_path: Path):
    # stands in for the program `cog`, which needs Docker: the inputs as it parses them, its own kind of output file
    (tmp_path / "bin").mkdir()
    cog = tmp_path / "bin/cog"
    cog.write_text(
        f"""#!/usr/bin/env python3
import json, sys, urllib.request
predict, *rest = sys.argv[1:]
given = dict(word.split("=", 1) for flag, word in zip(rest[::2], rest[1::2]) if flag == "-i")
inputs = {json.dumps(FAST)!s} | given | {{"seed": int(given["seed"])}}
headers = {{"Content-Type": "application/json"}}
request = urllib.request.Request("{service.url}/predictions", json.dumps({{"input": inputs}}).encode(), headers)
answer = json.load(urllib.request.urlopen(request))
open(rest[rest.index("-o") + 1], "w").write(json.dumps(answer["output"], indent=2))
"""
    )
    cog.chmod(0o755)
    service.wait_idle()
    file = tmp_path / "a punk.png"
    saved(run("examples/cog.sh", str(file), PATH=f"{cog.parent}{os.pathsep}{os.environ['PATH']}"), file)
    with Image.open(tmp_path / "a punk-24.png") as pixels, Image.open(file) as image:
        assert image.resize((24, 24), Image.Resampling.NEAREST).tobytes() == pixels.tobytes()


def test_cog_safe_push_asks_for_inputs_that_there_are_and_its_checks_hold(service: Cog):
    config = yaml.safe_load((ROOT / "cog-safe-push.yaml").read_text())["predict"]
    fuzz, cases = config["fuzz"], config["test_cases"]
    assert len(cases) >= 3
    fixed, left_out = fuzz["fixed_inputs"], set(fuzz["disabled_inputs"])
    assert {*fixed, *left_out} <= set(openapi()["components"]["schemas"]["Input"]["properties"])
    # what no schema can say is valid is not left to a model's imagination
    assert "prompt" in fixed
    assert {"variant", "epoch", "traits", "palette", "background", "image"} <= left_out
    for case in cases:
        inputs = case["inputs"] | FAST | {"output_size": case["inputs"].get("output_size", 48)}
        answer = service.ask("POST", "/predictions", json={"input": inputs}).json()
        if "error_contains" in case:
            assert case["error_contains"] in answer["error"]
        else:
            query = run("jq", "-e", case["jq_query"], input=json.dumps(answer["output"]))
            assert query.returncode == 0, query.stdout + query.stderr
