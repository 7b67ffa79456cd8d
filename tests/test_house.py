"""Imports go down only, there are no circles, and the nouns stay light. LAYERS is the rule.

Every import counts: those inside functions and those for types alone too.
"""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

NOUNS = ("errors", "fast", "fields", "finish", "palette")
NOUNS += ("prompts", "recipe", "request", "traits", "variants", "vocabulary")
# A room imports from itself and from the layers above its line.
LAYERS = (
    NOUNS,
    ("files",),
    ("snap",),
    ("lora",),
    ("painter",),
    ("generate",),
    ("batch",),
    ("report",),
    ("store",),
    ("service", "page"),
    ("cli",),
    ("__init__", "__main__"),  # of the package
)
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
HEAVY = {"PIL", "accelerate", "diffusers", "httpx2", "huggingface_hub", "matplotlib", "numpy", "safetensors"}
HEAVY |= {"tokenizers", "torch", "tqdm", "transformers"}


def imported(file: Path) -> Iterator[str]:
    """What the file imports, by dotted names; `from punks.files import png` yields punks.files.png."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: write the import in full, from punks"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package: Path) -> dict[str, set[str]]:
    """Each module of punks with all that it imports, names cut to modules where they are the package's own."""
    files = {".".join(file.relative_to(package).with_suffix("").parts): file for file in package.rglob("*.py")}

    def module(name: str) -> str:
        inner = name.removeprefix("punks").removeprefix(".")
        for path in (inner, inner.rpartition(".")[0]):
            for candidate in (path, f"{path}.__init__".removeprefix(".")):
                if candidate in files:
                    return candidate
        raise AssertionError(f"{name}: no such module")

    return {
        name: {module(each) if each.split(".")[0] == "punks" else each for each in imported(file)}
        for name, file in files.items()
    }


def room(module: str) -> str:
    return module.split(".")[0]


def faults(package: Path) -> list[str]:
    """Every import that breaks the rule, and the first circle."""
    tree = modules(package)
    found = [f"{name} stands in no layer" for name in sorted({room(name) for name in tree} - LAYER.keys())]
    for name, targets in sorted(tree.items()):
        layer = LAYER.get(room(name), len(LAYERS))
        for target in sorted(targets):
            if target not in tree:
                if layer == 0 and room(target) in HEAVY:
                    found.append(f"{name}, a noun, imports {target}")
            elif room(name) != room(target) and layer and LAYER.get(room(target), -1) >= layer:
                found.append(f"{name} imports {target}, which is no layer below")
            elif layer == 0 and room(target) not in NOUNS:
                found.append(f"{name}, a noun, imports {target}")
    try:
        graphlib.TopologicalSorter({name: targets & tree.keys() for name, targets in tree.items()}).prepare()
    except graphlib.CycleError as error:
        found.append(f"circle: {' <- '.join(error.args[1])}")
    return found


def test_imports_go_down_without_circles_and_nouns_are_light():
    assert faults(ROOT / "punks") == []


TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        ("recipe.py", "import numpy as np", "recipe, a noun, imports numpy"),
        ("recipe.py", "def draw():\n    from PIL import Image", "recipe, a noun, imports PIL.Image"),
        ("recipe.py", "from punks.files import png", "recipe, a noun, imports files.png"),
        (
            "files/png.py",
            f"{TYPES}from punks.snap.art import Art",
            "files.png imports snap.art, which is no layer below",
        ),
        ("snap/art.py", "from punks import generate", "snap.art imports generate, which is no layer below"),
        ("generate.py", "import punks", "generate imports __init__, which is no layer below"),
        ("errors.py", f"{TYPES}from punks.recipe import Recipe", "circle: "),
        ("snap/__init__.py", "from punks.snap.art import Art", "circle: "),
        ("utils.py", "", "utils stands in no layer"),
    ],
)
def test_a_fault_is_found(file: str, line: str, fault: str, tmp_path: Path):
    files = {
        "__init__.py": "from punks.generate import generate",
        "errors.py": "import dataclasses",
        "recipe.py": "from punks.errors import PunkError",
        "files/png.py": "from punks.recipe import Recipe",
        "snap/__init__.py": "",
        "snap/art.py": "import numpy\nfrom punks.snap import snap\nfrom punks.files.png import read",
        "generate.py": "from punks.snap.art import Art\nfrom punks.recipe import Recipe",
    }
    for folder in ("files", "snap"):
        (tmp_path / folder).mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert faults(tmp_path) == []
    (tmp_path / file).write_text(f"{files.get(file, '')}\n{line}\n")
    assert faults(tmp_path)[0].startswith(fault)


@pytest.mark.parametrize("modules", [*NOUNS, "cli"])
def test_nouns_and_the_command_line_load_nothing_heavy(modules: str):
    code = f"import sys; import punks.{modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert {room(name) for name in done.stdout.split()} & HEAVY == set()
