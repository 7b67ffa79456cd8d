"""Pictures from outside, read safely: upright, sRGB, RGB or RGBA, or refused with a reason."""

import contextlib
import glob
import io
import re
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.ExifTags import Base

from punks.errors import ImageError, PunkError
from punks.files.formats import FAULTS, NAMES, SUFFIXES, open_image

MAX_SIDE = 8192
MAX_BYTES = 1 << 29  # twice an uncompressed RGBA picture of that side
OPAQUE = 128  # cells of less alpha become transparent
SAME = 2  # levels: a profile that moves no color further counts as sRGB, so exact colors stay exact
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}  # by the color space that a profile's header names
_CMS: Any = ImageCms  # half typed


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright sRGB picture, RGB or RGBA, and what a user should know about how it was read."""

    image: Image.Image
    warnings: tuple[str, ...] = ()


def read_picture(path: Path, frame: int | None = None) -> Picture:
    """Read a picture file. Raises ImageError, whatever is wrong with the file.

    frame: which picture of an animation or a multi-page file, from 0. By default an animation is refused and several
    pages give the first. Also refused: more than MAX_SIDE px a side (before its pixels are decoded), truncated.
    """
    with faults(f"{path}: "):
        return convert(open_image(read_bytes(path), frame), frame)


def open_picture(path: Path, frame: int | None = None) -> Image.Image:
    """The image of `read_picture`, without its warnings."""
    return read_picture(path, frame).image


def convert(image: Image.Image, frame: int | None = None) -> Picture:
    """A picture as Pillow opened it -> a Picture. Raises ImageError as `read_picture` does."""
    with faults():
        decode(image, frame)
        turn = _turn(image)
        found, said = plain(image), ()
        if "icc_profile" in image.info or getattr(image, "icclist", ()):  # icclist: parts of an incomplete profile
            try:
                found = _to_srgb(image, found, image.info["icc_profile"])
            except FAULTS:
                said = ("its color profile is broken or does not fit, so the colors are taken as sRGB",)
        found = found.transpose(turn) if turn is not None else found.copy()
        found.info = {}  # profile and orientation are applied and must not be applied again
        return Picture(found, said)


def decode(image: Image.Image, frame: int | None = None) -> None:
    """Decode the pixels of one frame. Raises ImageError and FAULTS."""
    animated = image.format in ("PNG", "GIF", "WEBP") and getattr(image, "is_animated", False)
    if frame is None and animated and image.tell() == 0:
        raise ImageError("animated; save one frame as its own picture, or use punks snap --frame N")
    if frame:
        try:
            image.seek(frame)
        except EOFError:
            raise ImageError(f"has no frame {frame}; frames are counted from 0") from None
    if max(image.size) > MAX_SIDE:
        raise ImageError(f"{image.width}x{image.height} px is larger than {MAX_SIDE} px a side")
    image.load()


def plain(image: Image.Image) -> Image.Image:
    """Any mode Pillow has -> RGB, or RGBA where some of it is transparent. 16 bits are scaled to 8."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image, np.float64)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise ImageError(f"mode {image.mode}: only 8 and 16 bit pictures are read")
        clear = values == image.info.get("transparency", -1)
        image = Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")
        if clear.any():
            image.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    return image


def check_alpha(alpha: NDArray[Any]) -> tuple[str, ...]:
    """Warnings of visible cells that become transparent. alpha: 0 to 255 a cell. Raises ImageError if all do."""
    hidden = alpha < OPAQUE
    if hidden.all():
        raise ImageError(f"nothing would be left: alpha is under {OPAQUE} everywhere; make the figure opaque first")
    faint = int((hidden & (alpha > 0)).sum())
    return (f"{faint} cells with alpha under {OPAQUE} become transparent",) if faint else ()


def find_pictures(paths: Iterable[str]) -> list[Path]:
    """Files, folders (not nested) and globs -> files, once each, in order; no dot files. Raises ImageError."""
    found: list[Path] = []
    for text in paths:
        path = local(text)
        try:
            if path.is_dir():
                inside = _pictures(path.iterdir())
                if not inside:
                    raise ImageError(f"{path}: no pictures in this folder; formats: {NAMES}")
            elif path.exists():
                inside = [path]
            else:
                inside = _pictures(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 - may be absolute
                if not inside:
                    raise ImageError(f"{text}: no such file, folder or match")
        except OSError as error:
            raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
        found += inside
    return list(dict.fromkeys(found))


def local(path: str | Path) -> Path:
    """A path with `~` expanded. Raises ImageError for a web address."""
    if re.match(r"(?i)(https?|ftp|s3|gs|file|data):", str(path)):
        shown = re.sub(":/(?!/)", "://", str(path)[:80])  # a Path has one slash
        raise ImageError(f"{shown}: not a file but an address; download it first, then give the file")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ImageError(f"{path}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises ImageError, OSError."""
    with local(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ImageError(f"larger than {MAX_BYTES >> 20} MiB")
    return data


def _pictures(paths: Iterable[Path]) -> list[Path]:
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


@contextlib.contextmanager
def faults(where: str = "") -> Generator[None]:
    """Turns each of the FAULTS into an ImageError. Pillow's own warnings, all about metadata, are dropped."""
    with warnings.catch_warnings(action="ignore"):
        try:
            yield
        except PunkError as error:
            raise ImageError(f"{where}{error}") from error.__cause__
        except UnidentifiedImageError as error:
            raise ImageError(f"{where}not a picture that can be read; formats: {NAMES}") from error
        except Image.DecompressionBombError as error:
            raise ImageError(f"{where}larger than {MAX_SIDE} px a side") from error
        except FAULTS as error:
            if isinstance(error, OSError) and error.strerror:
                raise ImageError(f"{where}cannot be read: {error.strerror}") from error
            raise ImageError(f"{where}cannot be read; it is damaged ({str(error) or type(error).__name__})") from error


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How the orientation tag says to turn a picture; nothing else of the EXIF is decoded."""
    try:
        return _TURNS.get(image.getexif().get(Base.Orientation, 1))
    except FAULTS:
        return None


def _to_srgb(image: Image.Image, found: Image.Image, profile: bytes) -> Image.Image:
    """`found`, the plain form of `image`, in sRGB. Raises FAULTS if the profile is broken or does not fit."""
    mode = _MODES[profile[16:20]]
    gray = image.mode in {"1", "L", "LA", "La", "I", "F"} or image.mode.startswith("I;16")
    if (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not gray):
        raise ValueError(mode)
    transform = _CMS.buildTransform(io.BytesIO(profile), _CMS.createProfile("sRGB"), mode, "RGB")
    if mode != "CMYK":
        levels = np.linspace(0, 255, 18).astype(np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3) if mode == "RGB" else levels[None]
        shown = np.asarray(transform.apply(Image.fromarray(grid)), np.int16)
        if abs(shown - (grid if mode == "RGB" else grid[..., None])).max() <= SAME:
            return found
    shown = transform.apply(image if mode == "CMYK" else found.convert(mode))
    if found.mode == "RGBA":
        shown.putalpha(found.getchannel("A"))
    return shown
