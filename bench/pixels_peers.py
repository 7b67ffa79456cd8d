"""The peers that are installed, as painting -> cells. uint8 (512, 512, 3) -> uint8 (rows, columns, 3)."""

import contextlib
import importlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Method = Callable[[np.ndarray], np.ndarray]
BORDERS = np.rint(np.arange(25) * 512 / 24).astype(int).tolist()


def _module(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            return None


def peers() -> dict[str, Method]:
    """Every peer found, with the settings that do best on 21.33 px cells."""
    found: dict[str, Method] = {}
    if proper := _module("proper_pixel_art"):
        image, config = _module("proper_pixel_art.image"), _module("proper_pixel_art.config")
        colors = _module("proper_pixel_art.colors")

        def auto(painting: np.ndarray) -> np.ndarray:
            settings = config.PixelateConfig(pixel_width=21)
            return np.asarray(proper.pixelate(Image.fromarray(painting), settings).image.convert("RGB"))

        def known(painting: np.ndarray) -> np.ndarray:
            color = config.ColorConfig()
            mesh = (BORDERS, BORDERS)
            small = image.downsample(Image.fromarray(painting), mesh, skip_quantization=True, color_config=color)
            small = colors.merge_output_colors(small, color.dominant, alpha_threshold=color.alpha_threshold)
            return np.asarray(small.convert("RGB"))

        found |= {"proper-pixel-art, width 21": auto, "proper-pixel-art, known mesh": known}
    if unfake := _module("unfake"):
        logging.getLogger("unfake.py").setLevel(logging.WARNING)  # the table is not to be talked over

        def unfaked(painting: np.ndarray) -> np.ndarray:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "in.png"
                Image.fromarray(painting).resize((504, 504), Image.Resampling.NEAREST).save(path)
                result = unfake.process_image_sync(str(path), max_colors=32, manual_scale=21)
            return np.asarray(result["image"].convert("RGB"))

        found["unfake, 504 px, 32 colors"] = unfaked
    if perfect := _module("perfect_pixel"):

        def perfected(painting: np.ndarray) -> np.ndarray:
            with contextlib.redirect_stdout(io.StringIO()):
                return perfect.get_perfect_pixel(painting, grid_size=(24, 24), refine_intensity=0)[2]

        found["perfect-pixel, 24, no refine"] = perfected
    if snapper := _module("pixel_snapper"):

        def snapped(painting: np.ndarray) -> np.ndarray:
            packed, out = io.BytesIO(), io.BytesIO()
            Image.fromarray(painting).save(packed, "PNG")
            out.write(snapper.process_image(packed.getvalue()))
            return np.asarray(Image.open(out).convert("RGB"))

        found["pixel-snapper"] = snapped
    return found
