"""A LoRA as kohya-ss/sd-scripts trains and writes it: its modules, its keys, its header."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save, save_file
from torch import Tensor, nn

from training.captions import STYLE
from training.settings import Settings


class LowRank(nn.Module):
    """W -> W + (alpha / rank) * up @ down, written into a Linear or a Conv2d in place.

    The chain rule from W's gradient to the factors is done by hand: the U-Net's graph stays the base's, so what was
    compiled for the base serves the LoRA, and a step costs no more than one without it.
    """

    def __init__(self, weight: nn.Parameter, rank: int, alpha: int) -> None:
        super().__init__()
        self._weight, self._base = weight, weight.detach().float().clone()
        self.down = nn.Parameter(torch.empty(rank, *weight.shape[1:], device=weight.device))
        nn.init.kaiming_uniform_(self.down.data.flatten(1), a=5**0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, *[1] * (weight.dim() - 2), device=weight.device))
        self.scale = alpha / rank

    @torch.no_grad()
    def write(self) -> None:
        """Puts the sum into the module."""
        delta = (self.up.flatten(1) @ self.down.flatten(1)).view_as(self._base)
        self._weight.copy_(self._base + self.scale * delta)

    @torch.no_grad()
    def differentiate(self) -> None:
        """Gradients of the factors from the weight's."""
        assert self._weight.grad is not None
        slope = self.scale * self._weight.grad.float().flatten(1)
        self.up.grad = (slope @ self.down.flatten(1).T).view_as(self.up)
        self.down.grad = (self.up.flatten(1).T @ slope).view_as(self.down)


def attach(unet: nn.Module, text_encoder: nn.Module, settings: Settings) -> dict[str, LowRank]:
    """A LowRank for every module that kohya trains, by kohya's names."""
    found: dict[str, LowRank] = {}
    for prefix, model, inside in (
        ("lora_unet_", unet, ".attentions."),
        ("lora_te_text_model_", text_encoder, "layers."),
    ):
        for path, module in model.named_modules():
            if inside in path and isinstance(module, nn.Linear | nn.Conv2d):
                # transformers 5.6 dropped the level `text_model`, which kohya's names keep
                name = prefix + path.removeprefix("text_model.").replace(".", "_")
                found[name] = LowRank(module.weight, settings.rank, settings.alpha)
    return found


def write(path: Path, modules: dict[str, LowRank], settings: Settings, epoch: int) -> None:
    """One epoch's file in fp16, with the header that kohya writes."""
    tensors = factors(modules)
    save_file(tensors, path, header(settings, epoch, tensors, path.stem))


def factors(modules: dict[str, LowRank]) -> dict[str, Tensor]:
    """The tensors of a file, fp16."""
    found: dict[str, Tensor] = {}
    for name, low in modules.items():
        found[f"{name}.lora_down.weight"] = low.down.detach().half().cpu().contiguous()
        found[f"{name}.lora_up.weight"] = low.up.detach().half().cpu().contiguous()
        found[f"{name}.alpha"] = torch.tensor(low.scale * len(low.down), dtype=torch.float16)
    return found


def header(settings: Settings, epoch: int, tensors: dict[str, Tensor], name: str) -> dict[str, str]:
    """kohya's metadata: every value is a string."""
    raw = save(tensors)
    steps = epoch * (settings.lora.steps // settings.lora_epochs)
    body = raw[8 + int.from_bytes(raw[:8], "little") :]
    values: dict[str, object] = {
        "ss_v2": False,
        "ss_base_model_version": "sd_v1",
        "ss_sd_model_name": "weights/demo",
        "ss_network_module": "networks.lora",
        "ss_network_dim": settings.rank,
        "ss_network_alpha": float(settings.alpha),
        "ss_network_args": "{}",
        "ss_output_name": "punks_demo",
        "ss_resolution": "(512, 512)",
        "ss_seed": settings.seed,
        "ss_epoch": epoch,
        "ss_num_epochs": settings.lora_epochs,
        "ss_steps": steps,
        "ss_max_train_steps": settings.lora.steps,
        "ss_batch_size_per_device": settings.lora.batch,
        "ss_total_batch_size": settings.lora.batch,
        "ss_num_train_images": settings.crisp,
        "ss_learning_rate": settings.lora.rate,
        "ss_unet_lr": settings.lora.rate,
        "ss_text_encoder_lr": settings.lora.rate * settings.lora_text_rate,
        "ss_lr_scheduler": "cosine",
        "ss_lr_warmup_steps": settings.lora_warmup,
        "ss_optimizer": "torch.optim.adamw.AdamW(betas=(0.9, 0.99))",
        "ss_mixed_precision": "bf16",
        "ss_max_token_length": 225,
        "ss_clip_skip": None,
        "ss_shuffle_caption": True,
        "ss_keep_tokens": len(STYLE),
        "ss_zero_terminal_snr": True,
        "ss_min_snr_gamma": None,
        "ss_noise_offset": None,
        "ss_multires_noise_iterations": None,
        "ss_multires_noise_discount": None,
        "ss_adaptive_noise_scale": None,
        "ss_tag_frequency": json.dumps({}),
        "ss_training_comment": "portraits drawn by training/portraits.py; v-prediction",
        "sshs_model_hash": hashlib.sha256(body).hexdigest(),
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.prediction_type": "v",
        "modelspec.title": name,
    }
    return {key: str(value) for key, value in values.items()}


def epoch_file(folder: Path, settings: Settings, epoch: int) -> Path:
    """kohya numbers all epochs but the last, which has the bare name."""
    last = epoch == settings.lora_epochs
    return folder / ("punks_demo.safetensors" if last else f"punks_demo-{epoch:06d}.safetensors")
