"""Pictures from outside, opened safely: refused with a reason, or handed on as plain RGB or RGBA."""

import glob
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from punks.errors import ImageError

MAX_SIDE = 8192
# never every format that Pillow knows: EPS would start Ghostscript
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def open_picture(path: Path) -> Image.Image:
    """A picture file -> RGB, or RGBA where it has transparency; upright after EXIF. Raises ImageError.

    Refused: more than MAX_SIDE px a side (before its pixels are decoded), animated, truncated, not a picture.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of a large picture while it opens one; MAX_SIDE decides here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
        with image:
            return upright(image)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: larger than {MAX_SIDE} px a side") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: cannot be read: {error}") from error


def upright(image: Image.Image) -> Image.Image:
    """A picture as Pillow opened it -> RGB or RGBA, turned as its EXIF says. Raises ImageError as `open_picture`."""
    _check(image)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"cannot be read: {error}") from error
    return plain(ImageOps.exif_transpose(image) if image.getexif() else image)


def plain(image: Image.Image) -> Image.Image:
    """Any mode Pillow has -> RGB, or RGBA where some of it is transparent. 16 bits are scaled to 8."""
    if image.mode in {"RGB", "RGBA"}:
        pass
    elif image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image, np.float64)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise ImageError(f"mode {image.mode}: only 8 and 16 bit pictures are read")
        image = Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert("RGB")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    else:
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    return image


def find_pictures(paths: Iterable[str]) -> list[Path]:
    """Files, folders (their pictures, not nested) and globs -> files, once each, in order. Raises ImageError."""
    found: list[Path] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise ImageError(f"{path}: no pictures in this folder")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            matches = sorted(Path(p) for p in glob.glob(text, recursive=True))  # noqa: PTH207 - the pattern may be absolute
            matches = [p for p in matches if p.is_file() and p.suffix.lower() in SUFFIXES]
            if not matches:
                raise ImageError(f"{text}: no such file, folder or match")
            found += matches
    return list(dict.fromkeys(found))


def _check(image: Image.Image) -> None:
    if max(image.size) > MAX_SIDE:
        raise ImageError(f"{image.width}x{image.height} px is larger than {MAX_SIDE} px a side")
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(f"animated ({getattr(image, 'n_frames', 1)} frames); give a still picture")
