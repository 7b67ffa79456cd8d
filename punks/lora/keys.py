"""The keys of LoRA files in every format that is read, and one name for each module they mean.

That name is kohya's on diffusers' path: `lora_unet_`, `lora_te1_` or `lora_te2_`, then the path with `_` for `.`
(the only text encoder of SD 1.5 is te1). Formats: kohya-ss/sd-scripts, PEFT, diffusers since 0.14, ComfyUI; SDXL's
U-Net also by its original paths (Stability-AI/generative-models), which kohya uses.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

UNET, FIRST, SECOND = "lora_unet_", "lora_te1_", "lora_te2_"
NETWORKS = {UNET: "U-Net", FIRST: "text encoder", SECOND: "text encoder 2"}

# `X.lora_down.weight`, `X.lora_A[.ADAPTER].weight`, `X.lora.down.weight`, `X_lora.down.weight`,
# `X.lora_linear_layer.down.weight` and `X.alpha`
_KEY = re.compile(r"(.+?)(?:(?:[._]lora\.|\.lora_linear_layer\.|\.lora_)(down|up|[AB](?:\.[\w-]+)?)\.weight|\.alpha)")
_PREFIXES = {
    "lora_unet_": UNET,
    "unet.": UNET,
    "lycoris_": UNET,
    "diffusion_model.": UNET,
    "model.diffusion_model.": UNET,
    "lora_te_": FIRST,
    "lora_te1_": FIRST,
    "text_encoder.": FIRST,
    "lora_te2_": SECOND,
    "text_encoder_2.": SECOND,
}
# how the paths of a U-Net and of a text encoder start where no prefix names the network
_UNET_PATHS = (
    *("down_blocks.", "mid_block.", "up_blocks.", "input_blocks.", "middle_block.", "output_blocks."),
    *("conv_in.", "conv_out.", "time_embedding.", "add_embedding."),
)
_ENCODER_PATHS = ("text_model.", "encoder.layers.")
_ORIGINAL = {
    "input_blocks_0_0": "conv_in",
    "out_2": "conv_out",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
}
_ORIGINAL_RESNET = {
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
_LAYERS = 2  # layers_per_block of SD 1.5 and SDXL


def parse(key: str) -> tuple[str, str] | None:
    """The module as the file names it, and which tensor of it: `A`, `B` or `alpha`; None if no format has the key."""
    if not (match := _KEY.fullmatch(key)):
        return None
    module, factor = match.groups()
    return module, "alpha" if not factor else "A" if factor[0] in "dA" else "B"


def module_name(module: str) -> str:
    """The one name of a module that a file or a pipeline names in its own way; as it is if it is of another model."""
    prefix = next((prefix for prefix in _PREFIXES if module.startswith(prefix)), "")
    path = module.removeprefix(prefix).removeprefix("base_model.model.")
    start = f"{path}."
    network = _PREFIXES.get(prefix) or (
        UNET if start.startswith(_UNET_PATHS) else FIRST if start.startswith(_ENCODER_PATHS) else None
    )
    if not network:
        return module
    path = path.replace("processor.", "").replace(".", "_").removeprefix("text_model_")
    if network == UNET:
        return network + _diffusers_path(re.sub("_to_out$", "_to_out_0", path))
    return network + re.sub(r"_to_(q|k|v|out)$", r"_\1_proj", path)


def module_names(unet: Mapping[str, T], *encoders: Mapping[str, T]) -> dict[str, T]:
    """What is given for each module path of the U-Net and the text encoders, by the modules' names."""
    named = {module_name(f"unet.{path}"): value for path, value in unet.items()}
    for prefix, modules in zip(("text_encoder.", "text_encoder_2."), encoders, strict=False):
        named |= {
            module_name(prefix + path): value
            for path, value in modules.items()
            if path.removeprefix("text_model.").startswith(("encoder.", "text_projection"))
        }
    return named


def network(name: str) -> str:
    """The network that a module belongs to, in words."""
    return next((words for prefix, words in NETWORKS.items() if name.startswith(prefix)), "another network")


def _diffusers_path(path: str) -> str:
    """diffusers' path of a U-Net module: input_blocks_4_1_proj_in is down_blocks_1_attentions_0_proj_in."""
    match = re.fullmatch(r"(input|middle|output)_blocks?_(\d+)(?:_(\d+))?_(.+)", path)
    if path in _ORIGINAL or not match:
        return _ORIGINAL.get(path, path)
    side, index, part, rest = match.groups()
    rest = _ORIGINAL_RESNET.get(rest, rest)
    if side == "middle":
        return f"mid_block_attentions_0_{rest}" if index == "1" else f"mid_block_resnets_{int(index) // 2}_{rest}"
    way = "down" if side == "input" else "up"
    block, layer = divmod(int(index) - (side == "input"), _LAYERS + 1)
    if rest in ("op", "conv"):
        return f"{way}_blocks_{block}_{way}samplers_0_conv"
    return f"{way}_blocks_{block}_{'attentions' if part == '1' else 'resnets'}_{layer}_{rest}"
