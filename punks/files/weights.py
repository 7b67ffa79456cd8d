"""Where the weights are, which are missing, and the command that fetches them. Imports no torch, uses no network.

A base is a folder in the diffusers layout, `weights/<base>/`; its LoRAs are in `weights/<base>/lora/`.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from platformdirs import user_data_path

from punks.errors import WeightsError
from punks.fast import ROWS, Acceleration
from punks.files.checksums import damaged, recorded
from punks.variants import Variant

_PACKAGE = Path(__file__).resolve().parent.parent
_BUNDLED = _PACKAGE / "bundled"  # only in a wheel: what a checkout has outside punks/
INSTALLED = _BUNDLED.is_dir()
ROOT = _BUNDLED if INSTALLED else _PACKAGE.parent
PREDICT = ROOT / "predict.py"
_LONGEST_HEADER = 100_000_000  # bytes, the limit of safetensors itself


def folder(variant: Variant | None = None) -> Path:
    """`PUNKS_WEIGHTS`, else `weights/` of the checkout, else in the user's data folder; embedded models never move."""
    moved = os.environ.get("PUNKS_WEIGHTS")
    if variant and variant.embedded:
        return ROOT / "weights"
    if not moved:
        return user_data_path("punks", appauthor=False) / "weights" if INSTALLED else ROOT / "weights"
    return expanded(moved, "PUNKS_WEIGHTS")


def expanded(path: str, name: str) -> Path:
    """The path that an option or variable names, with the home folder for `~`. Raises WeightsError."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise WeightsError(f"{name}: there is no home folder for {path!r}; use a full path") from error


def base_folder(variant: Variant) -> Path:
    """The folder of the variant's base model."""
    return folder(variant) / variant.base.name


def lora_path(variant: Variant, epoch: int) -> Path:
    """The LoRA file of one epoch."""
    return lora_root(variant) / variant.base.name / "lora" / variant.lora_file(epoch)


def lora_root(variant: Variant) -> Path:
    """The weights folder that holds the variant's LoRA; a user's row on the embedded base has it elsewhere."""
    return folder(None if variant.own else variant)


def fast_path(variant: Variant, row: Acceleration) -> Path:
    """The file of an acceleration LoRA of the variant's base."""
    return base_folder(variant) / "lora" / f"{row.lora}.safetensors"


def fast_present(variant: Variant) -> list[Acceleration]:
    """The acceleration LoRAs whose file is present."""
    return [row for row in ROWS if row.base == variant.base.name and fast_path(variant, row).is_file()]


def epochs_present(variant: Variant) -> list[int]:
    """The epochs whose LoRA file is present."""
    return [epoch for epoch in range(1, variant.epochs + 1) if lora_path(variant, epoch).is_file()]


def components(base: Path) -> list[str]:
    """The parts that a base's model_index.json names. Raises WeightsError if it cannot be read."""
    index = base / "model_index.json"
    try:
        entries: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        return [name for name, entry in entries.items() if isinstance(entry, list) and entry != [None, None]]
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{index} cannot be read ({error}); fetch the base again") from error


def missing(variant: Variant, epoch: int) -> list[Path]:
    """The missing files that the variant needs to paint at that epoch, the base's first."""
    base, lora = base_folder(variant), lora_path(variant, epoch)
    needed = [base / "model_index.json"]
    for part in components(base) if needed[0].is_file() else ():
        if part == "scheduler":
            needed.append(base / part / "scheduler_config.json")
        elif part.startswith("tokenizer"):
            needed += [base / part / "vocab.json", base / part / "merges.txt"]
        elif part in ("unet", "vae") or part.startswith("text_encoder"):
            stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
            full = base / part / f"{stem}.safetensors"
            needed += [base / part / "config.json", full if full.is_file() else full.with_stem(f"{stem}.fp16")]
    return [path for path in (*needed, lora) if not path.is_file()]


def available(variant: Variant, epoch: int | None = None) -> bool:
    """Whether the variant can paint here, at its own epoch unless another is given."""
    return not missing(variant, epoch or variant.epoch)


def fetch_command(variant: Variant, epoch: int | None = None, *, fast: bool = False) -> str:
    """The command that fetches the base and one epoch of a variant, and its acceleration LoRAs if `fast`."""
    option = ("" if epoch in (None, variant.epoch) else f" --epoch {epoch}") + (" --fast" if fast else "")
    return f"{'punks weights --fetch' if INSTALLED else 'script/download-weights'} {variant.name}{option}"


def way(variant: Variant, epoch: int | None = None, *, fast: bool = False) -> str:
    """How to get what is missing, as the end of an error message."""
    if not variant.embedded:
        return f"get it with `{fetch_command(variant, epoch, fast=fast)}`"
    return "reinstall punks" if INSTALLED else f"restore it with `git checkout weights/{variant.base.name}`"


def require(variant: Variant, epoch: int) -> None:
    """Raises WeightsError naming the first missing file and the command that fetches it."""
    absent = missing(variant, epoch)
    if not absent:
        return
    more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
    present = epochs_present(variant)
    if variant.own and absent == [lora_path(variant, epoch)]:
        how = f"add it with `punks weights add {variant.name} --lora FILE --epoch {epoch}`"
    elif variant.embedded and variant.epoch in present and absent == [lora_path(variant, epoch)]:
        how = "this epoch is not included"
    else:
        how = way(variant, epoch)
    here = f"; epochs here: {', '.join(map(str, present))}" if present else ""
    raise WeightsError(f"variant {variant.name}: {absent[0]} is missing{more}; {how}{here}")


def base_sums(variant: Variant) -> dict[str, str]:
    """The recorded SHA-256 of each file of the variant's base, without LoRAs, by path below the weights folder."""
    base = f"{variant.base.name}/"
    sums = recorded(folder(variant))
    return {name: sums[name] for name in sums if name.startswith(base) and not name.startswith(f"{base}lora/")}


def require_whole(variant: Variant, epoch: int) -> None:
    """Raises WeightsError if a file is missing or differs from its recorded SHA-256. Reads every file: some seconds."""
    require(variant, epoch)
    root, lora = lora_root(variant), lora_path(variant, epoch)
    name = lora.relative_to(root).as_posix()
    own = {name: digest} if (digest := recorded(root).get(name)) else {}
    bad = [folder(variant) / one for one in damaged(folder(variant), base_sums(variant))]
    if bad := bad + [root / one for one in damaged(root, own)]:
        raise WeightsError(
            f"variant {variant.name}: {bad[0]} is damaged (its SHA-256 differs from the recorded one); "
            f"get it again with `{fetch_command(variant, epoch)}`"
        )


def fault(path: Path) -> str | None:
    """What is wrong with a safetensors file; None if its header parses and its offsets end where the file ends."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            return None
    except SafetensorError as error:
        with path.open("rb") as file:
            raw = file.read(256)
        head = raw.lstrip().lower()
        if not raw:
            return "empty; fetch it again"
        if raw[8:9] != b"{":  # after the length of the header comes its JSON
            if head.startswith(b"version https://git-lfs"):
                return "a git-lfs pointer; run `git lfs pull` in its repository"
            if head.startswith(b"<"):
                return "an HTML page, perhaps a login (on Hugging Face use the /resolve/ address, not /blob/)"
            if head.startswith((b"\x89png", b"\xff\xd8\xff", b"riff", b"gif8")):
                return "a picture, not a LoRA; name a .safetensors file"
            if head.startswith((b"pk\x03\x04", b"\x80")):
                return "a pickled checkpoint, which can run code when it is loaded; use a .safetensors file"
        return f"not a whole safetensors file ({error}); fetch it again"


def whole_size(file: BinaryIO) -> int | None:
    """The size that the whole file has by its safetensors header: None before that can be known, 0 if it has none.

    The file is read from its start and left at its end.
    """
    file.seek(0)
    start = file.read(9)
    header, found = int.from_bytes(start[:8], "little"), None
    if len(start) == 9 and (start[8:] != b"{" or header > _LONGEST_HEADER):
        found = 0
    elif len(start) == 9 and file.seek(0, os.SEEK_END) >= 8 + header:
        file.seek(8)
        ends = re.findall(rb'"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d{1,18})\s*\]', file.read(header))
        found = 8 + header + max(map(int, ends), default=0)
    file.seek(0, os.SEEK_END)
    return found
