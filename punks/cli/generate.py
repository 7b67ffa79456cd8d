"""`punks generate`: prompts to pictures."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks.cli.options import add_fields, free_path, given, output_path, present_variant, require_writable, say_demo
from punks.cli.terminal import printable, say, swatches
from punks.errors import ImageError, RecipeError
from punks.finish import SUFFIXES, Finish
from punks.palette import Palette
from punks.recipe import Recipe
from punks.request import FIELDS, FINISH, TRAITS, TRAITS_ONLY, changed, divide, flat, from_json
from punks.vocabulary import SUBJECTS

if TYPE_CHECKING:
    from punks.generate import Punk


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options: one for each field."""
    parser.description = "Paint punks from a prompt. Each picture carries its recipe."
    parser.add_argument("prompt", nargs="?", help="what to paint; overrides traits")
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="start from the recipe in a punk, a JSON file, or a picture made by A1111 or a similar tool",
    )
    traits = parser.add_argument_group(
        "traits",
        "What the portrait shows, instead of a prompt; `punks traits` lists the words. --eyes and --background beside "
        "these are traits as well; alone they only change the finish.",
    )
    subject = traits.add_mutually_exclusive_group()
    for name in SUBJECTS:
        subject.add_argument(f"--{name}", dest="subject", action="store_const", const=name, help=f"a {name}")
    traits.add_argument("--hair", metavar="X", help='color and style, for example "red, curly"')
    traits.add_argument("--expression", metavar="X", help="neutral or slight smile")
    traits.add_argument("--lips", metavar="X", help="for example red")
    traits.add_argument("--skin", metavar="X", help="for example light")
    traits.add_argument("--wear", metavar="X", action="append", help='for example "gold crown"; repeat for more')
    add_fields(parser.add_argument_group("painting"), [name for name in FIELDS if name not in ("prompt", *FINISH)])
    add_fields(parser.add_argument_group("finish", "`punks finish` changes these later."), FINISH)
    parser.add_argument("-n", "--num-outputs", type=int, default=1, help="number of punks, with seed, seed+1, ...")
    parser.add_argument(
        "-o",
        "--output",
        type=output_path,
        help="file to write (.png, .webp, .svg; replaced if it exists) or folder; several get their seeds in the name",
    )
    add_exports(parser)
    parser.add_argument("--painting", action="store_true", help="also keep the painting, as NAME.painting.png")
    parser.add_argument("--json", action="store_true", help="print one JSON object a picture")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Paints, writes each picture as soon as it is done, and says where it is."""
    recipe, finish = _request(args)
    if args.vary_seed is not None and recipe.vary == 0:
        args.parser.error("--vary-seed needs --vary")
    if args.prompt_strength is not None and recipe.image_sha256 is None:
        args.parser.error("--strength needs --image")
    recipe, *_ = recipes = recipe.outputs(args.num_outputs, draw=args.prompt is not None)
    paths = _output_paths(args.output, recipes)
    require_writable(paths[0].parent)
    say_demo(args)
    for line in recipe.warnings():  # before the time is spent
        say(f"punks: {line}")

    from tqdm import tqdm

    from punks.generate import Pipeline

    started = time.perf_counter()
    with tqdm(desc="loading", total=0, unit="step", leave=False, disable=None) as bar:

        def on_step(step: int, steps: int) -> None:
            bar.desc, bar.total = "painting", steps
            bar.update(step - bar.n)

        for path, painting in zip(paths, Pipeline().paint(recipes, on_step, args.image), strict=True):
            punk = painting.finish(finish)
            export(args, punk, path, alone=len(paths) == 1)
            bar.clear()
            for warning in punk.warnings:
                if warning not in recipe.warnings():
                    say(f"punks: {path.name}: {warning}")
            if args.painting:
                punk.save_painting(path.with_suffix(".painting.png"))
            seconds, started = time.perf_counter() - started, time.perf_counter()
            print(result_line(path, punk, seconds, as_json=args.json), flush=True)
    return 0


def add_exports(parser: argparse.ArgumentParser) -> None:
    """Declares what else is written of a punk."""
    parser.add_argument("--indexed", action="store_true", help="write PNGs with a color table")
    parser.add_argument(
        "--palette-out",
        type=output_path,
        metavar="FILE",
        help="also write the palette (.gpl, .hex, .pal, .ase); for several punks one file each, by their names",
    )


def export(args: argparse.Namespace, punk: "Punk", path: Path, *, alone: bool) -> None:
    """Writes a punk, and its palette where that was asked for. Raises RecipeError, ImageError."""
    punk.save(path, indexed=args.indexed)
    if args.palette_out:
        from punks.files.palettes import write_palette

        out: Path = args.palette_out
        out = out if alone else out.with_name(f"{path.stem}{out.suffix}")
        write_palette(out, Palette.parse(punk.art.palette).colors, path.stem)


def result_line(path: Path, punk: "Punk", seconds: float, *, as_json: bool) -> str:
    """What is printed of a punk."""
    recipe, colors = punk.recipe, punk.art.hexes
    if not as_json:
        seed = f"  seed {recipe.seed}" if recipe else ""
        shown = swatches([(r, g, b) for r, g, b in punk.art.palette.tolist()])
        return f"{printable(str(path))}{seed}  {seconds:.1f} s  {len(colors)} colors  {shown}".rstrip()
    facts = {
        "path": str(path),
        "seed": recipe and recipe.seed,
        "palette": colors,
        "seconds": round(seconds, 2),
        "confidence": round(punk.art.confidence, 3),
        "prompt": punk.painting.prompt,
        "warnings": punk.warnings,
        "recipe": recipe and flat(recipe, punk.finish),
    }
    return json.dumps(facts, ensure_ascii=False)


def _request(args: argparse.Namespace) -> tuple[Recipe, Finish]:
    """The recipe and finish of the file, if one is given, with every option that was given on top of it."""
    values: dict[str, Any] = given(args, dict.fromkeys([*FIELDS, *TRAITS]))
    if args.image is not None:
        from punks.files.init_image import picture_hash

        values["image_sha256"] = picture_hash(args.image)
    if args.recipe is not None:
        read = _read_recipe(args.recipe)
        if not isinstance(read, dict):
            return changed(*read, values)
        values = read | values
    if not {"prompt", "traits", *TRAITS_ONLY} & values.keys():
        args.parser.error('say what to paint, for example: punks generate "lady, red hair, green eyes"')
    named = [name for name in TRAITS if name in TRAITS_ONLY & values.keys()]
    if named and not {"subject", "traits"} & values.keys():
        args.parser.error(f"--{named[0]} needs --lady or --lad in place of a prompt; or say it in the prompt")
    if "variant" not in values:
        values["variant"] = present_variant(args)
    return divide(values)


def _read_recipe(path: Path) -> tuple[Recipe, Finish] | dict[str, Any]:
    """The recipe in one of our pictures or a JSON file; recipe values from a picture made by another tool."""
    if path.suffix.lower() != ".json":
        from punks.files.parameters import KEY as PARAMETERS
        from punks.files.parameters import read_parameters
        from punks.files.png import RECIPE as KEY
        from punks.files.png import read_texts

        texts = read_texts(path)
        if KEY in texts:
            return from_json(texts[KEY])
        if PARAMETERS not in texts:
            raise ImageError(f"{path}: no recipe inside; punks and A1111, among others, write one into their pictures")
        values, left = read_parameters(texts[PARAMETERS])
        say(f"punks: {path}: made by another tool; taken: {', '.join(values)}")
        for line in left:
            say(f"punks: {path}: left out: {line}")
        return values
    try:
        return from_json(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path}: cannot be read ({error})") from error


def _output_paths(output: Path | None, recipes: list[Recipe]) -> list[Path]:
    """Where the pictures go; found out before painting, so that a typo costs no time."""
    folder = output if output and output.is_dir() else None
    if output and not folder:
        if output.suffix.lower() not in SUFFIXES:
            raise RecipeError("output", str(output), f"use a name that ends in {', '.join(SUFFIXES)}, or a folder")
        if not output.parent.is_dir():
            raise ImageError(f"{output.parent}: no such folder; create it first")
        if len(recipes) == 1:
            return [output]
        return [output.with_stem(f"{output.stem}-{_seeds(recipe)}") for recipe in recipes]
    return [free_path((folder or Path()) / f"punk-{_seeds(recipe)}.png") for recipe in recipes]


def _seeds(recipe: Recipe) -> str:
    return f"{recipe.seed}-{recipe.vary_seed}" if recipe.vary > 0 else str(recipe.seed)
