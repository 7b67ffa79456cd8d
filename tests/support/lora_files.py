"""LoRA files of true shapes in every format, and with the headers that the published parameters give."""

import contextlib
import io
import json
import math
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from safetensors.numpy import save_file

from bench import random_models
from punks.cli import main
from punks.lora.keys import module_name
from punks.variants import VARIANTS

EPOCH_7 = "bespoke_punks_SD15_PERFECT-000007.safetensors"
# as kohya-ss/sd-scripts writes them: every value a string (train_network.py)
PERFECT = {
    "ss_base_model_version": "sd_v1",
    "ss_sd_model_name": "v1-5-pruned.safetensors",
    "ss_v2": "False",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "32",
    "ss_network_alpha": "16.0",
    "ss_resolution": "(512, 512)",
    "ss_shuffle_caption": "True",
    "ss_keep_tokens": "2",
    "ss_multires_noise_iterations": "6",
    "ss_multires_noise_discount": "0.3",
    "ss_adaptive_noise_scale": "0.00357",
    "ss_max_token_length": "225",
    "ss_batch_size_per_device": "4",
    "ss_total_batch_size": "4",
    "ss_mixed_precision": "fp16",
    "ss_num_epochs": "10",
    "ss_epoch": "7",
    "ss_steps": "357",
    "ss_max_train_steps": "510",
    "ss_learning_rate": "0.0001",
    "ss_unet_lr": "0.0001",
    "ss_text_encoder_lr": "5e-05",
    "ss_lr_scheduler": "cosine_with_restarts",
    "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit",
    "ss_min_snr_gamma": "5.0",
    "ss_noise_offset": "0.1",
    "ss_seed": "42",
    "ss_bucket_no_upscale": "True",
    "ss_gradient_checkpointing": "True",
    "ss_clip_skip": "None",
    "ss_output_name": "bespoke_punks_SD15_PERFECT",
    "ss_session_id": "1111",
    "ss_tag_frequency": json.dumps({"images": {"pixel art": 203}}),
}
CURRENT = PERFECT | {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_sd_model_name": "sd_xl_base_1.0.safetensors",
    "ss_network_dim": "128",
    "ss_network_alpha": "64.0",
    "ss_resolution": "(1024, 1024)",
    "ss_shuffle_caption": "False",
    "ss_keep_tokens": "0",
    "ss_multires_noise_iterations": "None",
    "ss_multires_noise_discount": "None",
    "ss_adaptive_noise_scale": "None",
    "ss_max_token_length": "None",
    "ss_batch_size_per_device": "2",
    "ss_total_batch_size": "2",
    "ss_mixed_precision": "bf16",
    "ss_epoch": "9",
    "ss_text_encoder_lr": "[5e-05, 5e-05]",
    "ss_output_name": "bespoke_baby_sdxl",
    "ss_session_id": "2222",
    "ss_tag_frequency": json.dumps({"images": {"pixel art": 204}}),
}


Shape = tuple[int, ...]
# what LCM-LoRA, Hyper-SD and SDXL-Lightning change: target_modules of diffusers'
# examples/consistency_distillation/train_lcm_distill_lora_sdxl.py
ACCELERATED = re.compile(
    r"unet\..*(to_[qkv]|to_out\.0|proj_in|proj_out|ff\.net\.0\.proj|ff\.net\.2|conv1|conv2|conv_shortcut|samplers\.0\.conv"
    r"|time_emb_proj)"
)
STYLES = ("kohya", "kohya on diffusers' paths", "PEFT", "diffusers", "old diffusers", "ComfyUI")
_ENDS = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Each Linear and Conv2d that a LoRA can change, by its path in diffusers' pipeline."""
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    parts["text_encoder_2"] = getattr(pipeline, "text_encoder_2", torch.nn.Module())
    return {
        f"{part}.{path.removeprefix('text_model.')}": module
        for part, model in parts.items()
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }


def paths(pipeline: Any) -> dict[str, Shape]:
    """The shapes of `modules`."""
    return {path: tuple(module.weight.shape) for path, module in modules(pipeline).items()}


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    """A copy of the weights of `modules`, by the one name of each."""
    return {module_name(path): module.weight.detach().clone() for path, module in modules(pipeline).items()}


def load(folder: Path, name: str) -> Any:
    """A tiny pipeline in float32."""
    return DiffusionPipeline.from_pretrained(folder / name, variant="fp16", dtype=torch.float32)


def sgm(path: str) -> str:
    """The original path of a U-Net's module (Stability-AI/generative-models): what kohya and ComfyUI call it."""
    match = re.match(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(attentions|resnets|\w+samplers)\.(\d+)\.(.*)", path)
    if not match:
        return _ENDS[path]
    side, block, part, layer, rest = match.groups()
    if part.endswith("samplers"):
        end = (int(block) + 1) * 3
        return f"input_blocks.{end}.0.op" if side == "down" else f"output_blocks.{end - 1}.2.conv"
    rest = _RESNET[rest] if part == "resnets" else rest
    if side is None:
        return f"middle_block.{2 * int(layer) + (part == 'attentions')}.{rest}"
    index = int(block) * 3 + int(layer)
    at = f"input_blocks.{index + 1}" if side == "down" else f"output_blocks.{index}"
    return f"{at}.{int(part == 'attentions')}.{rest}"


def keys(path: str, style: str, *, xl: bool) -> tuple[str, str, str]:
    """What files of a style call A, B and alpha of a module."""
    part, _, inner = path.partition(".")
    whole = inner if part == "unet" or inner == "text_projection" else f"text_model.{inner}"
    if style.startswith("kohya"):
        number = part[-1] if part[-1] == "2" else "1" if xl else ""
        network = "lora_unet" if part == "unet" else f"lora_te{number}"
        named = sgm(whole) if part == "unet" and xl and style == "kohya" else whole
        stem = f"{network}_{named.replace('.', '_')}"
    elif style == "ComfyUI" and part == "unet":
        stem = f"diffusion_model.{sgm(whole)}"
    else:
        stem = f"{part}.{whole}"
    match style:
        case "PEFT":
            return f"{stem}.lora_A.weight", f"{stem}.lora_B.weight", f"{stem}.alpha"
        case "old diffusers" if old := re.fullmatch(r"(.*attn\d?)\.(?:to_)?(q|k|v|out)(?:_proj|\.0|)", stem):
            inside = ".processor" if part == "unet" else ""
            sides = (f"{old[1]}{inside}.to_{old[2]}_lora.{side}.weight" for side in ("down", "up"))
            return *sides, f"{stem}.alpha"
        case "diffusers" | "old diffusers":
            lora = "lora" if part == "unet" or inner == "text_projection" else "lora_linear_layer"
            return f"{stem}.{lora}.down.weight", f"{stem}.{lora}.up.weight", f"{stem}.alpha"
        case _:
            return f"{stem}.lora_down.weight", f"{stem}.lora_up.weight", f"{stem}.alpha"


def factors(
    modules: dict[str, Shape], style: str, *, xl: bool, rank: int = 4, alpha: float | None = 2, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Random factors of every module in a style."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, torch.Tensor] = {}
    for path, (out, *inputs) in modules.items():
        down, up, scale = keys(path, style, xl=xl)
        found[down] = torch.randn(rank, *inputs, generator=generator) / 8
        found[up] = torch.randn(out, rank, *[1] * (len(inputs) - 1), generator=generator) / 8
        if alpha is not None:
            found[scale] = torch.tensor(float(alpha))
    return found


def hollow(path: Path, shapes: dict[str, Shape], dtype: str = "F16", **dtypes: str) -> Path:
    """A file of these shapes with zeros that take no room on the disk. `dtypes`: of the keys that end so."""
    sizes = {"F16": 2, "F32": 4, "I8": 1, "BOOL": 1, "I32": 4, "C64": 8}
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        own = dtypes.get(name.rpartition(".")[2], dtype)
        start, end = end, end + sizes[own] * math.prod(shape)
        header[name] = {"dtype": own, "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + end)
    return path


def shapes(variant: str, *, only: str = "") -> dict[str, Shape]:
    """The modules that networks.lora trains on the variant's base, by kohya's names, or those with `only` in it."""
    full = published(VARIANTS[variant].base.family)
    xl = "text_encoder_2.text_projection" in full
    trained = re.compile(r"unet\..*(transformer_blocks|proj_in|proj_out).*|text_encoder.*\.layers\..*")
    named = {
        keys(path, "kohya", xl=xl)[2].removesuffix(".alpha"): shape
        for path, shape in full.items()
        if trained.fullmatch(path)
    }
    return {name: shape for name, shape in named.items() if only in name}


@cache
def published(family: str) -> dict[str, Shape]:
    """`paths` of the published base: diffusers' own models on the meta device, without weights."""
    with TemporaryDirectory() as folder, torch.device("meta"):
        return paths((random_models._sdxl if family == "sdxl" else random_models._sd15)(Path(folder), True))


def tensors(modules: dict[str, tuple[int, ...]], rank: int, alpha: float) -> dict[str, np.ndarray]:
    """Random factors in fp16."""
    random = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for name, (out, *rest) in modules.items():
        found[f"{name}.lora_down.weight"] = random.standard_normal((rank, *rest), np.float32).astype(np.float16) / 16
        up = (out, rank, *(1 for _ in rest[1:]))
        found[f"{name}.lora_up.weight"] = random.standard_normal(up, np.float32).astype(np.float16) / 16
        found[f"{name}.alpha"] = np.array(alpha, np.float16)
    return found


def write(
    path: Path, variant: str, header: dict[str, str] | None, *, rank: int = 32, alpha: float = 16, only: str = ""
) -> Path:
    """A file for the variant's base."""
    save_file(tensors(shapes(variant, only=only), rank, alpha), path, metadata=header)
    return path


def inspected(*args: object) -> dict[str, Any]:
    """What `punks inspect --json` prints, with its exit status as `status`."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main(["inspect", *map(str, args), "--json"])
    return json.loads(out.getvalue()) | {"status": status}
