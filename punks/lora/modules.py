"""The modules of a base that a LoRA can change, from its files or the published architecture. Imports no torch."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from punks.errors import LoraError, PunkError
from punks.files import weights
from punks.lora.file import LoraFile, check, read_header
from punks.lora.keys import module_names
from punks.variants import VARIANTS, Variant

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A U-Net of SD's kind and its CLIP encoders (width, layers).

    `depths`: transformer layers of each level; `added`: the width of SDXL's added embeddings.
    """

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    cross_attention: int
    linear_projection: bool
    encoders: tuple[tuple[int, int], ...]
    added: int = 0


_LAYERS = 2
# config.json of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0
_ARCHITECTURES = {
    "sd15": Architecture(
        channels=(320, 640, 1280, 1280),
        depths=(1, 1, 1, 0),
        cross_attention=768,
        linear_projection=False,
        encoders=((768, 12),),
    ),
    "sdxl": Architecture(
        channels=(320, 640, 1280),
        depths=(0, 2, 10),
        cross_attention=2048,
        linear_projection=True,
        encoders=((768, 12), (1280, 32)),
        added=2816,
    ),
}


def module_shapes(variant: Variant) -> dict[str, Shape] | None:
    """Weight shape by module name, of the variant's base as it lies on disk, else as published; None if neither."""
    folder = weights.base_folder(variant)
    if (folder / "model_index.json").is_file():
        with suppress(OSError, ValueError, PunkError):  # half a download says nothing about the LoRA
            encoders = [part for part in ("text_encoder", "text_encoder_2") if part in weights.components(folder)]
            unet = _header(folder / "unet", "diffusion_pytorch_model")
            return module_names(unet, *(_header(folder / part, "model") for part in encoders))
    if base := _ARCHITECTURES.get(variant.base.name):
        encoders = [dict(_clip(*size, projection=i > 0)) for i, size in enumerate(base.encoders)]
        return module_names(dict(_unet(base)), *encoders)
    return None


def base_of(file: LoraFile, row: Variant | None = None) -> tuple[str | None, str | None]:
    """The name of the base that takes the file (the row's, or any), or why the one that fits it best does not."""
    rows = [row] if row else list({each.base.name: each for each in reversed(VARIANTS.values())}.values())[::-1]
    reasons = [(-1, f"the base {rows[0].base.name} is not here, so no module can be checked")]
    for each in rows:
        if shapes := module_shapes(each):
            try:
                check(file, shapes)
            except LoraError as error:
                fits = [file.shapes[down][1:2] == shapes.get(name, ())[1:2] for name, (down, _) in file.factors.items()]
                reasons.append((sum(fits), str(error).removeprefix(f"{file.path}: ")))
            else:
                return each.base.name, None
    return None, max(reasons, key=lambda reason: reason[0])[1]


def _header(folder: Path, stem: str) -> dict[str, Shape]:
    plain = folder / f"{stem}.safetensors"
    shapes = read_header(plain if plain.is_file() else plain.with_stem(f"{stem}.fp16")).shapes
    return {key.removesuffix(".weight"): s for key, s in shapes.items() if key.endswith(".weight") and len(s) > 1}


def _clip(width: int, layers: int, *, projection: bool) -> Iterator[tuple[str, Shape]]:
    for layer in range(layers):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"encoder.layers.{layer}.self_attn.{name}", (width, width)
        yield f"encoder.layers.{layer}.mlp.fc1", (4 * width, width)
        yield f"encoder.layers.{layer}.mlp.fc2", (width, 4 * width)
    if projection:
        yield "text_projection", (width, width)


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
    yield from _transformer("mid_block.attentions.0", last, max(base.depths), base)
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
