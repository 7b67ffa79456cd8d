"""What is recorded of the training runs: kohya's parameters of each, and what the analysis says of them.

A parameter that is not in a row is unknown; None and False are kohya's words for "not used". Source: the owner's
analysis of three runs, which found eleven changes beside the base between the one that works and sdxl-current.
"""

from collections.abc import Mapping, Sequence

Value = str | int | float | bool | None

# in the order of the analysis: sd15-perfect, sdxl-current
ELEVEN: Mapping[str, tuple[Value, Value]] = {
    "network_dim": (32, 128),
    "network_alpha": (16, 64),
    "resolution": ("512x512", "1024x1024"),
    "shuffle_caption": (True, False),
    "keep_tokens": (2, 0),
    "multires_noise_iterations": (6, None),
    "multires_noise_discount": (0.3, None),
    "adaptive_noise_scale": (0.00357, None),
    "max_token_length": (225, None),
    "train_batch_size": (4, 2),
    "mixed_precision": ("fp16", "bf16"),
}

_SD15: dict[str, Value] = {"base": "SD 1.5", "base_model_version": "sd_v1"}
_SDXL: dict[str, Value] = {"base": "SDXL", "base_model_version": "sdxl_base_v1-0"}
_PERFECT: dict[str, Value] = {
    **_SD15,
    **{name: works for name, (works, _) in ELEVEN.items()},
    "num_epochs": 10,
    "learning_rate": 1e-4,
    "unet_lr": 1e-4,
    "text_encoder_lr": 5e-5,
    "lr_scheduler": "cosine_with_restarts",
    "lr_scheduler_num_cycles": 3,
    "optimizer": "AdamW8bit",
    "min_snr_gamma": 5,
    "noise_offset": 0.1,
    "seed": 42,
    "caption_extension": ".txt",
    "bucket_no_upscale": True,
    "gradient_checkpointing": True,
    "networks": "U-Net and text encoder",
    "network_module": "networks.lora",
    "save_precision": "fp16",  # 36.0 MiB at rank 32 are two bytes a number
}

# by variant, the parameters of each run by the name of kohya's option; sdxl-fixed is planned
RUNS: Mapping[str, Mapping[str, Value]] = {
    "sd15-perfect": _PERFECT,
    "sd15-bespoke-baby": {**_SD15, "network_dim": 64, "save_precision": "fp16"},
    "sdxl-current": {
        **_PERFECT,
        **_SDXL,
        **{name: fails for name, (_, fails) in ELEVEN.items()},
        "save_precision": "float",  # 1.70 GiB at rank 128 are four bytes a number
    },
    "sdxl-fixed": {
        **_PERFECT,
        **_SDXL,
        "resolution": "1024x1024",
        "train_batch_size": 2,
        "mixed_precision": "bf16",
    },
}


def said(name: str) -> str:
    """What the analysis says of a parameter; empty where it says nothing."""
    if name == "base":
        return "changed beside the eleven"
    if name not in ELEVEN:
        return ""
    works, fails = (text(value) for value in ELEVEN[name])
    more = "; 64 in sd15-bespoke-baby, which fails" if name == "network_dim" else ""
    return f"one of the eleven: {works} in sd15-perfect, which works; {fails} in sdxl-current, which fails{more}"


def text(value: Value) -> str:
    """A value for people: None and False are `none` and `no`."""
    return {None: "none", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)


def several(found: Sequence[Value]) -> Value:
    """The value that all have; else the different ones, of which a line holds four."""
    different = list(dict.fromkeys(found))
    if len(different) == 1:
        return different[0]
    more = len(different) - 4
    return "/".join(text(each) for each in different[:4]) + (f" and {more} more" if more > 0 else "")
