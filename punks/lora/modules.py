"""The modules of a base that a LoRA can change, by kohya's names: from its files, or from the published architecture.

kohya calls a module by its path with `_` for `.`, SDXL's U-Net by the original paths (Stability-AI/generative-models).
Imports no torch.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from punks.errors import PunkError
from punks.files import weights
from punks.lora.file import read_header
from punks.variants import Variant

Shape = tuple[int, ...]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A U-Net of SD's kind and its CLIP encoders. `depths`: transformer layers of each level, 0 where it has none."""

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    middle: int
    cross_attention: int
    linear_projection: bool
    encoders: dict[str, tuple[int, int]]
    added: int = 0


_LAYERS = 2
_SGM_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
# config.json of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0; encoders: width, layers
_ARCHITECTURES = {
    "sd15": Architecture(
        channels=(320, 640, 1280, 1280),
        depths=(1, 1, 1, 0),
        middle=1,
        cross_attention=768,
        linear_projection=False,
        encoders={"lora_te_": (768, 12)},
    ),
    "sdxl": Architecture(
        channels=(320, 640, 1280),
        depths=(0, 2, 10),
        middle=10,
        cross_attention=2048,
        linear_projection=True,
        encoders={"lora_te1_": (768, 12), "lora_te2_": (1280, 32)},
        added=2816,
    ),
}


def module_shapes(variant: Variant) -> dict[str, Shape] | None:
    """Weight shape by kohya's name, of the variant's base as it lies on disk, else as published; None if neither."""
    folder = weights.base_folder(variant)
    if (folder / "model_index.json").is_file():
        with suppress(OSError, ValueError, KeyError, PunkError):  # half a download says nothing about the LoRA
            return _from_files(folder)
    if variant.base.name not in _ARCHITECTURES:
        return None
    return _published(_ARCHITECTURES[variant.base.name])


def kohya_names(
    unet: Mapping[str, T], encoders: Mapping[str, Mapping[str, T]], layers_per_block: int
) -> Iterator[tuple[str, T]]:
    """kohya's name for every module path of the U-Net and of the encoders, which come by kohya's prefix."""
    for path, value in unet.items():
        yield "lora_unet_" + path.replace(".", "_"), value
        if "lora_te2_" in encoders and (sgm := _sgm_path(path, layers_per_block)):
            yield "lora_unet_" + sgm.replace(".", "_"), value
    for prefix, modules in encoders.items():
        for path, value in modules.items():
            # transformers 5.6 dropped the level `text_model`, which kohya's names keep
            path = path.removeprefix("text_model.")
            if path.startswith("encoder."):
                yield f"{prefix}text_model_{path.replace('.', '_')}", value


def _sgm_path(path: str, layers: int) -> str | None:
    """The original name of a module inside a block: down_blocks.1.attentions.0 is input_blocks.4.1 with two layers."""
    match = re.match(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(attentions|resnets|\w+samplers)\.(\d+)\.(.*)", path)
    if not match:
        return None
    side, block, part, layer, rest = match.groups()
    if part.endswith("samplers"):
        # an upsampler closes a block that has attention: two modules before it
        end = (int(block) + 1) * (layers + 1)
        return f"input_blocks.{end}.0.op" if side == "down" else f"output_blocks.{end - 1}.2.conv"
    if part == "resnets":
        rest = _SGM_RESNET[rest]
    if side is None:
        return f"middle_block.{2 * int(layer) + (part == 'attentions')}.{rest}"
    index = int(block) * (layers + 1) + int(layer)
    at = f"input_blocks.{index + 1}" if side == "down" else f"output_blocks.{index}"
    return f"{at}.{int(part == 'attentions')}.{rest}"


def _from_files(folder: Path) -> dict[str, Shape]:
    layers = json.loads((folder / "unet/config.json").read_text(encoding="utf-8"))["layers_per_block"]
    found = {"lora_te_": "text_encoder"}
    if "text_encoder_2" in weights.components(folder):
        found = {"lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2"}
    encoders = {prefix: _header(folder / part, "model") for prefix, part in found.items()}
    return dict(kohya_names(_header(folder / "unet", "diffusion_pytorch_model"), encoders, layers))


def _header(folder: Path, stem: str) -> dict[str, Shape]:
    plain = folder / f"{stem}.safetensors"
    shapes = read_header(plain if plain.is_file() else plain.with_stem(f"{stem}.fp16")).shapes
    return {key.removesuffix(".weight"): s for key, s in shapes.items() if key.endswith(".weight") and len(s) > 1}


def _published(base: Architecture) -> dict[str, Shape]:
    encoders = {prefix: dict(_clip(*size)) for prefix, size in base.encoders.items()}
    return dict(kohya_names(dict(_unet(base)), encoders, _LAYERS))


def _clip(width: int, layers: int) -> Iterator[tuple[str, Shape]]:
    for layer in range(layers):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"encoder.layers.{layer}.self_attn.{name}", (width, width)
        yield f"encoder.layers.{layer}.mlp.fc1", (4 * width, width)
        yield f"encoder.layers.{layer}.mlp.fc2", (width, 4 * width)


def _unet(base: Architecture) -> Iterator[tuple[str, Shape]]:
    first, last, time = base.channels[0], base.channels[-1], 4 * base.channels[0]
    yield "conv_in", (first, 4, 3, 3)
    yield "conv_out", (4, first, 3, 3)
    for name, width in (("time_embedding", first), ("add_embedding", base.added)):
        if width:
            yield f"{name}.linear_1", (time, width)
            yield f"{name}.linear_2", (time, time)
    rows = len(base.channels)
    width, skips = first, [first]
    for level, (channels, depth) in enumerate(zip(base.channels, base.depths, strict=True)):
        for layer in range(_LAYERS):
            yield from _resnet(f"down_blocks.{level}.resnets.{layer}", width, channels, time)
            yield from _transformer(f"down_blocks.{level}.attentions.{layer}", channels, depth, base)
            width = channels
            skips.append(width)
        if level < rows - 1:
            yield f"down_blocks.{level}.downsamplers.0.conv", (channels, channels, 3, 3)
            skips.append(width)
    for layer in range(2):
        yield from _resnet(f"mid_block.resnets.{layer}", last, last, time)
    yield from _transformer("mid_block.attentions.0", last, base.middle, base)
    for level, (channels, depth) in enumerate(zip(base.channels[::-1], base.depths[::-1], strict=True)):
        for layer in range(_LAYERS + 1):
            yield from _resnet(f"up_blocks.{level}.resnets.{layer}", width + skips.pop(), channels, time)
            yield from _transformer(f"up_blocks.{level}.attentions.{layer}", channels, depth, base)
            width = channels
        if level < rows - 1:
            yield f"up_blocks.{level}.upsamplers.0.conv", (channels, channels, 3, 3)


def _resnet(path: str, before: int, after: int, time: int) -> Iterator[tuple[str, Shape]]:
    yield f"{path}.conv1", (after, before, 3, 3)
    yield f"{path}.time_emb_proj", (after, time)
    yield f"{path}.conv2", (after, after, 3, 3)
    if before != after:
        yield f"{path}.conv_shortcut", (after, before, 1, 1)


def _transformer(path: str, width: int, depth: int, base: Architecture) -> Iterator[tuple[str, Shape]]:
    if not depth:
        return
    for name in ("proj_in", "proj_out"):
        yield f"{path}.{name}", (width, width) if base.linear_projection else (width, width, 1, 1)
    for layer in range(depth):
        block = f"{path}.transformer_blocks.{layer}"
        for attention, source in (("attn1", width), ("attn2", base.cross_attention)):
            for name, inputs in (("to_q", width), ("to_k", source), ("to_v", source), ("to_out.0", width)):
                yield f"{block}.{attention}.{name}", (width, inputs)
        yield f"{block}.ff.net.0.proj", (8 * width, width)
        yield f"{block}.ff.net.2", (width, 4 * width)
