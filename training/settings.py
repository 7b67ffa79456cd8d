"""Every hyper-parameter of the demo model, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """A stretch of training with one optimizer: steps, pictures a step, peak rate of its cosine."""

    steps: int
    batch: int
    rate: float
    cosine: int | None = None  # the cosine's length where the leg ends before it does
    mosaics: float = 0.0  # of the base's pictures are pixel art, under captions that call it a mosaic


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Sizes, seeds and lengths of the stages: VAE, base (text encoder and U-Net), LoRA, acceleration LoRA."""

    seed: int = 24
    portraits: int = 48_000
    crisp: int = 24_000  # of the portraits are also rendered as pixel art: for the LoRA, and as mosaics
    patterned: float = 0.5  # of their backgrounds: more than are asked for, since patterns are the slowest to learn
    captions: int = 3  # a portrait, beside a long one
    long: float = 0.1  # of the steps read long captions, in kohya's 227-token form

    vae_channels: tuple[int, ...] = (16, 32, 64, 64)
    vae: Leg = Leg(steps=1615, batch=64, rate=2e-3)
    vae_crop: int = 256
    vae_noise: float = 0.25  # at most, in standard deviations of the latents: the decoder forgives the U-Net's errors

    unet_channels: tuple[int, ...] = (64, 96, 112)
    text_width: int = 64
    text_layers: int = 3

    # the second leg is where the U-Net learns edges that are as sharp as cells, the third patterned backgrounds
    base: tuple[Leg, ...] = (
        Leg(steps=1116, cosine=2453, batch=256, rate=1e-3, mosaics=0.2),
        Leg(steps=3283, batch=128, rate=8e-4, mosaics=0.5),
        Leg(steps=2159, batch=128, rate=6e-4, mosaics=0.5),
        Leg(steps=225, batch=96, rate=5e-4, mosaics=0.5),
    )
    text_rate: float = 2.0  # of the text encoder, times the U-Net's
    high_noise: float = 0.15  # of the timesteps are drawn from 900-999, where only the words can tell
    detail: float = 5.0  # weight of the loss around the mouth, whose few cells tell lips, smiles and stubble apart
    unconditional: float = 0.1  # of the captions are replaced by the empty one or by the negative prompt
    ema: float = 0.998
    warmup: int = 100

    rank: int = 32
    alpha: int = 16
    # a rate that grows for most of the way: at a usual one the first epoch knows all that there is to learn
    lora: Leg = Leg(steps=700, batch=64, rate=1.8e-4)
    lora_warmup: int = 500
    lora_epochs: int = 10
    lora_text_rate: float = 0.5
    lora_ema: float = 0.98
    kept_epochs: tuple[int, ...] = (1, 4, 7, 10)

    # the acceleration LoRA: a student of few steps learns from the guided model
    student_steps: int = 2
    student: Leg = Leg(steps=96, cosine=144, batch=128, rate=2e-3)
    student_rank: int = 16
    student_ema: float = 0.98
    student_portraits: int = 8_000  # whose captions it reads
    teacher_steps: int = 8
    teacher_guidance: float = 2.5
    fresh: int = 256  # examples that the teacher paints before every so many steps
    fresh_every: int = 6
    kept: int = 4096  # the newest examples

    checkpoint_seconds: float = 60.0


FULL = Settings()
TINY = Settings(
    portraits=4,
    crisp=2,
    captions=2,
    vae_channels=(8, 8, 8, 8),
    vae=Leg(steps=2, batch=4, rate=1e-3),
    vae_crop=32,
    unet_channels=(16, 16, 16),
    text_width=16,
    text_layers=1,
    base=(Leg(steps=2, batch=2, rate=1e-3), Leg(steps=2, batch=2, rate=1e-3, mosaics=0.5)),
    rank=4,
    alpha=2,
    lora=Leg(steps=4, batch=2, rate=1e-3),
    lora_warmup=1,
    lora_epochs=2,
    warmup=1,
    kept_epochs=(1, 2),
    student=Leg(steps=6, batch=2, rate=1e-3),
    student_rank=4,
    student_portraits=4,
    teacher_steps=4,
    fresh=2,
    fresh_every=2,
    kept=4,
    checkpoint_seconds=0.0,
)
