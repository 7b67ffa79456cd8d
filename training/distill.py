"""Distills the demo's acceleration LoRA: `python -m training.distill --out runs/demo`."""

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from punks.painter.lora import LoraStack
from training import dataset, kohya
from training.captions import NEGATIVE
from training.diffusion import Denoiser
from training.distillation import Distiller, Painter, attach
from training.settings import FULL, TINY, Settings
from training.train import Speaker

CAPTIONS = 2  # a portrait, beside a long one
SEED = 1  # of the portraits, added to the training's


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("weights/demo"), help="the pipeline and its LoRA")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the new LoRA")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a smoke test, which learns nothing")
    args = parser.parse_args(arguments)
    settings = TINY if args.tiny else FULL
    lora = kohya.epoch_file(args.demo / "lora", settings, settings.lora_epochs)
    distill(settings, args.demo, lora, args.out, torch.device(args.device))


def distill(settings: Settings, demo: Path, lora: Path, out: Path, device: torch.device) -> None:
    """Teaches the student and writes its LoRA."""
    say = Speaker()
    out.mkdir(parents=True, exist_ok=True)
    # before CUDA starts: the portraits are drawn by forks
    portraits = dataset.draw_all(
        replace(settings, seed=settings.seed + SEED, portraits=settings.student_portraits, captions=CAPTIONS)
    )
    say(f"{len(portraits)} portraits drawn")
    unet, encode = load(demo, lora, device)
    tokenizer = CLIPTokenizer.from_pretrained(demo / "tokenizer")
    tokens, nothing = (
        dataset.tokenize(tokenizer, captions, device)
        for captions in ([one.captions["punk"] for one in portraits], [[NEGATIVE, NEGATIVE]])
    )
    own = copy.deepcopy(unet)
    modules = attach(own, settings.student_rank)
    distiller = Distiller(
        settings=settings,
        teacher=Painter(
            unet=lower(unet, torch.float16), steps=settings.teacher_steps, guidance=settings.teacher_guidance
        ),
        student=Painter(unet=lower(own, torch.bfloat16), steps=settings.student_steps),
        modules=modules,
        encode=encode,
        tokens=tokens,
        nothing=nothing,
    )
    distiller.train(say.reporter("student"))
    write(out / f"punks_demo_{settings.student_steps}step.safetensors", modules, settings.student_steps)
    say("done")


def load(demo: Path, lora: Path, device: torch.device) -> tuple[UNet2DConditionModel, Callable[[Tensor], Tensor]]:
    """The U-Net with the demo's LoRA in it, float32 but rounded to the fp16 that is served; and its text encoder."""
    unet = UNet2DConditionModel.from_pretrained(demo / "unet", variant="fp16", torch_dtype=torch.float32).to(device)
    model = Denoiser(FULL, device, torch.float32)
    model.text = CLIPTextModel.from_pretrained(demo / "text_encoder", variant="fp16", dtype=torch.float32).to(device)
    LoraStack(SimpleNamespace(unet=unet, text_encoder=model.text)).fuse([(lora, 1.0)])
    for part in (unet, model.text):
        part.half().float()
    return unet, torch.no_grad()(model.encode)


def lower(unet: UNet2DConditionModel, dtype: torch.dtype) -> nn.Module:
    """In place, in the precision of the device: float32 on a CPU."""
    return unet.to(dtype if unet.device.type == "cuda" else torch.float32).to(memory_format=torch.channels_last)


def write(path: Path, modules: dict[str, kohya.LowRank], steps: int) -> None:
    """A file in kohya's format that says how it is to be used."""
    use = {"sampler": "ddim", "steps": steps, "guidance": 1.0}
    rank = max(len(low.down) for low in modules.values())
    header = {
        "ss_base_model_version": "sd_v1",
        "ss_sd_model_name": "weights/demo",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        "ss_network_args": json.dumps({"conv_dim": rank, "conv_alpha": rank}),
        "ss_output_name": path.stem,
        "ss_training_comment": f"distilled by training/distill.py; use with {json.dumps(use)}",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.prediction_type": "v",
        "modelspec.title": path.stem,
    }
    save_file(kohya.factors(modules), path, header)


if __name__ == "__main__":
    main()
