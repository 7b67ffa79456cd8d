"""The parts of the pipeline in the SD1.5 layout, small; and how they are saved."""

import gzip
import json
import urllib.request
from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.settings import Settings

VOCABULARY = 49_408
BPE = "https://github.com/openai/CLIP/raw/main/clip/bpe_simple_vocab_16e6.txt.gz"


def build_vae(settings: Settings) -> AutoencoderKL:
    """RGB (-1..1) to 4 latent channels at an eighth of the side, without attention."""
    return AutoencoderKL(
        block_out_channels=settings.vae_channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=512,
    )


def build_unet(settings: Settings) -> UNet2DConditionModel:
    """SD1.5's blocks on three levels; on the largest one attention looks at the words only."""
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=settings.unet_channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        only_cross_attention=(True, False, False),
        layers_per_block=1,
        cross_attention_dim=settings.text_width,
        attention_head_dim=4,  # diffusers' name for the number of heads, as in SD1.5
        norm_num_groups=16,
    )


def build_text_encoder(settings: Settings) -> CLIPTextModel:
    """CLIP's text model with its whole vocabulary, and little else of it."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=settings.text_width,
            intermediate_size=4 * settings.text_width,
            num_hidden_layers=settings.text_layers,
            num_attention_heads=4,
            projection_dim=settings.text_width,
            max_position_embeddings=77,
            bos_token_id=VOCABULARY - 2,
            eos_token_id=VOCABULARY - 1,
            pad_token_id=VOCABULARY - 1,
        )
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction down to zero SNR: from pure noise only the words can tell the colors (arXiv:2305.08891)."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def write_tokenizer(folder: Path, bpe: Path | None = None) -> CLIPTokenizer:
    """CLIP's tokenizer files from its published merges; `bpe` is that file, fetched where it is not given."""
    if not (folder / "merges.txt").exists():
        raw = bpe.read_bytes() if bpe else urllib.request.urlopen(BPE).read()
        lines = gzip.decompress(raw).decode().split("\n")
        merges = lines[1 : VOCABULARY - 512 - 2 + 1]
        letters = list(_byte_letters())
        words = [*letters, *(letter + "</w>" for letter in letters), *(m.replace(" ", "") for m in merges)]
        words += ["<|startoftext|>", "<|endoftext|>"]
        folder.mkdir(parents=True, exist_ok=True)
        vocabulary = {word: number for number, word in enumerate(words)}
        text = json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":"))
        (folder / "vocab.json").write_text(text, encoding="utf-8")
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
        marks = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
        config = marks | {
            "tokenizer_class": "CLIPTokenizer",
            "pad_token": "<|endoftext|>",
            "model_max_length": 77,
            "do_lower_case": True,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
        special = marks | {"pad_token": "<|endoftext|>"}
        (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    return CLIPTokenizer.from_pretrained(folder)


def save_pipeline(
    folder: Path, tokenizer: CLIPTokenizer, text_encoder: nn.Module, unet: nn.Module, vae: nn.Module
) -> None:
    """The pipeline as the SD1.5 repository lays out its fp16 files."""
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for part in ("vae", "text_encoder", "unet"):
        getattr(pipeline, part).save_pretrained(folder / part, variant="fp16", safe_serialization=True)
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    pipeline.save_config(folder)


def _byte_letters() -> dict[str, int]:
    """The printable letter that stands for each byte in CLIP's files, in their order (openai/CLIP)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}
