"""`punks serve`: a quiet start, a door that is closed to web pages, and an end that leaves nothing behind."""

import json
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from punks.cli import main
from punks.service.server import free_port
from tests.support import ROOT
from tests.support.browser import CHROMIUM, chromium
from tests.support.cog_server import FAST, PATIENCE, QUICK, receiver, until
from tests.support.fuzzing import fuzz
from tests.support.serving import Served, serving

PAGE = free_port()
ORIGIN = f"http://localhost:{PAGE}"
SLOW: dict[str, Any] = {"num_inference_steps": 100, "num_outputs": 8}
ASYNC = {"Prefer": "respond-async"}
COG_FOLDERS = Path("/tmp/coglet/predictions")


def ask_before_it_is_ready(url: str) -> None:
    """A long prediction that arrives in the moment it can."""

    def ask() -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(httpx2.TransportError):
                body = {"input": QUICK | SLOW}
                if httpx2.put(f"{url}/predictions/first", json=body, headers=ASYNC).status_code == 202:
                    break
            time.sleep(0.01)

    threading.Thread(target=ask, daemon=True).start()


@pytest.fixture(scope="module")
def served(served_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests of this file but those that end it; the last of them kills its worker."""
    folder = tmp_path_factory.mktemp("serve")
    with serving(served_weights, folder, "--cors", ORIGIN, meanwhile=ask_before_it_is_ready) as program:
        yield program


def test_it_starts_quietly_and_a_request_that_arrives_at_once_is_no_failed_setup(served: Served):
    first, call = served.ready()
    assert first == f"sd15-perfect is served at {served.url} (Ctrl-C stops it); try:\n", served.log
    assert shlex.split(call)[:3] == ["curl", "-s", f"{served.url}/predictions"]
    assert served.log == "loading sd15-perfect ...\n"
    assert served.health() == "BUSY"
    assert served.http.post("/predictions/first/cancel").status_code == 200
    served.wait_idle()


def test_one_request_after_the_other_is_never_at_capacity(served: Served):
    """Cog itself answers before it is free: a client as fast as this one gets a 409 every few requests."""
    answers = [served.post(prompt=" ") for _ in range(60)]
    assert {(one.status_code, one.json()["status"]) for one in answers} == {(200, "failed")}


def test_a_busy_server_says_so(served: Served):
    assert served.http.put("/predictions/busy", json={"input": QUICK | SLOW}, headers=ASYNC).status_code == 202
    refused = served.post()
    assert (refused.status_code, refused.json()["error"][:11]) == (409, "At capacity")
    assert served.http.post("/predictions/busy/cancel").status_code == 200
    served.wait_idle()


def test_it_answers_as_cog_does_and_says_how_each_prediction_ended(served: Served):
    answer = served.post(seed=3).json()
    assert (answer["status"], answer["output"]["seeds"]) == ("succeeded", [3])
    failed = served.post(background="nowhere").json()
    assert "background: 'nowhere' is not allowed" in failed["error"]
    assert served.post(colors=1).json()["detail"][0]["loc"] == ["body", "input", "colors"]
    lines = served.log.splitlines()[-2:]
    assert [line.partition(" (")[0].partition(":")[0] for line in lines] == ["succeeded", "failed"]
    assert served.http.get("/").json()["predictions_url"] == "/predictions"
    schema = served.http.get("/openapi.json").json()
    assert schema["components"]["schemas"]["Input"]["properties"]["seed"]["nullable"]


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        ({"input": {"promt": "lady"}}, ["input", "promt"], "unknown input 'promt'; did you mean prompt? inputs are b"),
        ({"input": {"steps": 5}}, ["input", "steps"], "unknown input 'steps'; did you mean num_inference_steps?"),
        ({"input": {"prompt": "lady", "zzz": 1}}, ["input", "zzz"], "unknown input 'zzz'; inputs are background, "),
        ({"id": "../../up", "input": {}}, ["id"], "use an id of letters, digits"),
        ({"id": "/tmp/anywhere", "input": {}}, ["id"], "use an id of letters, digits"),
        ({"id": 7, "input": {}}, ["id"], "use an id of letters, digits"),
        ({"webhook": "http://127.0.0.1:9", "input": {}}, ["webhook"], "webhooks are off; start the server with --webh"),
    ],
)
def test_what_cog_takes_without_a_word_is_refused_by_name(served: Served, body: Any, where: list[str], words: str):
    answer = served.post(body)
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["body", *where]
    assert words in detail["msg"]


def test_bodies_that_are_no_request(served: Served):
    json_type = {"Content-Type": "application/json"}
    for content, headers, status in (
        (b"{", json_type, 400),
        (b"[" * 100_000, json_type, 400),
        (b"[]", json_type, 422),
        (b'{"input": []}', json_type, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {}, 415),
    ):
        assert served.http.post("/predictions", content=content, headers=headers).status_code == status
    for depth in (900, 950, 980, 1000):
        nested = b'{"zzz":' * depth + b"1" + b"}" * depth
        assert served.http.post("/predictions", content=nested, headers=json_type).status_code in (200, 400)
    assert served.http.put("/predictions/%2Ftmp%2Fanywhere", json={"input": {}}).status_code == 404
    assert served.http.post("/predictions/absent/cancel").status_code == 404


@pytest.mark.parametrize("path", ["/shutdown", "/trainings", "/trainings/x", "/docs", "/predictions/x/../../shutdown"])
def test_nothing_else_of_cog_can_be_reached(served: Served, path: str):
    assert served.http.post(path, content=b"", headers={"Content-Type": "text/plain"}).status_code in (404, 405)
    assert served.health() == "READY"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:80"}, {"Host": "evil.example["}],
)
def test_web_pages_elsewhere_are_refused(served: Served, headers: dict[str, str]):
    for method, path in (("GET", "/health-check"), ("POST", "/predictions"), ("POST", "/predictions/x/cancel")):
        answer = served.http.request(method, path, headers=headers, content=b"{}")
        assert answer.status_code == 403
        assert "evil.example" in answer.json()["detail"] or "null" in answer.json()["detail"]
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_worker_s_own_port_is_not_on_127_0_0_1(served: Served):
    """Where a page could find it by trying all ports."""
    ports = {found.laddr for one in served.children() for found in one.net_connections() if found.status == "LISTEN"}
    assert ports
    if psutil.LINUX:
        assert "127.0.0.1" not in {address.ip for address in ports}
    assert {address.ip.partition(".")[0] for address in ports} == {"127"}


def test_an_allowed_page_gets_its_preflight_answered(served: Served):
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "content-type,prefer"
    answer = served.http.options("/predictions", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    asked = served.http.post("/predictions", json={"input": {"promt": ""}}, headers={"Origin": ORIGIN})
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (422, ORIGIN)
    other = served.http.options("/predictions", headers=preflight | {"Origin": "http://localhost:1"})
    assert other.status_code == 400
    assert "Access-Control-Allow-Origin" not in other.headers


def test_the_browser_example_paints(served: Served):
    assert CHROMIUM, "script/browser installs it"
    handler = partial(SimpleHTTPRequestHandler, directory=str(ROOT / "examples"))
    with ThreadingHTTPServer(("127.0.0.1", PAGE), handler) as web, chromium() as browser:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        page = browser.new_page()
        page.route("**/predictions", lambda route: route.continue_(post_data=hastened(route.request.post_data)))
        page.goto(f"{ORIGIN}/browser.html?server={served.url}")
        page.get_by_role("button", name="Paint").click()
        page.get_by_text("Seed ").wait_for(timeout=PATIENCE * 1000)
        assert page.get_by_role("img").evaluate("image => [image.alt, image.naturalWidth]") == [
            "lady, red hair, green eyes",
            1024,
        ]
        page.get_by_label("Prompt").fill(" ")
        page.get_by_role("button", name="Paint").click()
        page.get_by_text("say what to paint").wait_for()
        web.shutdown()


def hastened(body: str | None) -> str:
    return json.dumps({"input": json.loads(body or "")["input"] | FAST})


def test_60_random_requests_go_through(served: Served):
    counts = fuzz(served, 60, seed=3)
    assert counts["succeeded"] >= 3
    assert counts["failed"] >= 3


def test_a_client_that_leaves_cancels(served: Served):
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{served.url}/predictions", json={"input": QUICK | SLOW}, timeout=1)
    served.wait_idle()
    assert served.post().json()["status"] == "succeeded"
    assert "canceled: the client left" in served.log


def test_a_worker_that_is_killed_ends_the_server_with_a_reason(served: Served):
    assert served.post({"id": "kept-until-the-end", "input": QUICK}).status_code == 200
    assert (COG_FOLDERS / "kept-until-the-end").is_dir(), "Cog keeps its folders elsewhere now"
    children = served.children()
    served.worker().kill()
    assert served.process.wait(PATIENCE) == 1
    assert served.log.splitlines()[-1].startswith("punks: the worker has ended or its device has failed")
    gone_with(children, served.folder)
    assert not (COG_FOLDERS / "kept-until-the-end").exists()


def gone_with(children: list[psutil.Process], folder: Path) -> None:
    _, alive = psutil.wait_procs(children, PATIENCE)
    assert not alive
    assert not list((folder / "tmp").iterdir())


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_and_a_supervisor_end_all_of_it(served_weights: Path, tmp_path: Path, number: signal.Signals):
    with serving(served_weights, tmp_path) as program:
        program.worker()
        children = program.children()
        program.process.send_signal(number)
        assert program.process.wait(PATIENCE) == 0
    gone_with(children, tmp_path)


def test_when_it_is_killed_the_server_and_the_worker_go_too(served_weights: Path, tmp_path: Path):
    with serving(served_weights, tmp_path) as program:
        program.worker()
        children = program.children()
        assert len(children) == 2
        program.process.kill()
        _, alive = psutil.wait_procs(children, PATIENCE)
    assert not alive


def test_another_variant_paints_by_default_webhooks_can_be_on_and_ctrl_c_ends_it(served_weights: Path, tmp_path: Path):
    with serving(served_weights, tmp_path, "--variant", "sdxl-fixed", "--webhooks") as program, receiver() as hook:
        first, call = program.ready()
        assert first.startswith(f"sdxl-fixed is served at {program.url} "), program.log
        *curl, body = shlex.split(call)
        quick = {"input": json.loads(body)["input"] | FAST, "webhook": hook.url, "webhook_events_filter": ["completed"]}
        answer = subprocess.run([*curl, json.dumps(quick)], capture_output=True, text=True, timeout=PATIENCE).stdout
        assert '"model":"sdxl-fixed"' in answer, "the variant that was named is the default of requests"
        until(lambda: [one["status"] for one in hook.bodies] == ["succeeded"])
        children = program.children()
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(PATIENCE) == 0
        assert program.log.splitlines()[-1] == "stopped"
    gone_with(children, tmp_path)


def test_a_setup_that_fails_is_one_line_and_exit_code_1(tmp_path: Path):
    (tmp_path / "weights").mkdir()
    with serving(tmp_path / "weights", tmp_path, "--variant", "sdxl-fixed") as program:
        assert program.process.wait(PATIENCE) == 1
    loading, *_, reason = program.log.splitlines()
    assert loading == "loading sdxl-fixed ..."
    assert reason.startswith("punks: setup failed: ")
    assert "script/download-weights sdxl-fixed" in reason


@pytest.mark.parametrize("origin", ["localhost:3000", "http://localhost:3000/", "http://a/b", "ftp://a"])
def test_an_origin_that_is_none_is_refused(origin: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--cors", origin])
    assert ended.value.code == 2
    assert f"{origin!r} is not an origin; use for example http://localhost:3000, or '*'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]):
    with receiver() as web:
        port = web.url.rpartition(":")[2]
        assert main(["serve", "--port", port]) == 1
    assert f"cannot listen on 127.0.0.1, port {port} (Address already in use); pass another" in capsys.readouterr().err
