"""`punks train-command` prints a command whose outcome inspects as the variant's training."""

import json
import shlex
from pathlib import Path

import pytest

from punks.cli import main
from punks.lora.training_runs import ELEVEN, RUNS
from tests.support.lora_files import write


def printed(variant: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """What is printed, and the words of the command as a shell would see them."""
    capsys.readouterr()
    assert main(["train-command", variant]) == 0
    said = capsys.readouterr().out
    return said, shlex.split(said.replace("\\\n", " "), comments=True)


def header(words: list[str]) -> dict[str, str]:
    """What kohya's scripts write into the header when they are called so."""
    given = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    switches = ("shuffle_caption", "enable_bucket", "gradient_checkpointing")
    written = {name: given.get(name, "None") for name in ("mixed_precision", "seed", "learning_rate", "unet_lr")}
    written |= {name: str(name in given) for name in switches}
    written["bucket_no_upscale"] = str("bucket_no_upscale" in given and "enable_bucket" in given)
    for name in ("lr_scheduler", "network_module", "network_dim", "noise_offset", "max_token_length", "min_snr_gamma"):
        written[name] = given.get(name, "None")
    for name in ("multires_noise_iterations", "multires_noise_discount", "adaptive_noise_scale"):
        written[name] = given.get(name, "None")
    written |= {
        "network_alpha": str(float(given["network_alpha"])),
        "keep_tokens": given.get("keep_tokens", "0"),
        "resolution": str(tuple(map(int, given["resolution"].split(",")))),
        "batch_size_per_device": given["train_batch_size"],
        "text_encoder_lr": str([float(given["text_encoder_lr"])]),
        "num_epochs": given["max_train_epochs"],
        "optimizer": f"bitsandbytes.optim.adamw.{given['optimizer_type']}",
        "output_name": given["output_name"],
        "epoch": "7",
    }
    return {f"ss_{name}": value for name, value in written.items()}


@pytest.mark.parametrize(
    ("variant", "script"), [("sd15-perfect", "train_network.py"), ("sdxl-fixed", "sdxl_train_network.py")]
)
def test_its_outcome_inspects_as_no_difference(
    variant: str, script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said, words = printed(variant, capsys)
    assert words[:3] == ["accelerate", "launch", script]
    assert "--train_data_dir=${TRAIN_DATA_DIR:?}" in words
    assert {"--enable_bucket", "--bucket_no_upscale"} < set(words)
    assert "unknown: lr_warmup_steps" in said
    assert "unknown: enable_bucket" not in said
    only = "_0_attn2_to_k" if variant == "sd15-perfect" else "4_1_transformer_blocks_0_attn2"
    path = write(tmp_path / "x.safetensors", variant, header(words), only=only)
    capsys.readouterr()
    assert main(["inspect", str(path), "--against", variant, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["differences"]] == ["networks"]  # the test's file has a U-Net's alone
    assert not set(found["unknown"]) & set(ELEVEN)
    # kohya writes these nowhere
    assert found["unknown"] == ["caption_extension", "lr_scheduler_num_cycles"]


def test_the_retry_puts_the_eleven_back(capsys: pytest.CaptureFixture[str]):
    _, words = printed("sdxl-fixed", capsys)
    assert {
        "--network_dim=32",
        "--network_alpha=16",
        "--shuffle_caption",
        "--keep_tokens=2",
        "--max_token_length=225",
        "--multires_noise_iterations=6",
        "--multires_noise_discount=0.3",
        "--adaptive_noise_scale=0.00357",
        "--min_snr_gamma=5",
        "--noise_offset=0.1",
        "--resolution=1024,1024",
        "--mixed_precision=bf16",
        "--max_train_epochs=10",
        "--seed=42",
    } <= set(words)


def test_what_is_unknown_is_said_and_nothing_made_up(capsys: pytest.CaptureFixture[str]):
    said, words = printed("sd15-bespoke-baby", capsys)
    assert words == []
    assert "network_dim=64" in said
    assert "# unknown: network_alpha" in said
    assert "learning_rate" not in RUNS["sd15-bespoke-baby"]
    said, words = printed("demo", capsys)
    assert words == []
    assert "training/train.py" in said


def test_a_name_that_is_no_variant_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["train-command", "sd15-perfekt"])
    assert caught.value.code == 2
    assert "sd15-perfekt" in capsys.readouterr().err
