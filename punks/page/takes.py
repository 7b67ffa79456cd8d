"""What can be taken from the page: a punk in every format, its palette, and the kept punks in one archive."""

import tempfile
import zipfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from punks.batch.picks import export_kept
from punks.errors import RecipeError
from punks.files.palettes import write_palette
from punks.finish import SUFFIXES, Finish
from punks.page.studio import Studio
from punks.palette import Palette

PALETTES = (".gpl", ".hex", ".pal", ".ase")
_KINDS = {".png": "image/png", ".webp": "image/webp", ".svg": "image/svg+xml"}


def punk_file(studio: Studio, name: str, suffix: str, size: int | None, *, indexed: bool) -> Response:
    """A punk, or its palette, as a file to save. Raises PunkError."""
    if suffix not in (*SUFFIXES, *PALETTES):
        raise RecipeError("suffix", suffix, f"use one of {', '.join((*SUFFIXES, *PALETTES))}")
    if size is not None:
        Finish(output_size=size)  # the bounds of a size
    punk = studio.punk(name)
    with tempfile.TemporaryDirectory(prefix="punks-") as folder:
        path = Path(folder) / f"punk-{int(name)}{suffix}"
        if suffix in PALETTES:
            write_palette(path, Palette.parse(punk.art.palette).colors, f"punk {int(name)}")
        else:
            punk.save(path, size, indexed=indexed)
        content = path.read_bytes()
    return Response(content, media_type=_KINDS.get(suffix, "application/octet-stream"), headers=_saved_as(path.name))


def kept_files(studio: Studio) -> Response:
    """The kept punks as a folder of their own, zipped; PNGs do not shrink further."""
    room = tempfile.TemporaryDirectory(prefix="punks-")
    folder = Path(room.name) / "kept"
    export_kept(studio.folder, folder)
    archive = Path(room.name) / "kept.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                out.write(path, path.relative_to(room.name))
    return FileResponse(archive, headers=_saved_as("kept.zip"), background=BackgroundTask(room.cleanup))


def _saved_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
