"""What `punks inspect` refuses and warns of, in true sentences, is what loading refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from bench import random_models
from punks.cli import main
from punks.errors import LoraError
from punks.lora.file import check, read_header
from punks.lora.keys import module_name
from punks.lora.modules import module_shapes
from punks.painter.lora import LoraStack
from punks.variants import VARIANTS
from tests.support import ROOT
from tests.support.lora_files import EPOCH_7, PERFECT, hollow, inspected, shapes, tensors, write


@pytest.fixture
def perfect(tmp_path: Path) -> Path:
    return write(tmp_path / EPOCH_7, "sd15-perfect", PERFECT, only="attn2_to_k")


@pytest.mark.parametrize(("variant", "family", "count"), [("sd15-perfect", "sd15", 264), ("sdxl-current", "sdxl", 986)])
def test_the_published_bases_have_the_modules_of_diffusers(variant: str, family: str, count: int, tmp_path: Path):
    with torch.device("meta"):
        pipeline: Any = (random_models._sd15 if family == "sd15" else random_models._sdxl)(tmp_path, True)
    want = {name: tuple(weight.shape) for name, weight in LoraStack(pipeline)._targets.items()}
    assert module_shapes(VARIANTS[variant]) == want
    trained = {name: tuple(weight.shape) for name, weight in random_models.kohya_names(pipeline).items()}
    assert shapes(variant) == trained
    assert {module_name(name): shape for name, shape in trained.items()}.items() <= want.items()
    assert len(trained) == count


@pytest.mark.parametrize("name", ["tiny", "tiny-xl"])
def test_a_base_on_disk_has_the_modules_that_loading_checks(name: str, tiny_weights: Path):
    from diffusers import DiffusionPipeline

    pipeline: Any = DiffusionPipeline.from_pretrained(tiny_weights / name, variant="fp16", dtype=torch.float16)
    want = {module: tuple(weight.shape) for module, weight in LoraStack(pipeline)._targets.items()}
    assert module_shapes(VARIANTS[name]) == want


def test_a_dim_64_file_named_as_epoch_7_is_caught(tmp_path: Path):
    header = PERFECT | {"ss_network_dim": "64"}
    path = write(tmp_path / EPOCH_7, "sd15-perfect", header, rank=64, only="attn2_to_k")
    said = "its name says epoch 7 of sd15-perfect, which was trained at network_dim 32, but it has rank 64"
    found = inspected(path)
    assert (found["verdict"], found["status"]) == ("refused", 1)
    assert said in found["refusal"]
    base = module_shapes(VARIANTS["sd15-perfect"])
    assert base is not None
    with pytest.raises(LoraError, match=said):  # what guards loading
        check(read_header(path), base)
    assert inspected(path.rename(tmp_path / "other.safetensors"))["verdict"] == "serves"


def test_a_file_of_another_epoch_under_this_name_is_warned_of(perfect: Path):
    save_file(load_file(perfect), perfect, metadata=PERFECT | {"ss_epoch": "3", "ss_network_dim": "16"})
    said = " ".join(inspected(perfect)["warnings"])
    assert "named as epoch 7 of sd15-perfect, but its header says epoch 3, not 7" in said
    assert "the header says network_dim 16, the tensors have 32" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: b"", "is empty"),
        (lambda raw: raw[:-1], "not a whole safetensors file"),
        (lambda raw: raw[:50], "not a whole safetensors file"),
        (lambda raw: raw.replace(b'"data_offsets":[0,', b'"data_offsets":[2,', 1), "invalid offset for tensor"),
        (lambda _: b"PK\x03\x04" + bytes(200), "a pickled checkpoint, which can run code"),
        (lambda _: b"\x80\x02ctorch\n", "a pickled checkpoint, which can run code"),
        (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture, not a LoRA; name a .safetensors file"),
    ],
    ids=["zero bytes", "truncated", "header cut", "offsets tampered with", "zip pickle", "pickle", "png"],
)
def test_a_damaged_file_is_refused_with_a_true_sentence(
    spoil: Any, said: str, perfect: Path, capsys: pytest.CaptureFixture[str]
):
    perfect.write_bytes(spoil(perfect.read_bytes()))
    found = inspected(perfect)
    assert (found["verdict"], found["status"]) == ("refused", 1)
    assert said in found["refusal"]
    assert main(["inspect", str(perfect)]) == 1
    assert said in capsys.readouterr().err


NAME = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
PATH = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"


def pair(stem: str, style: str = "lora_", inputs: int = 768, out: int = 1280) -> dict[str, tuple[int, ...]]:
    """The keys of A and B."""
    down, up = {"lora_": ("down", "up"), "lora_A": ("", "")}.get(style, ("down", "up"))
    names = ("lora_A", "lora_B") if style == "lora_A" else (f"{style}{down}", f"{style}{up}")
    return {f"{stem}.{names[0]}.weight": (4, inputs), f"{stem}.{names[1]}.weight": (out, 4)}


@pytest.mark.parametrize(
    ("keys", "kind", "family"),
    [
        ({f"{NAME}.hada_w1_a": (1280, 4), f"{NAME}.hada_w1_b": (4, 768)}, "a LoHa", None),
        ({f"base_model.model.{PATH[5:]}.hada_w1_a": (1280, 4)}, "a LoHa", None),
        ({f"{NAME}.lokr_w1": (8, 8), f"{NAME}.lokr_w2": (160, 96)}, "a LoKr", None),
        (pair(NAME) | {f"{NAME}.dora_scale": (1280, 1)}, "a DoRA", "SD 1.5"),
        (pair(PATH, "lora_A") | {f"{PATH}.lora_magnitude_vector": (1280,)}, "a DoRA", "SD 1.5"),
        (pair(NAME) | {f"{NAME}.oft_blocks": (4, 8, 8)}, "an OFT", "SD 1.5"),
        (pair(NAME) | {"lora_unet_conv_in.diff": (320, 4, 3, 3)}, "whole weights", "SD 1.5"),
        (pair(NAME) | {"bundle_emb.punk.string_to_param.*": (2, 768)}, "embedding", "SD 1.5"),
        (pair(PATH, "lora_A") | {"emb_params": (2, 768)}, "embedding", "SD 1.5"),
        ({"emb_params": (2, 768)}, "embedding", None),
        (pair(NAME, inputs=1024), "a kohya LoRA", "SD 2"),
        (pair("transformer.transformer_blocks.0.attn2.to_k", "lora_A", 1152), "a PEFT LoRA", "PixArt"),
        (pair("lora_unet_double_blocks_0_img_attn_proj", inputs=3072), "a kohya LoRA", "Flux"),
        (pair("transformer.single_transformer_blocks.0.attn.to_q", "lora_A", 3072), "a PEFT LoRA", "Flux"),
        (pair("lora_unet_joint_blocks_0_context_block_attn_qkv", inputs=1536), "a kohya LoRA", "SD3"),
        (pair("transformer.transformer_blocks.0.attn.add_k_proj", "lora_A", 1536), "a PEFT LoRA", "SD3"),
        (pair("diffusion_model.blocks.0.cross_attn.k", "lora_A", 1536), "a PEFT LoRA", "Wan"),
        ({"model.weight": (3, 3)}, "a safetensors file without LoRA weights", None),
    ],
)
def test_what_no_base_can_take_is_refused_by_its_name(
    keys: dict[str, tuple[int, ...]], kind: str, family: str | None, tmp_path: Path
):
    path = tmp_path / "x.safetensors"
    save_file({key: np.ones(shape, np.float16) for key, shape in keys.items()}, path)
    found = inspected(path)
    assert (found["family"], found["verdict"], found["status"]) == (family, "refused", 1)
    assert kind in found["kind"]
    assert found["kind"] in found["refusal"]
    if family:
        assert family in found["refusal"]
        assert found["ranks"] == [4]


@pytest.mark.parametrize(
    ("keys", "kind", "family"),
    [
        (pair(PATH, "lora_A"), "a PEFT LoRA", "SD 1.5"),
        (pair(PATH, "lora_A", 2048), "a PEFT LoRA", "SDXL"),
        (pair(PATH, "lora."), "a diffusers LoRA", "SD 1.5"),
        (pair(f"{PATH[:-5]}.processor", "to_k_lora."), "a diffusers LoRA", "SD 1.5"),
        (pair(NAME), "a kohya LoRA", "SD 1.5"),
        (pair(f"lycoris_{PATH[5:].replace('.', '_')}"), "a kohya LoRA", "SD 1.5"),
    ],
)
def test_each_format_is_called_by_its_name_and_served(
    keys: dict[str, tuple[int, ...]], kind: str, family: str, tmp_path: Path
):
    found = inspected(hollow(tmp_path / "x.safetensors", keys))
    assert (found["kind"], found["family"], found["refusal"], found["ranks"]) == (kind, family, None, [4])


def test_a_lora_of_the_other_family_is_refused_by_its_name(tmp_path: Path):
    base = module_shapes(VARIANTS["sd15-perfect"])
    assert base is not None
    for keys in (pair(PATH, inputs=2048), pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", out=3072)):
        with pytest.raises(LoraError, match=r"trained on SDXL, but this base has the modules of SD 1\.5"):
            check(read_header(hollow(tmp_path / "x.safetensors", keys)), base)
    keys = pair("lora_te_text_model_encoder_layers_0_mlp_fc1", out=3072)
    assert inspected(hollow(tmp_path / "x.safetensors", keys), "--against", "sdxl-fixed")["refusal"].startswith(
        "it was trained on SD 1.5, but this base has the modules of SDXL"
    )


@pytest.mark.parametrize("dtype", ["I8", "I32", "BOOL", "C64"])
def test_numbers_that_are_not_floating_point_are_refused(dtype: str, tmp_path: Path):
    path, keys, said = tmp_path / "x.safetensors", pair(NAME), f"holds {dtype} numbers, not floating point"
    assert said in inspected(hollow(path, keys, dtype))["refusal"]
    refusal = inspected(hollow(path, {f"{NAME}.alpha": (), **keys}, alpha=dtype))["refusal"]
    # LyCORIS writes whole alphas as integers
    assert refusal is None if dtype[0] == "I" else said in refusal


def test_rank_0_is_refused(tmp_path: Path):
    keys = {f"{NAME}.lora_down.weight": (0, 768), f"{NAME}.lora_up.weight": (1280, 0)}
    assert "has rank 0" in inspected(hollow(tmp_path / "x.safetensors", keys))["refusal"]


def test_a_linear_module_may_be_written_as_a_1x1_convolution_and_back(tmp_path: Path):
    name = "lora_unet_mid_block_attentions_0_proj_in"
    for down, up, fits in (
        ((4, 1280), (1280, 4), True),
        ((4, 1280, 1, 1), (1280, 4, 1, 1), True),
        ((4, 1280, 3, 3), (1280, 4, 1, 1), False),
        ((4, 1280, 1, 1), (1280, 4, 3, 3), False),
        ((4, 1280), (1280, 5), False),
        ((4,), (1280, 4), False),
        ((4, 1280), (1280,), False),
        ((), (), False),
    ):
        keys = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        found = inspected(hollow(tmp_path / "x.safetensors", keys), "--against", "sd15-perfect")
        assert (found["refusal"] is None) == fits, found["refusal"]
        assert fits or "has shapes" in found["refusal"]


def test_alphas_that_are_missing_are_said_whatever_the_header_says(perfect: Path, capsys: pytest.CaptureFixture[str]):
    whole = load_file(perfect)
    bare = {key: tensor for key, tensor in whole.items() if not key.endswith("alpha")}
    save_file(bare, perfect, metadata=PERFECT)
    found = inspected(perfect)
    assert found["verdict"] == "serves with warnings"
    said = "16 of 16 modules have no alpha: the rank is used instead, 2 times the strength of the header's alpha 16"
    assert said in found["warnings"]
    main(["inspect", str(perfect)])
    assert "rank, alpha  32, unknown" in capsys.readouterr().out
    alpha = next(key for key in whole if key.endswith("alpha"))
    save_file(bare | {alpha: whole[alpha]}, perfect, metadata=PERFECT)
    assert "15 of 16 modules have no alpha: the rank is used instead" in " ".join(inspected(perfect)["warnings"])


@pytest.mark.parametrize("damage", ["another shape", "missing"])
def test_a_damaged_lora_of_the_demo_is_refused_for_its_damage(damage: str, tmp_path: Path):
    spoiled = load_file(ROOT / "weights/demo/lora/punks_demo.safetensors")
    key = next(key for key in spoiled if key.endswith("lora_up.weight"))
    up = spoiled.pop(key)
    if damage == "another shape":
        spoiled[key] = np.concatenate([up, up])
    save_file(spoiled, tmp_path / "x.safetensors")
    found = inspected(tmp_path / "x.safetensors")
    name = key.removesuffix(".lora_up.weight")
    said = {"another shape": f"{name} has shapes (", "missing": f"{name} lacks lora_up (B)"}
    assert found["refusal"].startswith(said[damage])


def test_a_locon_with_plain_convolutions_is_served_as_it_is_fused(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    save_file(tensors({name: (320, 320, 3, 3)}, 4, 1), path)
    found = inspected(path, "--against", "sd15-perfect")
    assert "LoCon" in found["kind"]
    assert (found["refusal"], found["base"]) == (None, "sd15")
    save_file(load_file(path) | {f"{name}.lora_mid.weight": np.ones((4, 4, 3, 3), np.float16)}, path)
    assert "a LoCon with Tucker factors is not supported" in inspected(path)["refusal"]


@pytest.mark.parametrize("part", ["lora_down", "alpha"])
def test_values_that_are_not_finite_are_refused(part: str, perfect: Path):
    spoiled = load_file(perfect)
    spoiled[next(key for key in spoiled if part in key)][...] = np.nan
    save_file(spoiled, perfect, metadata=PERFECT)
    found = inspected(perfect)
    assert "not finite" in found["refusal"]
    assert any(block["mean"] is None for block in found["blocks"])
