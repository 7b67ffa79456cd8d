"""LoRA files that requests name: from a file, an address or a hub; kept by their hash, and found again by it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from punks import fast, variants
from punks.errors import LoraError, RecipeError, WeightsError
from punks.files import weights
from punks.files.checksums import sha256, sha256_once
from punks.files.transfer import Item, Say, bring
from punks.lora.fetch import at_url, hub_files, hub_item, writing
from punks.lora.file import read_header
from punks.lora.modules import base_of
from punks.recipe import Lora, Recipe

FOLDER = "loras"
_HUB = re.compile(r"hf:([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?(?:/(.+))?")
_SCALED = re.compile(r"(.+):(\d*\.?\d+)", re.DOTALL)
_WAY = "use a .safetensors file, its https:// address or hf:OWNER/REPO[/FILE], with :SCALE behind it if it is not 1"


def with_loras(values: Mapping[str, Any], given: Sequence[str], say: Say) -> dict[str, Any]:
    """Flat values with these LoRAs beside the variant's own, or without a variant on the base that they were made for.

    Raises LoraError, RecipeError, WeightsError.
    """
    found = dict(values)
    loras = [resolve(one, say) for one in given]
    found["loras"] = loras
    if "variant" not in found and loras:
        base, reason = base_of(read_header(find(loras[0])))
        if base is None:
            raise LoraError(f"{loras[0].name}: {reason}")
        found["variant"] = next(row.name for row in variants.VARIANTS.values() if row.base.name == base)
        found.setdefault("lora_scale", 0.0)  # instead of the variant's own
    return found


@lru_cache(maxsize=256)
def resolve(given: str, say: Say) -> Lora:
    """The LoRA at `FILE`, `https://...` or `hf:OWNER/REPO[@REVISION][/FILE]`, with `:SCALE` behind it if it is not 1.

    It is kept in the weights folder. Raises RecipeError, WeightsError.
    """
    source, scale = given.strip(), 1.0
    match = _SCALED.fullmatch(source)
    if match and not weights.expanded(source, "lora").is_file() and "/" not in match[2]:
        source, scale = match[1], float(match[2])
    root = weights.folder()
    with writing(root, say):
        if source.startswith("hf:"):
            item = _on_hub(source, root)
        elif "://" in source:
            item = at_url(source, _incoming(root, source))
        else:
            return kept(weights.expanded(source, "lora"), scale=scale, say=say, locked=True)
        bring(root, item, say)
    return kept(item.target, scale=scale, name=PurePosixPath(item.shown).stem, source=item.shown, say=say)


def kept(path: Path, *, scale: float = 1.0, name: str = "", source: str = "", say: Say, locked: bool = False) -> Lora:
    """A file as a LoRA of that scale; a copy of it stays in the weights folder, by its hash. Raises RecipeError."""
    if not path.is_file() or (path.suffix.lower() != ".safetensors" and not source):
        raise RecipeError("lora", str(path), _WAY if path.is_file() else f"no such file; {_WAY}")
    lora = Lora(name=name or path.stem, sha256=sha256(path), scale=scale, source=source or path.name)
    target = place(lora)
    if not target.is_file():
        item = Item(target=target, shown=lora.name, origin=path, digest=lora.sha256)
        if locked:
            bring(weights.folder(), item, lambda _: None)
        else:
            with writing(weights.folder(), say):
                bring(weights.folder(), item, lambda _: None)
    return lora


def find(lora: Lora) -> Path:
    """The file of a LoRA, anywhere in the weights folder. Raises LoraError if it is missing."""
    if (path := place(lora)).is_file():
        return path
    rows = variants.VARIANTS.values()
    row = fast.known(lora.sha256)
    base = next((one for one in rows if row and one.base.name == row.base), None)
    if row and base:
        paths = [weights.fast_path(base, row)]
    else:
        paths = [weights.lora_path(one, epoch) for one in rows for epoch in weights.epochs_present(one)]
    for path in paths:
        if path.is_file() and sha256_once(path) == lora.sha256:
            return path
    if base:
        raise LoraError(f"LoRA {lora.name} is not installed; {weights.way(base, fast=True)}")
    came = f"; it came from {lora.source}" if lora.source else ""
    raise LoraError(
        f"LoRA {lora.name} (SHA-256 {lora.sha256[:12]}...) is not installed{came}; give it with --lora FILE"
    )


def stack(recipe: Recipe) -> list[tuple[Path, float]]:
    """The files that a recipe is painted with, and the scale of each. Raises LoraError, WeightsError."""
    row = variants.variant(recipe.variant)
    own = [(weights.lora_path(row, recipe.epoch), recipe.lora_scale)] if recipe.lora_scale else []
    return own + [(find(lora), lora.scale) for lora in recipe.loras if lora.scale]


def _on_hub(source: str, root: Path) -> Item:
    match = _HUB.fullmatch(source)
    if match is None:
        raise RecipeError("lora", source, _WAY)
    repo, revision, wanted = match[1], match[2] or "main", match[3]
    files = {file.path: file for file in hub_files(repo, revision) if file.path.endswith(".safetensors")}
    if wanted is None:
        wanted = next(iter(files)) if len(files) == 1 else "pytorch_lora_weights.safetensors"
    if wanted not in files:
        has = f"it has {', '.join(sorted(files)[:12])}" if files else "it has no .safetensors file"
        raise WeightsError(f"{source}: no {wanted}; {has}; name one as hf:{repo}/FILE")
    return hub_item(repo, revision, files[wanted], _incoming(root, f"{repo}@{revision}/{wanted}"))


def _incoming(root: Path, source: str) -> Path:
    """Where a download lies before its hash is known; it is not fetched twice."""
    return root / FOLDER / "fetched" / f"{hashlib.sha256(source.encode()).hexdigest()[:32]}.safetensors"


def place(lora: Lora) -> Path:
    """Where a LoRA that a request names is kept."""
    return weights.folder() / FOLDER / f"{lora.sha256}.safetensors"
