"""Adds a LoRA file as a variant of one's own."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from punks.errors import LoraError, RecipeError
from punks.files import weights
from punks.files.checksums import sha256
from punks.files.own_variants import Table, check_variant, table_of, write_variant
from punks.files.transfer import Item, Say, bring
from punks.lora.fetch import writing
from punks.lora.file import LoraFile, read_header
from punks.lora.modules import base_of
from punks.variants import VARIANTS, Variant


def add(name: str, paths: Sequence[Path], say: Say, epoch: int | None = None, **values: Any) -> Variant:
    """Copies LoRA files into the weights folder as epochs of a variant, new or added before, and writes its row.

    The base is read off the files. Without `epoch` the number is that of the file's name or header, else 1; the last
    file is painted by default. `values` are fields of Table. Raises LoraError, RecipeError, WeightsError.
    """
    if not paths:
        raise RecipeError("lora", None, "name the LoRA file: punks weights add NAME --lora FILE")
    table = table_of(name)
    numbered: dict[int, Path] = {}
    for path in paths:
        file = read_header(path)
        base, reason = base_of(file)
        if base is None:
            raise LoraError(f"{path}: {reason}")
        if table and table.base != base:
            raise LoraError(f"{path}: it is for the base {base}, but {name} is on {table.base}; use another name")
        number = epoch or _epoch(file)
        if number in numbered:
            raise RecipeError("epoch", number, f"two files are this epoch: {numbered[number]}, {path}")
        numbered[number] = path
        table = replace(table, epoch=number) if table else Table(base=base, epoch=number, epochs=number)
        table = replace(table, epochs=max(table.epochs, number), **values)
    if table is None:
        raise ValueError(paths)
    row = check_variant(name, table)
    root = weights.folder()
    with writing(root, say):
        for number, path in numbered.items():
            target = weights.lora_path(row, number)
            bring(root, Item(target=target, shown=str(path), origin=path, digest=sha256(path)), say)
        write_variant(name, table)
    return VARIANTS[name]


def _epoch(file: LoraFile) -> int:
    match = re.search(r"-(\d{6})$", file.path.stem)
    said = match[1] if match else file.metadata.get("ss_epoch", "")
    return int(said) if said.isdecimal() and int(said) else 1
