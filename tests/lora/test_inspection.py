"""`punks inspect`: true of every file, whole or not, in a second, and nothing guessed."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from punks.cli import main
from tests.support.lora_files import CURRENT, EPOCH_7, PERFECT, inspected, shapes, tensors, write

ELEVEN = [
    "network_dim",
    "network_alpha",
    "resolution",
    "shuffle_caption",
    "keep_tokens",
    "multires_noise_iterations",
    "multires_noise_discount",
    "adaptive_noise_scale",
    "max_token_length",
    "train_batch_size",
    "mixed_precision",
]


@pytest.fixture
def perfect(tmp_path: Path) -> Path:
    return write(tmp_path / EPOCH_7, "sd15-perfect", PERFECT, only="attn2_to_k")


def test_the_two_published_trainings_differ_in_the_eleven_and_the_base(perfect: Path, tmp_path: Path):
    current = write(tmp_path / "x.safetensors", "sdxl-current", CURRENT, rank=128, alpha=64, only="_4_1_transf")
    save_file(
        load_file(current) | tensors(dict([*shapes("sdxl-current", only="_te1").items()][:2]), 128, 64),
        current,
        metadata=CURRENT,
    )
    te = tensors(dict([*shapes("sd15-perfect", only="_te").items()][:2]), 32, 16)
    save_file(load_file(perfect) | te, perfect, metadata=PERFECT)
    found = inspected(current, "--against", perfect)
    assert [each["name"] for each in found["differences"]] == ["base", *ELEVEN]
    assert all(each["analysis"] for each in found["differences"])
    assert found["differences"][1] | {"analysis": ""} == {
        "name": "network_dim",
        "this": 128,
        "other": 32,
        "analysis": "",
    }
    assert "works" in found["differences"][1]["analysis"]
    assert (found["verdict"], found["base"], found["status"]) == ("serves with warnings", "sdxl", 0)
    assert [each["name"] for each in inspected(perfect, "--against", current)["differences"]] == ["base", *ELEVEN]
    # the same against the records, though no file of theirs is here
    found = inspected(current, "--against", "sd15-perfect")
    assert [each["name"] for each in found["differences"]] == ["base", *ELEVEN]
    assert (found["verdict"], found["status"]) == ("refused", 1)
    assert "it was trained on SDXL, but this base has the modules of SD 1.5" in found["refusal"]
    assert inspected(current, "--against", "sdxl-current")["differences"] == []
    found = inspected(perfect, "--against", "sd15-perfect")
    assert (found["differences"], found["verdict"], found["status"]) == ([], "serves", 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_strength_is_the_norm_of_the_scaled_product(dtype: torch.dtype, tmp_path: Path):
    generator = torch.Generator().manual_seed(1)
    name, conv = (
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
        "lora_unet_down_blocks_1_resnets_0_conv1",
    )
    factors = {
        f"{name}.lora_down.weight": torch.randn(8, 768, generator=generator),
        f"{name}.lora_up.weight": torch.randn(640, 8, generator=generator),
        f"{conv}.lora_down.weight": torch.randn(4, 320, 3, 3, generator=generator),
        f"{conv}.lora_up.weight": torch.randn(640, 4, 1, 1, generator=generator),
        f"{name}.alpha": torch.tensor(2.0),
        f"{conv}.alpha": torch.tensor(1.0),
    }
    factors = {key: tensor.to(dtype) for key, tensor in factors.items()}
    save_torch(factors, tmp_path / "x.safetensors")
    (block,) = inspected(tmp_path / "x.safetensors")["blocks"]
    want: list[float] = []
    for module in (name, conv):
        down, up = (factors[f"{module}.lora_{side}.weight"].double().flatten(1) for side in ("down", "up"))
        rank = down.shape[0]
        want.append(float((factors[f"{module}.alpha"].double() / rank * (up @ down)).norm()) / rank)
    assert (block["name"], block["ranks"], block["alphas"]) == ("down_blocks.1", [4, 8], [1, 2])
    assert [block["least"], block["most"], block["mean"]] == pytest.approx([min(want), max(want), sum(want) / 2], 1e-4)


def test_a_file_in_which_every_module_has_its_own_rank_fits_on_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    modules = list(shapes("sd15-perfect", only="attn1_to"))
    made: dict[str, Any] = {}
    for rank, name in enumerate(modules, 1):
        made |= tensors({name: shapes("sd15-perfect")[name]}, rank, rank / 3)
    save_file(made, tmp_path / "x.safetensors")
    assert main(["inspect", str(tmp_path / "x.safetensors")]) == 0
    said = capsys.readouterr().out
    assert f"1/2/3/4 and {len(modules) - 4} more" in said
    assert max(map(len, said.splitlines())) < 220


def test_the_hash_is_verified(perfect: Path):
    assert inspected(perfect)["hash"] == "unknown"
    raw = perfect.read_bytes()
    digest = hashlib.sha256(raw[8 + int.from_bytes(raw[:8], "little") :]).hexdigest()
    save_file(load_file(perfect), perfect, metadata=PERFECT | {"sshs_model_hash": digest})
    assert inspected(perfect)["hash"] == "verified"
    with perfect.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(bytes([raw[-9] ^ 1]))
    found = inspected(perfect)
    assert found["hash"] == "does not match"
    assert any("changed after training" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("prefix", "header"),
    [
        ("0x", PERFECT),  # LyCORIS hashes tensor by tensor
        ("", PERFECT | {"ss_training_comment": "dimension is resized from 32 to 16; "}),
        (
            "",
            PERFECT | {"ss_training_comment": "Dynamic resize with sv_ratio: 2.0", "ss_network_dim": "Dynamic"},
        ),
        ("", {"ss_v2": "False", "ss_network_module": "networks.lora", "ss_network_dim": "32"}),  # merged
    ],
)
def test_a_hash_over_other_bytes_is_not_verified(
    prefix: str, header: dict[str, str], perfect: Path, capsys: pytest.CaptureFixture[str]
):
    save_file(load_file(perfect), perfect, metadata=header | {"sshs_model_hash": prefix + "ab" * 32})
    found = inspected(perfect)
    assert found["hash"] == "not verified"
    assert not [warning for warning in found["warnings"] if "hash" in warning or "damaged" in warning]
    assert main(["inspect", str(perfect)]) == 0
    assert "is not verified: the tool that wrote it hashes other bytes" in capsys.readouterr().out


def test_options_count_only_with_the_option_they_need(perfect: Path):
    """kohya writes multires_noise_discount 0.3 always, and ignores bucket_no_upscale without buckets."""

    def told(**header: str) -> tuple[dict[str, Any], list[str], list[str]]:
        own = PERFECT | {f"ss_{name}": text for name, text in header.items()}
        save_file(load_file(perfect), perfect, metadata=own)
        found = inspected(perfect)
        return found["parameters"], [each["name"] for each in found["differences"]], found["unknown"]

    known, differs, _ = told(multires_noise_iterations="None")
    assert known["multires_noise_discount"] is None
    assert {"multires_noise_iterations", "multires_noise_discount"} < set(differs)
    current = perfect.with_name("current.safetensors")
    save_file(load_file(perfect), current, metadata=CURRENT | {"ss_multires_noise_discount": "0.3"})
    assert "multires_noise_discount" not in [
        each["name"] for each in inspected(current, "--against", "sdxl-current")["differences"]
    ]
    for off in ({"enable_bucket": "False", "bucket_no_upscale": "False"}, {"enable_bucket": "False"}):
        known, differs, unknown = told(**off)
        assert "bucket_no_upscale" not in known
        assert "bucket_no_upscale" not in differs
        assert "bucket_no_upscale" in unknown
    known, differs, _ = told(enable_bucket="True", bucket_no_upscale="False")
    assert known["bucket_no_upscale"] is False
    assert "bucket_no_upscale" in differs


def test_what_is_not_in_the_file_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path / "x.safetensors", "sd15-perfect", None, only="mid_block")
    found = inspected(path, "--against", "sd15-perfect")
    assert found["parameters"] == {"base": "SD 1.5", "network_dim": 32, "network_alpha": 16, "networks": "U-Net"}
    assert [each["name"] for each in found["differences"]] == ["networks"]
    assert set(ELEVEN[2:]) < set(found["unknown"])
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "unknown of unknown, step unknown of unknown" in said
    assert "unknown: the file has none" in said


def test_parameters_are_found_in_the_datasets_too(perfect: Path):
    dataset = {
        "batch_size_per_device": 4,
        "resolution": [512, 512],
        "tag_frequency": {"a": {"b": 1}},
        "subsets": [{"shuffle_caption": True, "keep_tokens": 2}, {"shuffle_caption": True, "keep_tokens": 1}],
    }
    names = ("resolution", "shuffle_caption", "keep_tokens", "batch_size_per_device", "total_batch_size")
    header = {key: each for key, each in PERFECT.items() if key[3:] not in names}
    save_file(load_file(perfect), perfect, metadata=header | {"ss_datasets": json.dumps([dataset])})
    found = inspected(perfect)
    assert [(each["name"], each["this"]) for each in found["differences"]] == [
        ("keep_tokens", "2/1"),
        ("networks", "U-Net"),
    ]
    for bad in ("{", "[" * 100_000, '[{"subsets": 3}, 4, {"subsets": [5]}]', "null"):
        save_file(load_file(perfect), perfect, metadata=header | {"ss_datasets": bad})
        assert inspected(perfect)["verdict"] == "serves with warnings"


def test_a_header_cannot_command_the_terminal(perfect: Path, capsys: pytest.CaptureFixture[str]):
    save_file(
        load_file(perfect), perfect, metadata=PERFECT | {"ss_evil": "\x1b[2J\x9b2J", "modelspec.title": "\x1b]0;x\x07"}
    )
    assert main(["inspect", str(perfect)]) == 0
    assert not set("\x1b\x07\x9b") & set(capsys.readouterr().out)


def test_a_file_of_gigabytes_is_not_loaded(tmp_path: Path):
    header: dict[str, Any] = {}
    end = 0
    for name, (out, rows) in shapes("sdxl-current", only="attn1_to").items():
        for side, shape in (("down", (512, rows)), ("up", (out, 512))):
            start, end = end, end + 4 * shape[0] * shape[1]
            header[f"{name}.lora_{side}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + end)
    found = inspected(path)
    assert found["bytes"] > 1_000_000_000
    measured = sum(block["measured"] for block in found["blocks"])
    assert 0 < measured < 0.2 * found["modules"]
    assert found["base"] == "sdxl"
    assert "modules have no alpha" in " ".join(found["warnings"])


def test_the_command_as_it_is_read(perfect: Path):
    code = (
        "import sys; from punks.cli import main; s = main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(s)"
    )
    command = [sys.executable, "-c", code, "inspect", str(perfect), "--against", "sdxl-current"]
    for encoding, bar in (("utf-8", "█"), ("ascii", "#")):
        result = subprocess.run(
            command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding}, timeout=60
        )
        said = result.stdout.decode(encoding)
        assert result.returncode == 1, result.stderr
        for part in (
            "7 of 10, step 357 of 510",
            bar * 8,
            "network_dim",
            "one of the eleven",
            "verdict: refused",
        ):
            assert part in said


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "punks", "inspect", tmp_path / "pipe"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr == f"punks: {tmp_path / 'pipe'} is not a regular file; save it as one\n"


@pytest.mark.parametrize("against", ["sd15", "absent.safetensors"])
def test_what_it_cannot_compare_with_is_a_usage_error(against: str, perfect: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["inspect", str(perfect), "--against", against])
    assert caught.value.code == 2
    assert "neither a file nor one of sd15-perfect" in capsys.readouterr().err


def test_a_variant_without_a_record_is_compared_by_its_file(tiny_weights: Path):
    path = tiny_weights / "tiny/lora/tiny.safetensors"
    found = inspected(path, "--against", "tiny")
    assert (found["base"], found["differences"]) == ("tiny", [])


def test_a_file_of_one_variant_is_no_epoch_of_another_that_it_is_compared_with(perfect: Path):
    for other in ("sdxl-current", "demo"):
        found = inspected(perfect, "--against", other)
        assert not [each for each in found["warnings"] if "its name says" in each or "is served at epoch" in each]
