"""Where weight files lie, and which of them are missing. Imports no torch and touches no network.

A base is a folder in the diffusers layout, `weights/<base>/`; its LoRAs lie in `weights/<base>/lora/`.
"""

import json
import os
from pathlib import Path
from typing import Any

from punks.errors import WeightsError
from punks.variants import Variant

_CHECKOUT = Path(__file__).resolve().parent.parent.parent / "weights"


def folder(variant: Variant | None = None) -> Path:
    """The folder of all weights: `PUNKS_WEIGHTS`, else `weights/` of the checkout, where embedded models always are."""
    moved = os.environ.get("PUNKS_WEIGHTS")
    if not moved or (variant and variant.embedded):
        return _CHECKOUT
    return Path(moved)


def base_folder(variant: Variant) -> Path:
    """The folder of the variant's base model."""
    return folder(variant) / variant.base.name


def lora_path(variant: Variant, epoch: int) -> Path:
    """The LoRA file of one epoch."""
    return base_folder(variant) / "lora" / variant.lora_file(epoch)


def epochs_present(variant: Variant) -> list[int]:
    """The epochs whose LoRA file is there."""
    return [epoch for epoch in range(1, variant.epochs + 1) if lora_path(variant, epoch).is_file()]


def missing(variant: Variant, epoch: int) -> list[Path]:
    """The files without which the variant cannot paint at that epoch, in the order a person would look for them."""
    base = base_folder(variant)
    index = base / "model_index.json"
    if not index.is_file():
        return [index, *_absent(lora_path(variant, epoch))]
    needed: list[Path] = []
    for part in components(base):
        if part == "scheduler":
            needed.append(base / part / "scheduler_config.json")
        elif part.startswith("tokenizer"):
            needed += [base / part / "vocab.json", base / part / "merges.txt"]
        elif part in ("unet", "vae") or part.startswith("text_encoder"):
            stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
            full = base / part / f"{stem}.safetensors"
            needed += [base / part / "config.json", full if full.is_file() else full.with_stem(f"{stem}.fp16")]
    return _absent(*needed, lora_path(variant, epoch))


def components(base: Path) -> list[str]:
    """The parts that a base's model_index.json names. Raises WeightsError if it cannot be read."""
    index = base / "model_index.json"
    try:
        entries: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        return [name for name, entry in entries.items() if isinstance(entry, list) and entry != [None, None]]
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{index} cannot be read ({error}); fetch the base again") from error


def require(variant: Variant, epoch: int) -> None:
    """Raises WeightsError naming the missing file and the command which gets it."""
    absent = missing(variant, epoch)
    if not absent:
        return
    more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
    present = epochs_present(variant)
    here = f"epochs that are here: {', '.join(map(str, present))}"
    if variant.embedded and variant.epoch in present and absent == [lora_path(variant, epoch)]:
        way = f"not every epoch is in the repository; {here}"
    elif variant.embedded:
        way = "it is part of the repository: `git checkout weights/demo` brings it back"
    else:
        option = "" if epoch == variant.epoch else f" --epoch {epoch}"
        way = f"get it with `script/download-weights {variant.name}{option}`"
        if present:
            way += f"; {here}"
    raise WeightsError(f"variant {variant.name}: {absent[0]} is missing{more}; {way}")


def require_whole(variant: Variant, epoch: int) -> None:
    """Raises WeightsError where a file is missing, or is no longer what was fetched: reads all of them, in seconds."""
    from punks.files.checksums import changed, recorded

    require(variant, epoch)
    root, part = folder(variant), f"{variant.base.name}/"
    own = f"{part}lora/{variant.lora_file(epoch)}"
    served = {
        name: digest
        for name, digest in recorded(root).items()
        if name == own or (name.startswith(part) and not name.startswith(f"{part}lora/"))
    }
    if bad := changed(root, served):
        raise WeightsError(
            f"variant {variant.name}: {root / bad[0]} is damaged: its SHA-256 is not the one that was fetched; "
            f"get it again with `script/download-weights {variant.name}`"
        )


def fault(path: Path) -> str | None:
    """What is wrong with a safetensors file: None if its header parses and its offsets end where the file ends."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            return None
    except SafetensorError as error:
        with path.open("rb") as file:
            raw = file.read(256)
        head = raw.lstrip().lower()
        if not raw:
            return "empty"
        if raw[8:9] == b"{":  # after the length of the header comes its JSON
            return f"not a whole safetensors file ({error})"
        if head.startswith(b"version https://git-lfs"):
            return "a git-lfs pointer, not the file: `git lfs pull` in its repository gets the file"
        if head.startswith(b"<"):
            return "an HTML page: a login, or a page about the file (Hugging Face files are at /resolve/, not /blob/)"
        if head.startswith((b"pk\x03\x04", b"\x80")):
            return "a pickled checkpoint, which can run code when it is loaded: ask for it as .safetensors"
        return f"not a whole safetensors file ({error})"


def _absent(*paths: Path) -> list[Path]:
    return [path for path in paths if not path.is_file()]
