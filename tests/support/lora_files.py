"""kohya LoRA files of true shapes and with the headers that the published parameters give."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from punks.cli import main
from punks.lora.modules import module_shapes
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


def shapes(variant: str, *, only: str = "") -> dict[str, tuple[int, ...]]:
    """The modules that networks.lora trains on the variant's base, or those with `only` in the name."""
    found = module_shapes(VARIANTS[variant])
    assert found is not None
    parts = ("transformer_blocks", "proj_in", "proj_out", "_te")
    xl = ("input_blocks", "middle_block", "output_blocks", "_te")
    kept = {name: shape for name, shape in found.items() if any(part in name for part in parts)}
    if any(name.startswith("lora_te2") for name in kept):
        kept = {name: shape for name, shape in kept.items() if any(part in name for part in xl)}
    return {name: shape for name, shape in kept.items() if only in name}


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
