"""What a picture is as rows of a store: the run and the epoch that painted it, and itself."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection

from punks import fast, variants
from punks.errors import LoraError
from punks.files import weights
from punks.finish import Finish
from punks.lora.file import read_header
from punks.lora.parameters import parameters
from punks.lora.store import place
from punks.lora.tensors import Tensors
from punks.lora.training_runs import RUNS as RECORDED
from punks.lora.training_runs import Value
from punks.recipe import Lora, Recipe
from punks.request import FINISH, flat
from punks.store.database import Row, put
from punks.store.tables import EPOCHS, PICTURES, RUNS

Trained = Lora | variants.Variant
Own = tuple[str, int | None]  # a run and an epoch


def picture(recipe: Recipe, finish: Finish, **facts: Any) -> Row:
    """The row of a picture; `facts` are the columns that neither recipe nor finish says."""
    run, epoch = _own(recipe)
    values = flat(recipe, finish)
    row = {
        "run": run,
        "epoch": epoch,
        "prompt": recipe.prompt,
        "seed": recipe.seed,
        "finish": {name: values.pop(name) for name in FINISH},
        "recipe": values,
        "seconds": sum(facts["stages"].values()),
        **facts,
    }
    return cast("Row", clean(row))


def put_pictures(connection: Connection, pictures: list[tuple[Recipe, Row]], known: set[Own]) -> None:
    """Puts pictures, and first the runs and epochs that are not among the known ones, to which they are added."""
    for recipe, row in pictures:
        run, epoch = row["run"], row["epoch"]
        if run is None or (run, epoch) in known:
            continue
        trained = _trained(recipe)
        here = trained is not None and _file(trained, epoch).is_file()  # another machine may know more
        put(connection, RUNS, [_run_row(run, trained)], keep=not here)
        if epoch is not None:
            put(connection, EPOCHS, [_epoch_row(run, epoch, trained)], keep=not here)
        known.add((run, epoch))
    put(connection, PICTURES, [row for _, row in pictures])


def clean(value: Any) -> Any:
    """The same without what no database takes as text, NUL and lone surrogates: a server may have sent them."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: clean(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [clean(one) for one in cast("list[Any]", value)]
    return value


def _trained(recipe: Recipe) -> Trained | None:
    """What painted it: the variant's own LoRA, or the first of those instead of it.

    None for the base alone, and for a variant that only another machine has.
    """
    if recipe.lora_scale:
        return variants.VARIANTS.get(recipe.variant)
    trained = next((lora for lora in recipe.loras if not fast.known(lora.sha256)), None)
    return trained and dataclasses.replace(trained, scale=1.0)


def _own(recipe: Recipe) -> tuple[str | None, int | None]:
    trained = _trained(recipe)
    if not isinstance(trained, Lora):
        return (recipe.variant, recipe.epoch) if recipe.lora_scale else (None, None)
    epoch = _parameters(trained).get("epoch")
    return clean(f"{trained.name}-{trained.sha256[:8]}"), epoch if type(epoch) is int else None


def _run_row(name: str, trained: Trained | None) -> Row:
    row: Row = {"name": name, "base": None, "parameters": {}, "failed": None, "verdict": None}
    if isinstance(trained, variants.Variant):
        row |= {"base": trained.base.family, "failed": trained.failed, "verdict": trained.verdict}
        row["parameters"] = dict(RECORDED.get(name, {}))
    if trained:
        row["parameters"] |= clean(_parameters(trained))
    return row


def _epoch_row(run: str, epoch: int, trained: Trained | None) -> Row:
    path = trained and _file(trained, epoch)
    size = path.stat().st_size if path and path.is_file() else None
    return {"run": run, "epoch": epoch, "checkpoint": None if size is None else clean(str(path)), "bytes": size}


def _file(trained: Trained, epoch: int | None = None) -> Path:
    """The file of a LoRA, or of an epoch of a variant, by default its best."""
    return place(trained) if isinstance(trained, Lora) else weights.lora_path(trained, epoch or trained.epoch)


@functools.lru_cache(maxsize=256)
def _parameters(of: Trained) -> dict[str, Value]:
    """What the file says of its training; nothing where it is not here."""
    if not (path := _file(of)).is_file():
        return {}
    try:
        file = read_header(path)
        return parameters(file, list(Tensors(file).alphas().values()))
    except LoraError:
        return {}
