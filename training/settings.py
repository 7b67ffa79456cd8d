"""Every hyper-parameter of the demo model, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Sizes, seeds and lengths of the three stages: VAE, base (text encoder and U-Net), LoRA."""

    seed: int = 24
    portraits: int = 48_000
    crisp: int = 24_000  # of the portraits, how many are also rendered as pixel art: for the LoRA, and as mosaics
    captions: int = 3  # a portrait
    long: float = 0.1  # of the captions have more than 75 tokens and are encoded in kohya's 227-token form

    vae_channels: tuple[int, ...] = (16, 32, 64, 64)
    vae_steps: int = 6_000
    vae_batch: int = 64
    vae_crop: int = 256
    vae_lr: float = 2e-3
    vae_noise: float = 0.25  # at most, in standard deviations of the latents: the decoder forgives the U-Net's errors

    unet_channels: tuple[int, ...] = (64, 96, 112)
    text_width: int = 64
    text_layers: int = 3

    base_steps: int = 4_000
    base_batch: int = 256
    base_lr: float = 1e-3
    text_lr_factor: float = 2.0
    mosaics: float = 0.2  # of the base's pictures are pixel art, under captions that call it a mosaic
    high_noise: float = 0.15  # of the timesteps are drawn from 900-999, where only the words can tell
    unconditional: float = 0.1  # of the captions are replaced by the empty one or by the negative prompt
    ema: float = 0.998
    warmup: int = 100

    rank: int = 32
    alpha: int = 16
    lora_epochs: int = 10
    lora_steps: int = 1_500
    lora_lr: float = 2e-3
    lora_text_lr_factor: float = 0.5
    kept_epochs: tuple[int, ...] = (1, 4, 7, 10)

    checkpoint_seconds: float = 60.0

    @property
    def lora_epoch_steps(self) -> int:
        return self.lora_steps // self.lora_epochs


FULL = Settings()
TINY = Settings(
    portraits=16,
    crisp=8,
    captions=2,
    vae_channels=(8, 8, 8, 8),
    vae_steps=3,
    vae_batch=2,
    vae_crop=64,
    unet_channels=(16, 16, 16),
    text_width=16,
    text_layers=1,
    base_steps=4,
    base_batch=4,
    rank=4,
    alpha=2,
    lora_epochs=2,
    lora_steps=4,
    warmup=1,
    kept_epochs=(1, 2),
    checkpoint_seconds=0.0,
)
