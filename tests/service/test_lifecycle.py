"""The life of predictions and of the server: webhooks, cancelling, load, shutting down, failing to start, memory."""

import itertools
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from PIL import Image

from punks.files.checksums import record, sha256
from punks.variants import VARIANTS
from tests.support.cog_server import PATIENCE, QUICK, Cog, data_uri, picture, receiver, start, until

# long enough to be cancelled on any machine
SLOW: dict[str, Any] = {"num_inference_steps": 100, "num_outputs": 8}
ASYNC = {"Prefer": "respond-async"}
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


def started(service: Cog, name: str) -> None:
    """Until a prediction has done a step: Cog forgets a cancel that comes before its worker has begun."""
    until(lambda: any(" 1/" in line and f'"{name}"' in line for line in service.log.splitlines()))


def test_webhooks_tell_the_course_of_an_async_prediction(service: Cog):
    with receiver() as hook:
        body = {"id": "hooked", "input": QUICK | {"num_inference_steps": 3}, "webhook": hook.url}
        response = service.ask("POST", "/predictions", json=body, headers=ASYNC)
        assert (response.status_code, response.json()) == (202, {"id": "hooked", "status": "starting"})
        (last,) = until(lambda: [one for one in hook.bodies if one["status"] == "succeeded"])
    # Cog sends the last two at once, and either may arrive first
    before = [one for one in hook.bodies if one is not last]
    assert hook.bodies[0] in before
    assert {one["status"] for one in before} == {"processing"}
    assert {one["id"] for one in hook.bodies} == {"hooked"}
    logs = [one.get("logs", "") for one in [*before, last]]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(logs))
    output = last["output"][0] if isinstance(last["output"], list) else last["output"]
    assert output == service.output(num_inference_steps=3)
    assert last["metrics"]["images"] == 1


def test_put_with_one_id_paints_once(service: Cog):
    with receiver() as hook:
        body = {"input": QUICK | SLOW, "webhook": hook.url, "webhook_events_filter": ["completed"]}
        first = service.ask("PUT", "/predictions/once", json=body, headers=ASYNC)
        again = service.http.put("/predictions/once", json=body, headers=ASYNC)
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json()["id"] == "once"
        other = service.http.put("/predictions/once", json=body | {"id": "twice"}, headers=ASYNC)
        assert other.status_code == 422
        started(service, "once")
        assert service.http.post("/predictions/once/cancel").status_code == 200
        until(lambda: hook.bodies)
        service.wait_idle()
    assert [(one["id"], one["status"]) for one in hook.bodies] == [("once", "canceled")]


def test_a_busy_server_says_so_and_stays_healthy(service: Cog):
    service.ask("PUT", "/predictions/busy", json={"input": QUICK | SLOW}, headers=ASYNC)
    refused = service.http.post("/predictions", json={"input": QUICK})
    assert (refused.status_code, refused.json()["error"][:11]) == (409, "At capacity")
    assert service.health() == "BUSY"
    started(service, "busy")
    service.http.post("/predictions/busy/cancel")
    service.wait_idle()
    assert service.health() == "READY"


@pytest.mark.parametrize("moment", [" 1/", " 2/", " 5/"])
def test_cancel_stops_within_a_step_and_leaves_the_painter_right(service: Cog, moment: str):
    usual, other = service.output(), service.output(lora_scale=0.5)
    with receiver() as hook:
        # the LoRA is fused anew, so that a state left half changed would show in what is painted next
        body = {"id": f"stop{moment[1]}", "input": QUICK | SLOW | {"epoch": 10}, "webhook": hook.url}
        service.ask("POST", "/predictions", json=body, headers=ASYNC)
        until(lambda: any(moment in one.get("logs", "") for one in hook.bodies))
        assert service.http.post(f"/predictions/{body['id']}/cancel").status_code == 200
        last = until(lambda: [one for one in hook.bodies if one["status"] == "canceled"])[0]
    steps = [line for line in last["logs"].splitlines() if "|" in line]
    assert len(steps) <= int(moment[1]) + 40, "it went on painting"
    assert json.loads(last["logs"].splitlines()[-1])["status"] == "canceled"
    assert service.output() == usual
    assert service.output(lora_scale=0.5) == other


def test_cancel_of_a_sync_prediction_answers_it(service: Cog):
    service.wait_idle()
    got: list[Any] = []
    body = {"id": "sync", "input": QUICK | SLOW}
    before = len(service.log)
    asking = threading.Thread(
        target=lambda: got.append(httpx2.post(f"{service.url}/predictions", json=body, timeout=PATIENCE))
    )
    asking.start()
    until(lambda: " 1/800" in service.log[before:])
    assert service.http.post("/predictions/sync/cancel").status_code == 200
    asking.join(PATIENCE)
    assert (got[0].status_code, got[0].json()["status"]) == (200, "canceled")


def test_cancel_of_nothing_is_not_found(service: Cog):
    assert service.http.post("/predictions/absent/cancel").status_code == 404


def test_a_client_that_leaves_cancels(service: Cog):
    usual = service.output()
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{service.url}/predictions", json={"input": QUICK | SLOW}, timeout=1)
    service.wait_idle()
    assert service.output() == usual


def test_files_live_until_the_next_prediction_only(service: Cog):
    def files() -> list[Path]:
        return [path for path in service.temporary.rglob("*") if path.is_file()]

    service.output(num_outputs=2)
    assert len(files()) == 4
    service.predict(image="http://127.0.0.1:9/x.png")  # Cog forgets what it made for this one
    service.predict(image=data_uri(Image.new("RGB", (9, 9))), palette="#12")
    service.output()
    assert len(files()) == 2


def test_a_lora_that_a_request_brings_lives_until_the_next_prediction_only(service: Cog, served_weights: Path):
    row = VARIANTS["sd15-perfect"]
    own = (served_weights / "sd15/lora" / row.lora_file(row.epochs)).read_bytes()
    folder = served_weights / "loras"
    with receiver() as web:
        web.pages["/my%20lora.safetensors"] = own
        url = f"{web.url}/my%20lora.safetensors"
        brought = service.output(lora=url, seed=5)
        (lora,) = json.loads(brought["recipes"][0])["loras"]
        assert (lora["name"], lora["source"]) == ("my lora", "my lora.safetensors")
        assert [path.stem for path in folder.glob("*.safetensors")] == [lora["sha256"]]
        outputs = brought, *(service.output(epoch=epoch, seed=5) for epoch in (row.epochs, row.epoch))
        same, last, usual = (picture(output["pixels"][0]).tobytes() for output in outputs)
        assert same == last != usual
        assert not list(folder.glob("*.safetensors"))
        # one that somebody installed stays
        shutil.copy(served_weights / "sd15/lora" / row.lora_file(row.epochs), folder / f"{lora['sha256']}.safetensors")
        os.utime(folder / f"{lora['sha256']}.safetensors")
        time.sleep(0.2)
        assert service.output(lora=url, seed=5) == brought
        service.output()
        assert list(folder.glob("*.safetensors"))
        shutil.rmtree(folder)


def test_a_folder_that_something_removed_is_made_anew(service: Cog):
    image = data_uri(Image.new("RGB", (9, 9)))
    usual = [service.output(), service.output(image=image, prompt_strength=1.0)]
    for inputs, expected in zip(({}, {"image": image, "prompt_strength": 1.0}), usual, strict=True):
        shutil.rmtree(service.temporary)
        assert service.output(**inputs) == expected
    assert service.health() == "READY"


def test_a_folder_that_cannot_be_made_is_said_without_its_path_and_seen_by_the_health_check(service: Cog):
    shutil.rmtree(service.temporary)
    service.temporary.write_text("in the way")
    try:
        answer = service.predict()
    finally:
        service.temporary.unlink()
    assert answer["status"] == "failed"
    assert answer["error"].endswith("PunkError: something went wrong on the server; its log has the details")
    until(lambda: str(service.temporary) in service.log)
    assert service.health() == "READY"
    assert service.predict()["status"] == "succeeded"


def test_answers_over_6_mib_do_not_stay_in_cogs_folder(service: Cog):
    """Cog writes them into /tmp/coglet, for all to read, and leaves them there."""
    body = {"id": "large", "input": QUICK | {"num_outputs": 8, "return_painting": True}}
    assert service.ask("POST", "/predictions", json=body).json()["status"] == "succeeded"
    (left,) = Path("/tmp/coglet/predictions/large/outputs").iterdir()
    assert left.stat().st_size > 6 * 2**20
    os.utime(left, (0, 0))  # those that are just being read are left alone
    service.output()
    assert not left.exists()
    shutil.rmtree("/tmp/coglet/predictions/large")


def test_bodies_that_are_no_request(service: Cog):
    # a body that is refused unread ends its connection: the next request must not be sent on it
    kinds = [{"Content-Type": kind, "Connection": "close"} for kind in ("application/json", "text/plain")]
    assert service.ask("POST", "/predictions", content=b"{", headers=kinds[0]).status_code == 400
    assert service.ask("POST", "/predictions", content=b"{}", headers=kinds[1]).status_code == 415
    assert service.ask("POST", "/predictions", json={"input": []}).status_code == 422
    assert service.health() == "READY"


def test_the_worker_keeps_no_file_or_thread_of_a_prediction(service: Cog):
    """Memory needs hundreds of them to tell a leak from the allocator's own steps: bench/service.py and script/fuzz."""
    worker = service.worker()
    held: list[int] = []
    for seed in range(24):
        service.output(seed=seed, lora_scale=0.5 + seed % 2 / 2)
        held.append(worker.num_fds() + worker.num_threads())
    assert max(held[16:]) - max(held[:8]) < 8  # one kept for each prediction would be 16
    assert service.worker() == worker


def test_with_an_upload_url_pictures_still_come_in_order(served_weights: Path, tmp_path: Path):
    with (
        receiver() as store,
        start(served_weights, tmp_path, "--upload-url", f"{store.url}/") as cog,
    ):
        output = cog.output(num_outputs=3)
        assert [picture(one).size for one in output["images"]] == [(48, 48)] * 3
        assert store.files == {}  # Cog uploads what is no part of an object

        # the same server: SIGTERM lets the running prediction end, and takes the worker and its files along
        worker, answers = cog.worker(), list[dict[str, Any]]()
        before = len(cog.log)
        asking = threading.Thread(target=lambda: answers.append(cog.predict(num_inference_steps=8)))
        asking.start()
        until(lambda: " 1/8" in cog.log[before:])
        cog.process.send_signal(signal.SIGTERM)
        asking.join(PATIENCE)
        assert answers[0]["status"] == "succeeded"
        assert cog.process.wait(PATIENCE) == 0
        psutil.wait_procs([worker], PATIENCE)
        assert not worker.is_running()
        assert not list(cog.temporary.iterdir())


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda base: shutil.rmtree(base / "lora"), "get it with `script/download-weights sd15-perfect`"),
        (lambda base: (base / UNET).write_bytes(b"\x00" * 64), "unet"),
        (lambda base: flip_a_bit(base / UNET), "is damaged"),
    ],
    ids=["missing", "damaged", "one bit"],
)
def test_setup_fails_at_once_and_says_why(served_weights: Path, tmp_path: Path, harm: Any, words: str):
    base = shutil.copytree(served_weights / "sd15", tmp_path / "weights/sd15")
    for name in ("model_index.json", UNET):
        record(base.parent, f"sd15/{name}", sha256(base / name))
    harm(base)
    (tmp_path / "server").mkdir()
    with start(tmp_path / "weights", tmp_path / "server") as cog:
        assert cog.state["status"] == "SETUP_FAILED"
        assert words in cog.state["setup"]["logs"]
        assert "WeightsError" in cog.state["setup"]["logs"]
        assert cog.http.post("/predictions", json={"input": QUICK}).status_code == 503
