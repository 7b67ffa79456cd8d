"""`punks generate`: prompts to PNG files."""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from punks import variants
from punks.errors import ImageError, RecipeError
from punks.files import weights
from punks.files.init_image import picture_hash
from punks.recipe import Recipe, bounds
from punks.traits import SUBJECTS, TRAITS_ONLY, Traits, gather

_SHORT = {
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "output_size": "--size",
    "prompt_strength": "--strength",
}
_SHOWN = 48


def add(subparsers: Any) -> None:
    """Declares the command: one option for each field of a recipe."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "generate",
        help="paint punks from a prompt",
        description="Paint punks from a prompt. Each PNG carries its recipe.",
        allow_abbrev=False,
    )
    parser.add_argument("prompt", nargs="?", help=bounds("prompt").about)
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="start from the recipe in a PNG of ours, or in a JSON file"
    )
    traits = parser.add_argument_group(
        "traits",
        "What the portrait shows, in place of a prompt: said to the model in the words of its training. `punks traits` "
        "lists them. --eyes and --background beside these are traits too; alone they change only the picture.",
    )
    subject = traits.add_mutually_exclusive_group()
    for name in SUBJECTS:
        subject.add_argument(f"--{name}", dest="subject", action="store_const", const=name, help=f"a {name}")
    traits.add_argument("--hair", metavar="X", help='colour and style, for example "red, curly"')
    traits.add_argument("--skin", metavar="X", help="for example light")
    traits.add_argument("--wear", metavar="X", action="append", help='for example "gold crown"; give it again for more')
    for field in dataclasses.fields(Recipe)[1:]:
        add_option(parser, field)
    parser.add_argument("-n", "--num-outputs", type=int, default=1, help="how many, with seeds seed, seed+1, ...")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the PNG to write, replaced if it is there, or a folder; several outputs get their seeds in the name",
    )
    parser.add_argument("--painting", action="store_true", help="also keep the painting, as NAME.painting.png")
    parser.add_argument("--json", action="store_true", help="print one JSON object a picture")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Paints, writes each picture as soon as it is done, and says where it is."""
    recipe = _recipe(args)
    if args.vary_seed is not None and recipe.vary == 0:
        args.usage_error("--vary-seed goes with --vary")
    if args.prompt_strength is not None and recipe.image is None:
        args.usage_error("--strength goes with --image")
    recipes = recipe.outputs(args.num_outputs)
    paths = _output_paths(args.output, recipes)
    require_writable(paths[0].parent)

    from tqdm import tqdm

    from punks.files.png import write_art, write_png
    from punks.generate import Studio

    started = time.perf_counter()
    with tqdm(desc="loading", total=0, unit="step", leave=False, disable=None) as bar:

        def on_step(step: int, steps: int) -> None:
            bar.desc, bar.total = "painting", steps
            bar.update(step - bar.n)

        for path, punk in zip(paths, Studio().generate_all(recipes, on_step, args.image), strict=True):
            write_art(punk.art, punk.recipe.output_size, path, punk.recipe)
            for warning in punk.warnings:
                bar.clear()
                print(f"punks: {path.name}: {warning}", file=sys.stderr, flush=True)
            if args.painting:
                write_png(punk.painting, path.with_suffix(".painting.png"))
            seconds, started = time.perf_counter() - started, time.perf_counter()
            facts = {
                "path": str(path),
                "seed": punk.recipe.seed,
                "palette": punk.art.hexes,
                "seconds": round(seconds, 2),
                "confidence": round(punk.art.confidence, 3),
                "prompt": punk.prompt,
                "warnings": punk.warnings,
                "recipe": dataclasses.asdict(punk.recipe),
            }
            bar.clear()
            print(json.dumps(facts, ensure_ascii=False) if args.json else _line(facts), flush=True)
    return 0


def add_option(parser: argparse.ArgumentParser, field: "dataclasses.Field[Any]") -> None:
    """Declares the option of a field of Recipe."""
    limits = bounds(field.name)
    names = [f"--{field.name.replace('_', '-')}"]
    if field.name in _SHORT:
        names.append(_SHORT[field.name])
    if field.type is bool:
        parser.add_argument(*names, action=argparse.BooleanOptionalAction, default=None, help=limits.about)
        return
    if field.name == "image":
        parser.add_argument("--image", type=Path, metavar="FILE", help="a picture to start from")
        return
    kind = float if field.type is float else str if field.type in (str, Traits | None) else int
    extra = f" ({limits.ge} to {limits.le})" if limits.le is not None else ""
    help_text = limits.about + (" Or a .hex, .gpl or .png file." if field.name == "palette" else extra)
    parser.add_argument(
        *names,
        type=kind,
        # `--eyes hazel` is a trait, which any words may be
        choices=list(limits.choices) if limits.choices and field.name != "eyes" else None,
        metavar=None if limits.choices and field.name != "eyes" else "X",
        help=help_text,
    )


def _recipe(args: argparse.Namespace) -> Recipe:
    """The recipe of the file, if one is given, with every option that was given on top of it."""
    names = dict.fromkeys([*Recipe.__dataclass_fields__, *Traits.__dataclass_fields__])
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if "traits" in given:
        given["traits"] = Traits.of(given["traits"])
    if "palette" in given:
        given["palette"] = palette_text(given["palette"])
    if "image" in given:
        given["image"] = picture_hash(given["image"])
    if args.recipe is not None:
        recipe = _read_recipe(args.recipe)
        row = variants.variant(given.get("variant", recipe.variant))
        if row.name != recipe.variant:  # an epoch means something only to its own variant
            given.setdefault("epoch", row.epoch)
        # eyes and background alone change the picture, not what is painted
        base = recipe.traits if TRAITS_ONLY & given.keys() else None
        return recipe.replace(**gather(given, given.get("traits", base)))
    given = gather(given, given.get("traits"))
    if "prompt" not in given and "traits" not in given:
        args.usage_error('say what to paint, for example: punks generate "lady, red hair, green eyes"')
    if "variant" not in given:
        given["variant"] = present_variant()
    return Recipe(**given)


def present_variant() -> str:
    """The default variant where its weights are, else the demo, with a line that says so."""
    row = variants.variant(variants.DEFAULT)
    if not weights.missing(row, row.epoch):
        return row.name
    print(
        f"{row.name} is not here, so the small demo model paints; get the real one: script/download-weights {row.name}",
        file=sys.stderr,
    )
    return "demo"


def _read_recipe(path: Path) -> Recipe:
    from punks.files.png import read_recipe

    if path.suffix.lower() != ".json":
        return read_recipe(path)
    try:
        return Recipe.from_json(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path}: cannot be read ({error})") from error


def palette_text(text: str) -> str:
    """A palette as a recipe has it, of that text or of a palette file."""
    if Path(text).suffix.lower() not in (".hex", ".gpl", ".png"):
        return text
    from punks.files.palettes import read_palette

    return ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in read_palette(Path(text)).tolist())


def _output_paths(output: Path | None, recipes: list[Recipe]) -> list[Path]:
    """Where the pictures go; found out before painting, so that a typo costs no time."""
    folder = output if output and output.is_dir() else None
    if output and not folder:
        if output.suffix.lower() != ".png":
            raise RecipeError("output", str(output), "use a file name that ends in .png, or a folder that exists")
        if not output.parent.is_dir():
            raise ImageError(f"{output.parent} is no folder; make it first")
        if len(recipes) == 1:
            return [output]
        return [output.with_stem(f"{output.stem}-{_seeds(recipe)}") for recipe in recipes]
    return [_free(folder or Path(), f"punk-{_seeds(recipe)}") for recipe in recipes]


def require_writable(folder: Path) -> None:
    """Raises ImageError where no file can be written; it is tried with one that has no name."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImageError(f"{folder}: cannot be written ({error.strerror or error})") from error


def _seeds(recipe: Recipe) -> str:
    return f"{recipe.seed}-{recipe.vary_seed}" if recipe.vary > 0 else str(recipe.seed)


def _free(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.png", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path


def _line(facts: dict[str, Any]) -> str:
    colors = facts["palette"]
    shown = " ".join(colors[:_SHOWN]) + (" ..." if len(colors) > _SHOWN else "")
    return f"{facts['path']}  seed {facts['seed']}  {facts['seconds']:.1f} s  {len(colors)} colours: {shown}"
