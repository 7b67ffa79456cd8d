"""`punks weights` as a user calls it, against a small Hugging Face Hub on this machine."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from punks.fast import accelerations
from punks.variants import SD15, SDXL, VARIANTS, Base
from tests.support import ROOT
from tests.support.servers import Fault, Site, lora, serving, tensors

TOKEN = "hf_secretsecret"
PERFECT = VARIANTS["sd15-perfect"]
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


class World:
    """A hub whose large files lie at another address, and a folder of weights to fill."""

    def __init__(self, hub: Site, cdn: Site, root: Path) -> None:
        self.hub, self.cdn, self.root = hub, cdn, root
        hub.token = TOKEN
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PUNKS_"))}
        self.env |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "PUNKS_WEIGHTS": str(root), "HF_HOME": str(root.parent)}
        loras = {f"epochs/{PERFECT.lora_file(epoch)}": lora(epoch) for epoch in (7, 9)}
        hub.publish("owner/loras", "v1", loras, cdn)
        for base in (SD15, SDXL):
            self.publish(base)

    def publish(self, base: Base) -> None:
        for source in base.sources:
            names = [pattern.replace("*", "x") for pattern in source.files if pattern != "tokenizer*/*"]
            if not source.folder:
                names += ["tokenizer/vocab.json", "tokenizer/merges.txt"]
                names += ["unet/diffusion_pytorch_model.bin", "v1-5.ckpt", "README.md", "unet/full.safetensors"]
            files = {
                name: tensors(len(name)) if name.endswith("tensors") else json.dumps({"n": name}).encode()
                for name in names
            }
            files["model_index.json"] = json.dumps({"unet": ["diffusers", "UNet2DConditionModel"]}).encode()
            self.hub.publish(source.repo, source.revision, files, self.cdn)

    def start(self, *args: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "punks", "weights", *args],
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *args: str, code: int = 0) -> str:
        process = self.start(*args)
        out, err = process.communicate(timeout=30)
        assert process.returncode == code, err
        assert "secret" not in out + err
        assert "Traceback" not in err
        return out + err

    def fetch(self, *args: str, code: int = 0) -> str:
        return self.run("--fetch", *args, "--lora", "hf:owner/loras@v1", code=code)

    def at_cdn(self, name: str) -> str:
        source = SD15.sources[0]
        return (
            self.hub.redirects[f"/{source.repo}/resolve/{source.revision}/{name}"]
            .split("?")[0]
            .removeprefix(self.cdn.url)
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving() as hub, serving() as cdn:
        yield World(hub, cdn, tmp_path / "my weights")


def test_a_variant_comes_whole_and_is_verified(world: World) -> None:
    assert "nothing fetched yet" in world.run("--verify")
    world.fetch("--epoch", "all")
    names = {path.relative_to(world.root / "sd15").as_posix() for path in (world.root / "sd15").rglob("*.*")}
    assert {UNET, "tokenizer/merges.txt", "model_index.json", f"lora/{PERFECT.lora_file(9)}"} < names
    assert not [name for name in names if name.endswith((".bin", ".ckpt", "full.safetensors", ".part", ".tag", ".md"))]
    assert all("authorization" not in headers for _, headers in world.cdn.asked)
    assert world.hub.asked[-1][0].endswith("/model_index.json")
    check = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=world.root, check=False)
    assert check.returncode == 0

    asked = len(world.cdn.asked), len(world.hub.asked)
    world.run("--fetch", "sd15-perfect")
    assert asked == (len(world.cdn.asked), len(world.hub.asked))

    (world.root / "sd15/mine.json").touch()
    verdict = json.loads(world.run("--verify", "--json"))
    assert verdict["unrecorded"] == ["sd15/mine.json"]
    assert len(verdict["whole"]) == len(names)

    (world.root / "sd15" / UNET).write_bytes(tensors(99))
    (world.root / "sd15/lora" / PERFECT.lora_file(9)).unlink()
    said = world.run("--verify", code=1)
    assert f"damaged: sd15/{UNET}; run script/download-weights sd15-perfect" in said
    assert "missing: sd15/lora/" in said
    assert "script/download-weights sd15-perfect --epoch 9" in said
    world.fetch("--epoch", "9")
    assert "0 damaged, 0 missing" in world.run("--verify")


def test_an_acceleration_lora_is_the_pinned_file_and_continued(world: World) -> None:
    row, body = accelerations("sd15", "lcm")[0], tensors(1)
    world.hub.publish(row.repo, row.revision, {row.path: body}, world.cdn)
    said = world.fetch("--fast", "lcm", code=1)  # it is not what the row pins
    assert "latent-consistency/lcm-lora-sdv1-5/pytorch_lora_weights.safetensors: checksum mismatch" in said
    assert not list(world.root.rglob("*lcm*"))

    digest = hashlib.sha256(body).hexdigest()
    code = (
        "import sys; from dataclasses import replace; from punks import fast; from punks.cli import main\n"
        f"fast.ROWS[:] = [replace(row, sha256={digest!r}) for row in fast.ROWS if row.lora == {row.lora!r}]\n"
        "sys.exit(main(['weights', '--fetch', '--fast', *sys.argv[1:]]))"
    )
    world.cdn.faults[f"/{digest}"] = [Fault(cut=100_000)]
    run = subprocess.run([sys.executable, "-c", code], env=world.env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"sd15/lora/{row.lora}.safetensors: fetched" in run.stderr
    assert world.cdn.ranges(f"/{digest}")[-1] == "bytes=100000-"
    (world.root / "sd15/lora" / f"{row.lora}.safetensors").unlink()
    assert "missing: sd15/lora/lcm-lora-sdv1-5.safetensors; run script/download-weights sd15-perfect --fast" in (
        world.run("--verify", code=1)
    )
    world.hub.publish(row.repo, row.revision, {"other.safetensors": body}, world.cdn)
    assert "has no pytorch_lora_weights.safetensors" in world.fetch("--fast", "lcm", code=1)


def test_sdxl_takes_its_vae_from_another_repository(world: World) -> None:
    row = VARIANTS["sdxl-current"]
    file = world.root.parent / row.lora_file(row.epoch)
    file.write_bytes(lora(1, rank=128, encoder="te1"))
    said = world.run("--fetch", "sdxl-current", "--lora", str(file))
    assert "warning: sdxl-current: failure, 4/10" in said
    assert (world.root / "sdxl/vae/diffusion_pytorch_model.safetensors").is_file()
    assert (world.root / "sdxl/text_encoder_2/model.fp16.safetensors").is_file()
    assert not (world.root / "sdxl/model.safetensors").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lora(1, rank=8), ", which was trained at network_dim 32, but it has rank 8; use the file"),
        (lora(1, encoder="te1"), ": it was trained on SDXL, but this base has the modules of SD 1.5"),
    ],
    ids=["another rank", "another base"],
)
def test_another_lora_is_refused_before_the_base_comes(world: World, tmp_path: Path, body: bytes, said: str) -> None:
    other, place = tmp_path / "other.safetensors", world.root / "sd15/lora" / PERFECT.lora_file(7)
    other.write_bytes(body)
    assert f"{other}: not an epoch of sd15-perfect{said}" in world.run("--fetch", "--lora", str(other), code=1)
    assert not list(place.parent.iterdir())
    place.write_bytes(body)
    assert f"{place.name}: not an epoch of sd15-perfect{said}" in world.run("--fetch", code=1)
    assert not world.hub.asked


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_what_is_cut_short_leaves_a_part_that_the_next_call_completes(world: World, ending: int, code: int) -> None:
    unet = world.at_cdn(UNET)
    world.cdn.faults[unet] = [Fault(pace=0.05)]
    process = world.start("--fetch", "--lora", "hf:owner/loras@v1")
    part = world.root / "sd15" / f"{UNET}.part"
    while not (part.is_file() and part.stat().st_size > 50_000):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(ending)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert ("goes on where it stopped" in err) == (ending == signal.SIGINT)
    assert "Traceback" not in err
    assert not part.with_suffix("").exists()
    assert not (world.root / "sd15/model_index.json").exists()
    have = part.stat().st_size
    world.fetch()
    assert world.cdn.ranges(unet) == [None, f"bytes={have}-"]
    assert "0 damaged" in world.run("--verify")


def test_two_fetches_at_once_fetch_each_file_once(world: World) -> None:
    world.cdn.faults[world.at_cdn(UNET)] = [Fault(pace=0.05)]
    both = [world.start("--fetch", "--lora", "hf:owner/loras@v1") for _ in range(2)]
    said = [process.communicate(timeout=30)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "waiting for another fetch into" in "".join(said)
    assert len(world.cdn.ranges(world.at_cdn(UNET))) == 1


def test_a_file_with_another_hash_than_the_hub_lists_is_refused(world: World) -> None:
    world.cdn.files[world.at_cdn(UNET)] = tensors(98)
    said = world.fetch(code=1)
    assert f"{UNET}: checksum mismatch" in said
    assert not [path for path in (world.root / "sd15/unet").iterdir() if path.name.startswith("diffusion")]


def test_without_a_token_a_private_repository_says_so(world: World) -> None:
    del world.env["HF_TOKEN"]
    said = world.fetch(code=1)
    assert "owner/loras at v1: no such repository or revision, or it is private (HTTP 401); set HF_TOKEN" in said
    lora = f"{world.hub.url}/owner/loras/resolve/v1/epochs/{PERFECT.lora_file(7)}"
    assert "set HF_TOKEN" in world.run("--fetch", "--lora", lora, code=1)
    world.env["HF_TOKEN"] = f"{TOKEN}\u2026"
    assert "copy it again" in world.run("--fetch", "--lora", lora, code=1)
    world.env["HF_TOKEN"] = TOKEN
    assert "lora/" in world.run("--fetch", "--lora", lora)


def test_the_list_names_what_is_missing_and_how_to_get_it(world: World) -> None:
    said = world.run()
    assert "get sd15-perfect: script/download-weights sd15-perfect" in said
    assert "failure, 4/10" in said
    assert "FAILED" not in said  # the verdict says it
    world.fetch("--epoch", "9")
    rows = {row["variant"]: row for row in json.loads(world.run("--json"))}
    assert {"sd15-perfect", "sd15-bespoke-baby", "sdxl-current", "sdxl-fixed", "demo"} <= set(rows)
    assert rows["sd15-perfect"]["epochs_present"] == [9]
    assert rows["sd15-perfect"]["lora_bytes"] == len(lora(9))
    assert (rows["sd15-perfect"]["fast"], rows["demo"]["fast"]) == ([], ["distilled"])


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["sd15-perfekt"], "choose one of sd15-perfect"),
        (["--epoch", "7"], "--epoch, --lora and --fast need --fetch"),
        (["--fast"], "--epoch, --lora and --fast need --fetch"),
        (["--fetch", "--fast", "lightning"], "the base sd15 has hyper, lcm"),
        (["--fetch", "--epoch", "seven"], "neither a number nor 'all'"),
        (["--fetch", "--epoch", "11"], "epochs 1 to 10"),
    ],
)
def test_a_wrong_call_is_told_what_is_right(world: World, args: list[str], what: str) -> None:
    assert what in world.run(*args, code=2)


def test_listing_imports_no_torch_and_no_hub() -> None:
    code = (
        "import sys; from punks.cli import main; main(['weights']);"
        "print({'torch', 'huggingface_hub', 'httpx2'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("set()\n")


def test_the_script_sets_up_and_fetches_from_any_directory(world: World, tmp_path: Path) -> None:
    checkout, elsewhere = tmp_path / "a checkout", tmp_path / "else where"
    for folder in (checkout / "script", checkout / ".venv/bin", elsewhere):
        folder.mkdir(parents=True)
    script = checkout / "script/download-weights"
    script.write_bytes((ROOT / "script/download-weights").read_bytes())
    (checkout / "script/setup").write_text('#!/bin/sh\ntouch "$(dirname "$0")/was set up"\n')
    (checkout / ".venv/bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for path in (script, checkout / "script/setup", checkout / ".venv/bin/python"):
        path.chmod(0o755)
    (elsewhere / "my lora.safetensors").write_bytes(lora(1))
    command = [script, "--epoch", "3", "sd15-perfect", "--lora", "my lora.safetensors"]
    subprocess.run(command, cwd=elsewhere, env=world.env, check=True, capture_output=True)
    assert (checkout / "script/was set up").exists()
    assert (world.root / "sd15/lora" / PERFECT.lora_file(3)).read_bytes() == lora(1)


def test_a_folder_that_cannot_be_is_said(world: World) -> None:
    world.root.write_text("a file")
    assert "set PUNKS_WEIGHTS to a folder that can be written" in world.fetch(code=1)
