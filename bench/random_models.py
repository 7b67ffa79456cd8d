"""Random pipelines and kohya LoRA files, tiny for the tests and of full size for the benchmarks.

They have the exact structure of SD 1.5 and SDXL 1.0 (block types, layer counts, every module name); only the tiny
ones are narrow. Speed does not depend on the values of weights, correctness of loading and fusing neither.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

Family = Literal["sd15", "sdxl"]

# most of these are one token each; every other word is spelled in letters
WORDS = """pixel art , 24x24 portrait of bespoke punk lady lad red blue green brown black purple teal orange hair eyes
light dark skin solid background wearing golden gold earrings crown sharp edges hard color borders retro style blurry
smooth gradients antialiased photography realistic 3d render"""

# where the original SDXL U-Net (kohya's names) has the attention blocks of the diffusers one
SGM_BLOCKS = {
    "down_blocks.1.attentions.0": "input_blocks_4_1",
    "down_blocks.1.attentions.1": "input_blocks_5_1",
    "down_blocks.2.attentions.0": "input_blocks_7_1",
    "down_blocks.2.attentions.1": "input_blocks_8_1",
    "mid_block.attentions.0": "middle_block_1",
    "up_blocks.0.attentions.0": "output_blocks_0_1",
    "up_blocks.0.attentions.1": "output_blocks_1_1",
    "up_blocks.0.attentions.2": "output_blocks_2_1",
    "up_blocks.1.attentions.0": "output_blocks_3_1",
    "up_blocks.1.attentions.1": "output_blocks_4_1",
    "up_blocks.1.attentions.2": "output_blocks_5_1",
}


def build(folder: Path, family: Family, *, full: bool = False, device: str = "cpu", seed: int = 0) -> None:
    """Saves a random pipeline in fp16, laid out and named as the base's repository is."""
    torch.manual_seed(seed)
    with torch.device(device):
        pipeline = _sd15(folder, full) if family == "sd15" else _sdxl(folder, full)
    pipeline.to(torch.float16).save_pretrained(folder, variant="fp16")
    if family == "sdxl":  # the VAE comes from a repository that names its half precision file plainly
        (folder / "vae/diffusion_pytorch_model.fp16.safetensors").rename(
            folder / "vae/diffusion_pytorch_model.safetensors"
        )


def kohya_names(pipeline: Any) -> dict[str, torch.Tensor]:
    """kohya's name and the weight of each module that networks.lora trains in the U-Net and the text encoders."""
    xl = hasattr(pipeline, "text_encoder_2")
    names: dict[str, torch.Tensor] = {}
    for path, module in pipeline.unet.named_modules():
        if type(module).__name__ != "Transformer2DModel":
            continue
        block = SGM_BLOCKS[path] if xl else path.replace(".", "_")
        for inner, layer in module.named_modules():
            if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
                names[f"lora_unet_{block}_{inner.replace('.', '_')}"] = layer.weight
    encoders = {"te1": pipeline.text_encoder, "te2": pipeline.text_encoder_2} if xl else {"te": pipeline.text_encoder}
    for name, encoder in encoders.items():
        for path, module in encoder.named_modules():
            if type(module).__name__ not in ("CLIPAttention", "CLIPMLP"):
                continue
            path = path.removeprefix("text_model.").replace(".", "_")
            for inner, layer in module.named_children():
                if isinstance(layer, torch.nn.Linear):
                    names[f"lora_{name}_text_model_{path}_{inner}"] = layer.weight
    return names


def write_lora(
    path: Path, pipeline: Any, *, rank: int = 32, alpha: float = 16, strength: float = 0.3, seed: int = 0
) -> None:
    """A kohya LoRA in fp16 with normal factors and a header; alpha None leaves alpha and header out."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, weight in kohya_names(pipeline).items():
        out, rows = weight.shape[0], weight.shape[1]
        kernel = weight.shape[2:]
        down = torch.randn(rank, rows, *kernel, generator=generator) * (strength / rows**0.5)
        up = torch.randn(out, rank, *(1 for _ in kernel), generator=generator) * (strength / rank**0.5)
        tensors[f"{name}.lora_down.weight"] = down.half()
        tensors[f"{name}.lora_up.weight"] = up.half()
        tensors[f"{name}.alpha"] = torch.tensor(float(alpha)).half()
    header = {"ss_network_module": "networks.lora", "ss_network_dim": str(rank), "ss_network_alpha": str(alpha)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=header)


def _sd15(folder: Path, full: bool) -> StableDiffusionPipeline:
    width = 768 if full else 16
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280) if full else (8, 8, 16, 16),
        norm_num_groups=32 if full else 4,
        attention_head_dim=8 if full else 2,
        cross_attention_dim=width,
    )
    with torch.device("cpu"):
        scheduler = PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        )
    return StableDiffusionPipeline(
        vae=_vae(full, 0.18215),
        text_encoder=CLIPTextModel(_clip(width, 12, full)),
        tokenizer=_tokenizer(folder / "tokenizer", "<|endoftext|>"),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl(folder: Path, full: bool) -> StableDiffusionXLPipeline:
    first, second = (768, 1280) if full else (16, 24)
    time = 256 if full else 8
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280) if full else (8, 16, 16),
        norm_num_groups=32 if full else 4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10) if full else (1, 1, 2),
        attention_head_dim=(5, 10, 20) if full else (2, 2, 2),
        cross_attention_dim=first + second,
        addition_embed_type="text_time",
        addition_time_embed_dim=time,
        projection_class_embeddings_input_dim=6 * time + second,
        use_linear_projection=True,
    )
    with torch.device("cpu"):
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="leading",
        )
    return StableDiffusionXLPipeline(
        vae=_vae(full, 0.13025),
        text_encoder=CLIPTextModel(_clip(first, 12 if full else 3, full)),
        text_encoder_2=CLIPTextModelWithProjection(_clip(second, 32 if full else 4, full, act="gelu")),
        tokenizer=_tokenizer(folder / "tokenizer", "<|endoftext|>"),
        tokenizer_2=_tokenizer(folder / "tokenizer_2", "!"),
        unet=unet,
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _vae(full: bool, scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512) if full else (4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2 if full else 1,
        norm_num_groups=32 if full else 2,
        latent_channels=4,
        scaling_factor=scaling_factor,
        force_upcast=False,
    )


def _clip(width: int, layers: int, full: bool, act: str = "quick_gelu") -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=49408 if full else 1024,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64 if full else 2,
        hidden_act=act,
        bos_token_id=0,
        eos_token_id=2,
    )


def _tokenizer(folder: Path, pad: str) -> CLIPTokenizer:
    """A CLIP tokenizer that knows single characters and WORDS, saved and read back as the real ones are."""
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = letters + [f"{c}</w>" for c in letters]
    merges: list[str] = []
    for word in WORDS.split():
        parts = [*word[:-1], f"{word[-1]}</w>"]
        for i in range(1, len(parts)):
            left, right = "".join(parts[:i]), parts[i]
            if left + right not in vocabulary:
                vocabulary.append(left + right)
                merges.append(f"{left} {right}")
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77, pad_token=pad)
