"""Makes the demo model from nothing: `python -m training.train --out weights/demo`.

Three stages, each with a result and a checkpoint in the work folder: run it again after an interruption and it goes on.
With `--start weights/demo` it trains no more than the base's last leg and the LoRA.
"""

import argparse
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextModel

from training import dataset, models
from training.autoencoder import psnr, train_vae
from training.diffusion import Denoiser, train_base, train_lora
from training.settings import FULL, TINY, Settings


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the pipeline and its LoRA")
    parser.add_argument("--work", type=Path, default=Path("runs/demo"), help="results of stages and checkpoints")
    parser.add_argument("--start", type=Path, help="a pipeline whose VAE, U-Net and text encoder are trained further")
    parser.add_argument("--bpe", type=Path, help="CLIP's bpe_simple_vocab_16e6.txt.gz, else it is downloaded")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a smoke test of seconds, which draws nothing")
    args = parser.parse_args(arguments)
    settings = TINY if args.tiny else FULL
    if args.start:
        begin(settings, args.start, args.work)
    train(settings, args.out, args.work, torch.device(args.device), args.bpe)


def begin(settings: Settings, start: Path, work: Path) -> None:
    """Puts a pipeline's parts where `train` looks for the results of all stages before the base's last leg."""
    work.mkdir(parents=True, exist_ok=True)
    parts = {"variant": "fp16", "torch_dtype": torch.float32}
    keep(work / "vae.safetensors", vae=AutoencoderKL.from_pretrained(start / "vae", **parts))
    unet = UNet2DConditionModel.from_pretrained(start / "unet", **parts)
    text = CLIPTextModel.from_pretrained(start / "text_encoder", variant="fp16", dtype=torch.float32)
    keep(work / f"base-{len(settings.base) - 2}.safetensors", unet=unet, text=text)


def train(settings: Settings, out: Path, work: Path, device: torch.device, bpe: Path | None = None) -> None:
    """All stages; those whose result is in `work` are read, not repeated."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    tokenizer = models.write_tokenizer(out / "tokenizer", bpe)
    say = Speaker()
    portraits = dataset.draw_all(settings)
    say(f"{len(portraits)} portraits drawn")
    vae = models.build_vae(settings).to(device)
    if not restore(work / "vae.safetensors", vae=vae):
        vae = train_vae(settings, portraits, device, dtype, work / "vae.ckpt", say.reporter("vae"))
        keep(work / "vae.safetensors", vae=vae)
    for kind in ("soft", "punk"):
        say(
            "vae, {}: {:.1f} dB, with noise {:.1f} dB".format(
                kind, *psnr(vae, portraits[: settings.vae.batch // 4], kind, device)
            )
        )
    data = dataset.build(settings, portraits, vae.to(dtype), tokenizer, device)
    say("latents and tokens ready")
    model = Denoiser(settings, device, dtype, compiled=device.type == "cuda")
    legs = range(len(settings.base))
    done = [leg for leg in legs if restore(work / f"base-{leg}.safetensors", unet=model.unet, text=model.text)]
    for leg in legs[max(done, default=-1) + 1 :]:
        say_base = say.reporter(f"base, leg {leg}", lambda: model.gauge(data, "soft"))
        train_base(model, data, leg, work / f"base-{leg}.ckpt", say_base)
        keep(work / f"base-{leg}.safetensors", unet=model.unet, text=model.text)
    # fp16 first: the LoRA is trained on the weights that are published
    for part in (model.unet, model.text):
        part.half().to(dtype)
    train_lora(model, data, out / "lora", work / "lora.ckpt", say.reporter("lora", lambda: model.gauge(data, "punk")))
    publish(settings, out, work)
    say("done")


def publish(settings: Settings, out: Path, work: Path) -> None:
    """The stages' results as a pipeline in fp16."""
    vae, unet, text = models.build_vae(settings), models.build_unet(settings), models.build_text_encoder(settings)
    restore(work / "vae.safetensors", vae=vae)
    restore(work / f"base-{len(settings.base) - 1}.safetensors", unet=unet, text=text)
    models.save_pipeline(out, models.write_tokenizer(out / "tokenizer"), text, unet, vae)


def keep(path: Path, **parts: nn.Module) -> None:
    """Several modules in one file, float32."""
    tensors = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    save_file({key: value.float().cpu().contiguous() for key, value in tensors.items()}, path)


def restore(path: Path, **parts: nn.Module) -> bool:
    """Reads what `keep` wrote; False if it has not yet."""
    if not path.exists():
        return False
    tensors = load_file(path)
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        part.load_state_dict(own)
    return True


class Speaker:
    """Prints what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._start:7.1f} s  {text}", flush=True)

    def reporter(self, stage: str, gauge=None):
        def report(step: int, loss: float) -> None:
            told = ""
            if gauge and step % 200 == 0:
                told = " mean color from noise: {:.3f} told, {:.3f} mistold".format(*gauge())
            self(f"{stage} {step}: loss {loss:.4f}{told}")

        return report


if __name__ == "__main__":
    main()
