"""The gallery of a batch: `index.html` and its data, a static page that works from disk and asks no network.

Punks come in pages of 1,024: a script with their facts in columns, and their cells side by side in one lossless WebP
(134 bytes a punk, where PNG takes 424 and base64 of indices 768; measured on generated portraits). Scripts and pictures
are what a page on disk may load.
"""

import colorsys
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks.batch.manifest import Entry, warnings
from punks.batch.picks import Pick, read_picks
from punks.errors import BatchError
from punks.prompts import HEAD, TAIL
from punks.report.document import document, in_script
from punks.report.sheet import read_pixels

PAGE, ATLAS, GRID = 1024, 32, 24
_LISTED = 200  # failures, and warnings, on the page; all of them are in the manifest
_COLORS, _APART, _MAIN = 23, 90, 6  # colors offered as filters, their distance, how many of a picture count
_SCRIPTS = ("data.js", "grid.js", "viewer.js", "main.js")


@dataclass(kw_only=True)
class _Head:
    """What the page knows before any punk is loaded, gathered while the pages are written."""

    count: int = 0
    pages: int = 0
    failed: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    warned: int = 0
    warnings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    values: dict[tuple[str, str], list[int]] = field(default_factory=dict[tuple[str, str], list[int]])
    # pictures with much of a color, and the sum of those colors, by the upper 4 bits of red, green and blue
    pictures: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4096, np.int64))
    sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4096, 3), np.int64))
    digest: Any = field(default_factory=hashlib.sha256)
    picks: dict[str, Pick] = field(default_factory=dict[str, Pick])


def write_gallery(folder: Path, entries: Iterable[Entry], title: str | None = None) -> Path:
    """Writes `index.html` and `gallery/` for the manifest's entries, in their order. -> the page.

    The title is the folder's name by default. Memory does not grow with the batch, but for the values of its traits.
    Raises ImageError on pixels that cannot be read, BatchError where the disk refuses.
    """
    head, group = _Head(picks=read_picks(folder)), list[Entry]()
    try:
        (folder / "gallery").mkdir(exist_ok=True)
        for entry in entries:
            if entry["status"] != "done":
                head.failed += 1
                if head.failed <= _LISTED:
                    head.failures.append({key: entry[key] for key in ("name", "job", "error")})
                continue
            if said := warnings(entry):
                head.warned += 1
                if head.warned <= _LISTED:
                    head.warnings.append({"name": entry["name"], "job": entry["job"], "error": said})
            group.append(entry)
            if len(group) == PAGE:
                _write_page(folder, head, group)
                group = []
        if group:
            _write_page(folder, head, group)
        page = folder / "index.html"
        _write(
            page,
            document("gallery_page", _SCRIPTS, title or folder.resolve().name, _facts(head), "'self' file: ").encode(),
        )
        for path in (folder / "gallery").iterdir():  # of a longer batch that was here before
            if re.fullmatch(r"\d{4,}\.(js|webp)", path.name) and int(path.stem) > head.pages:
                path.unlink()
    except OSError as error:
        raise BatchError(f"{folder}: the gallery cannot be written ({error.strerror or error})") from error
    return page


def _write_page(folder: Path, head: _Head, group: list[Entry]) -> None:
    cells = [np.asarray(read_pixels(folder / entry["files"]["pixels"]).convert("RGBA")) for entry in group]
    bases: dict[str, int] = {}
    columns: dict[str, list[Any]] = {
        "names": [entry["name"] for entry in group],
        "jobs": [entry["job"] for entry in group],
        "prompts": [_shown(entry["prompt"]) for entry in group],
        "seeds": [entry["recipe"]["seed"] for entry in group],
        "confidence": [round(entry["confidence"], 3) for entry in group],
        "seconds": [round(sum(entry["seconds"].values()), 2) if entry.get("seconds") else None for entry in group],
        "images": [entry["files"]["image"] for entry in group],
        "paintings": [entry["files"].get("painting") for entry in group],
        "palettes": ["".join(color.removeprefix("#") for color in entry["palette"]) for entry in group],
        "traits": [_value_ids(head, {**_traits(entry), **_picked(head, entry)}) for entry in group],
        "warnings": [warnings(entry) for entry in group],
        "base": [bases.setdefault(_base(entry["recipe"]), len(bases)) for entry in group],
    }
    # the prompt that was asked for, where it is not the one that is shown
    asked = [entry["recipe"]["prompt"] for entry in group]
    columns["asked"] = [one if one != shown else None for one, shown in zip(asked, columns["prompts"], strict=True)]
    columns["bases"] = [json.loads(base) for base in bases]
    for entry in group:
        _count_colors(head, entry["palette"])
    text = f"punksPage({head.pages},{in_script(columns)})\n".encode()
    head.count += len(group)
    head.pages += 1
    head.digest.update(text)
    _write(folder / "gallery" / f"{head.pages:04d}.js", text)
    path = folder / "gallery" / f"{head.pages:04d}.webp"
    _atlas(cells).save(path, lossless=True, exact=True, method=1)
    head.digest.update(path.read_bytes())


def _base(recipe: Mapping[str, Any]) -> str:
    """What punks of one batch share; prompt and seed are filled in by the page, at their places."""
    return json.dumps({**recipe, "prompt": "", "seed": 0})


def _shown(prompt: str) -> str:
    """The painted prompt without the words that all of them have."""
    return prompt.removeprefix(", ".join(HEAD) + ", ").removesuffix(", " + ", ".join(TAIL))


def _traits(entry: Entry) -> Mapping[str, Any]:
    """Those of a collection, or else those that the recipe asks for."""
    return entry.get("traits") or entry["recipe"].get("traits") or {}


def _picked(head: _Head, entry: Entry) -> dict[str, Any]:
    """What somebody thinks of a punk, to filter by as by a trait."""
    pick = head.picks.get(entry["name"], Pick())
    values = {"pick": {"keep": "kept", "reject": "rejected"}.get(pick.choice or ""), "rating": pick.rating}
    return {name: value for name, value in values.items() if value is not None}


def _value_ids(head: _Head, traits: Mapping[str, Any]) -> list[int]:
    ids: list[int] = []
    for name, value in traits.items():
        for one in value if isinstance(value, list | tuple) else [value]:  # pyright: ignore[reportUnknownVariableType]
            if one is None:
                continue
            counted = head.values.setdefault((name, str(one)), [len(head.values), 0])  # pyright: ignore[reportUnknownArgumentType]
            counted[1] += 1
            ids.append(counted[0])
    return ids


def _count_colors(head: _Head, palette: list[str]) -> None:
    rgb = np.array([[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in palette[:_MAIN]], np.int64)
    rgb = rgb.reshape(-1, 3)  # of an empty palette, too
    bins = (rgb >> 4) @ (256, 16, 1)
    bins, first = np.unique(bins, return_index=True)
    head.pictures[bins] += 1
    head.sums[bins] += rgb[first]


def _common_colors(head: _Head) -> list[str]:
    """The colors that most pictures are made of, apart from each other to the eye; greys first, then by hue."""
    chosen: list[tuple[float, ...]] = []
    for at in np.argsort(-head.pictures, kind="stable"):
        if head.pictures[at] == 0 or len(chosen) == _COLORS:
            break
        color = tuple(float(part) for part in head.sums[at] / head.pictures[at])
        if all(_distance(color, other) > _APART for other in chosen):
            chosen.append(color)
    chosen.sort(key=_wheel)
    return ["#" + "".join(f"{round(part):02x}" for part in color) for color in chosen]


def _distance(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """What the page calls near, too: "redmean" (Riemersma, https://www.compuphase.com/cmetric.htm)."""
    red = (a[0] + b[0]) / 2
    weights = (2 + red / 256, 4, 2 + (255 - red) / 256)
    return sum(weight * (x - y) ** 2 for weight, x, y in zip(weights, a, b, strict=True)) ** 0.5


def _wheel(color: tuple[float, ...]) -> tuple[int, float]:
    hue, light, _ = colorsys.rgb_to_hls(*(part / 255 for part in color))
    return (0, light) if max(color) - min(color) < 32 else (1 + int(hue * 12), light)


def _atlas(cells: list[NDArray[np.uint8]]) -> Image.Image:
    """Cells (24, 24, 4) -> RGBA, 32 of them a row."""
    rows = -(-len(cells) // ATLAS)
    sheet = np.zeros((rows * ATLAS, GRID, GRID, 4), np.uint8)
    sheet[: len(cells)] = cells
    placed = sheet.reshape(rows, ATLAS, GRID, GRID, 4).swapaxes(1, 2).reshape(rows * GRID, ATLAS * GRID, 4)
    return Image.fromarray(placed)


def _facts(head: _Head) -> dict[str, Any]:
    types = list(dict.fromkeys(name for name, _ in head.values))
    return {
        "count": head.count,
        "version": head.digest.hexdigest()[:8],
        "types": types,
        "values": [[types.index(name), value, count] for (name, value), (_, count) in head.values.items()],
        "colors": _common_colors(head),
        "failed": head.failed,
        "failures": head.failures,
        "warned": head.warned,
        "warnings": head.warnings,
    }


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
