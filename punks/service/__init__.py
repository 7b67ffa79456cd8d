"""What an HTTP service needs around the one path: inputs to recipes, files and records of what was done.

Knows nothing of Cog; predict.py binds the two.
"""

import json
import os
import secrets
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks import variants
from punks.errors import ImageError, PunkError, RecipeError, StoreError
from punks.files import weights
from punks.files.checksums import sha256, sha256_once
from punks.files.own_variants import load_variants
from punks.generate import Pipeline, Punk
from punks.lora.store import kept, place
from punks.recipe import Lora, Recipe
from punks.request import divide, to_json

if TYPE_CHECKING:
    from punks.store.predictions import Predictions

_COG_FOLDERS = Path("/tmp/coglet/predictions")  # noqa: S108 - where Cog puts answers over 6 MiB, and leaves them
_COG_INLINE = 4_000_000  # bytes of files: base64 and recipes make less than 6 MiB of them

Record = Callable[[str, Any], None]


def default_variant() -> str:
    """The variant that is warmed and paints by default: `PUNKS_VARIANT`, else the registry's. Raises PunkError."""
    load_variants()
    return variants.variant(os.environ.get("PUNKS_VARIANT") or variants.DEFAULT).name


def own_variants() -> list[str]:
    """The variants of `variants.toml`."""
    return [row.name for row in variants.VARIANTS.values() if row.own]


def _store() -> "Predictions | None":
    """Where pictures are kept in a database as well, if `PUNKS_STORE` names one. Raises PunkError."""
    if not (url := os.environ.get("PUNKS_STORE")):
        return None
    try:
        from punks.store.predictions import Predictions
    except ModuleNotFoundError as error:
        raise StoreError(f"PUNKS_STORE needs {error.name}; pip install 'punks[store]'") from error
    return Predictions(url)


class Service:
    """A pipeline that answers requests one after the other. Raises PunkError where PUNKS_STORE cannot be used."""

    def __init__(self) -> None:
        self._pipeline = Pipeline()
        self._painting = False
        self._store = _store()
        self._folder = _Folder()
        self._brought: list[Path] = []  # LoRAs of the last request
        # Cog downloads into the same folder: it forgets the files of downloads that fail
        tempfile.tempdir = self._folder  # pyright: ignore[reportAttributeAccessIssue] - it takes any os.PathLike

    def warm_up(self, variant: str) -> None:
        """Checks every file of a variant, loads it and paints once. Raises PunkError."""
        row = variants.variant(variant)
        weights.require_whole(row, row.epoch)
        next(self._pipeline.paint([Recipe(prompt="warm up", variant=variant, num_inference_steps=1)])).finish()
        _ = self._pipeline.restorers  # started now, and not while the first request waits

    def healthy(self) -> bool:
        """Whether the device still computes: a CUDA context that broke never mends itself.

        Asked from another thread at any time; while a picture is painted nothing else may touch the device.
        """
        return self._painting or self._pipeline.healthy()

    def answer(self, inputs: dict[str, Any], record: Record) -> dict[str, Any]:
        """The fields of predict.py's Output, in files that live until the next call; logs one line of JSON about it.

        `record(name, value)` takes the metrics. Raises PunkError.
        """
        started = time.perf_counter()
        self._painting = True
        facts: dict[str, Any] = {"event": "prediction", "status": "canceled"}
        try:
            self._sweep(keep=(inputs["image"], inputs.get("lora")))
            answer = self._answer(inputs, facts)
            facts["status"] = "succeeded"
        except Exception as error:
            facts |= {"status": "failed", "error": type(error).__name__}
            raise _public(error) from error
        finally:
            self._painting = False
            facts["seconds"] = {**facts.get("seconds", {}), "total": round(time.perf_counter() - started, 4)}
            _say(json.dumps(facts))
        for name, value in facts.items():
            if name not in ("event", "status", "seconds"):
                record(name, value)
        for stage, seconds in facts["seconds"].items():
            record(f"seconds.{stage}", seconds)
        return answer

    def _answer(self, inputs: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in inputs.items() if value is not None}
        image = _downloaded("image", given.pop("image", None))
        if image:
            given["image_sha256"] = sha256(image)
        if lora := _downloaded("lora", given.pop("lora", None)):  # instead of the variant's own
            given["loras"] = [self._bring(lora, given.pop("lora_scale", 1.0))]
            given["lora_scale"] = 0.0
        count, suffix = int(given.pop("num_outputs")), given.pop("output_format")
        wants_painting = given.pop("return_painting")
        recipe, finish = divide(given)
        row = variants.variant(recipe.variant)
        facts |= {"model": row.name, "base": row.base.name, "epoch": recipe.epoch, "images": count}
        facts |= {"steps": recipe.num_inference_steps, "seed": recipe.seed}
        recipes = recipe.outputs(count, draw=True)
        try:
            painted = (one.finish(finish) for one in self._pipeline.paint(recipes, print_progress, image))
            punks, answer = self._write(recipes, painted, suffix, wants_painting=wants_painting)
        except ImageError as error:
            raise ImageError(str(error).replace(str(image), "image")) from error  # whoever asked knows no such file
        facts["lora_sha256"] = sha256_once(weights.lora_path(row, recipe.epoch)) if recipe.lora_scale else "none"
        facts["seconds"] = {
            stage: round(sum(punk.painting.seconds[stage] for punk in punks), 4) for stage in punks[0].painting.seconds
        }
        if self._store:
            self._store.add(punks, answer["images"], answer["pixels"])
        return answer

    def _bring(self, path: Path, scale: float) -> Lora:
        """A downloaded LoRA, kept until the next request unless it was there before. Raises PunkError."""
        started, name = time.time(), path.name[11:]  # Cog's temporary files have 11 letters of their own
        lora = kept(path, scale=scale, name=Path(name).stem, source=name, say=_say)
        if place(lora).stat().st_ctime > started - 0.1:
            self._brought.append(place(lora))
        return lora

    def _sweep(self, keep: tuple[object, ...]) -> None:
        """Removes the files of earlier requests; Cog has read them before the next one begins."""
        old = [path for path in Path(self._folder).iterdir() if path.is_file() and path not in keep]
        large = sum(path.stat().st_size for path in old) > _COG_INLINE
        for path in (*old, *self._brought):
            path.unlink(missing_ok=True)
        self._brought.clear()
        for path in _COG_FOLDERS.glob("*/outputs/spill_*") if large else ():
            # other servers of this machine use the folder too: theirs is read at once, or of another user
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - 5:
                    path.unlink()

    def _write(
        self, recipes: Sequence[Recipe], painted: Iterator[Punk], suffix: str, *, wants_painting: bool
    ) -> tuple[list[Punk], dict[str, Any]]:
        """The punks, and the answer: the files of each are written while the next ones are painted."""
        folder, request = Path(self._folder), secrets.token_hex(4)
        stems = [f"punk-{recipe.seed}-{request}-{number}" for number, recipe in enumerate(recipes, 1)]
        images = [folder / f"{stem}.{suffix}" for stem in stems]
        pixels = [folder / f"{stem}-24.png" for stem in stems]
        paintings = [folder / f"{stem}-painting.png" for stem in stems] if wants_painting else None
        with ThreadPoolExecutor() as pool:
            punks, later = list[Punk](), list[Future[None]]()
            for number, punk in enumerate(painted):
                punks.append(punk)
                if paintings:
                    later.append(pool.submit(punk.save_painting, paintings[number]))
                later.append(pool.submit(punk.save, images[number]))
                later.append(pool.submit(punk.save, pixels[number], 24))
            for one in later:
                one.result()
        return punks, {
            "images": images,
            "pixels": pixels,
            "seeds": [recipe.seed for recipe in recipes],
            "palettes": [",".join(punk.art.hexes) for punk in punks],
            "confidences": [round(punk.art.confidence, 4) for punk in punks],
            "recipes": [to_json(recipe, punk.finish) for recipe, punk in zip(recipes, punks, strict=True)],
            "warnings": ["; ".join(punk.warnings) for punk in punks],
            "paintings": paintings,
        }


class _Folder(os.PathLike[str]):
    """A temporary folder that goes with the process, and is made anew if something removes it."""

    def __init__(self) -> None:
        self._parent = tempfile.gettempdir()
        self._folder = tempfile.TemporaryDirectory(prefix="punks-", dir=self._parent)

    def __fspath__(self) -> str:
        if not Path(self._folder.name).is_dir():
            self._folder.cleanup()
            Path(self._parent).mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(prefix="punks-", dir=self._parent)
        return self._folder.name


def print_progress(step: int, steps: int) -> None:
    """A line in the form of tqdm, which Replicate's clients parse as progress."""
    _say(f"{step * 100 // steps:3d}%|{'#' * (step * 10 // steps):10s}| {step}/{steps}")


def _public(error: Exception) -> Exception:
    """The error as the caller may see it, without paths of this machine; the log has the traceback of a bug."""
    if isinstance(error, PunkError):
        text = str(error).replace(str(weights.folder()), "weights")
        kind = PunkError if isinstance(error, RecipeError) else type(error)  # which is made of more than its text
        return error if text == str(error) else kind(text)
    os.write(2, traceback.format_exc().encode())  # sys.stderr is the prediction's own log, which its caller reads
    return PunkError("something went wrong on the server; its log has the details")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _downloaded(name: str, file: object) -> Path | None:
    """The file that Cog made of a URL; what it could not fetch it hands on as plain text, which names no file here."""
    if file is None or isinstance(file, Path):
        return file
    raise RecipeError(name, file, "use an http:, https: or data: URL")
