"""The numbers of a LoRA file, read from a memory map with numpy alone."""

import hashlib
import re
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from punks.errors import LoraError
from punks.lora.file import LoraFile
from punks.lora.keys import FIRST, SECOND, UNET

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1"}
_FORMATS = _FLOATS | {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
_PATH = re.compile(r"[\w.]+")
_ADAPTER_PARTS = {UNET: "unet.", FIRST: "text_encoder.", SECOND: "text_encoder_2."}


class Tensors:
    """The tensors of a file, read one by one."""

    def __init__(self, file: LoraFile) -> None:
        self.file = file
        self.bytes: NDArray[np.uint8] = np.memmap(file.path, dtype=np.uint8, mode="r")

    def readable(self, key: str) -> bool:
        """Whether the tensor holds numbers that `read` knows, and any at all."""
        return self.file.dtypes[key] in _FORMATS and 0 not in self.file.shapes[key]

    def read(self, key: str, part: tuple[slice, ...] = ()) -> NDArray[np.float32]:
        """One tensor, or a part of it, in float32."""
        dtype = self.file.dtypes[key]
        start, stop = self.file.spans[key]
        raw = self.bytes[start:stop].view(_FORMATS[dtype]).reshape(self.file.shapes[key])[part]
        match dtype:
            case "BF16":  # the upper half of a float32
                return (raw.astype(np.uint32) << 16).view(np.float32)
            case "F8_E5M2":  # the upper half of a float16
                return (raw.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
            case "F8_E4M3":  # one exponent bit less than float16, three of its mantissa's bits, no infinity
                code = raw.astype(np.uint16)
                half = ((code & 0x80) << 8 | (code & 0x7F) << 7).view(np.float16)
                return np.where(code & 0x7F == 0x7F, np.float32(np.nan), half.astype(np.float32) * 256)
            case _:
                return raw.astype(np.float32)

    def alphas(self) -> dict[str, float]:
        """alpha by module, where the file says it: as a tensor, or in PEFT's configuration. Raises LoraError."""
        found: dict[str, float] = {}
        for name in self.file.factors:
            key = self.file.modules[name].get("alpha")
            if key and self.readable(key) and self.file.shapes[key] in ((), (1,)):
                found[name] = float(self.read(key).reshape(()))
            elif (alpha := self._adapter_alpha(name)) is not None:
                found[name] = alpha
        return found

    def _adapter_alpha(self, name: str) -> float | None:
        """PEFT's lora_alpha, or its alpha_pattern's for this module (huggingface/peft, LoraConfig)."""
        part = next((part for prefix, part in _ADAPTER_PARTS.items() if name.startswith(prefix)), "")
        alpha, patterns, root = (
            self.file.adapter.get(part + option, self.file.adapter.get(option))
            for option in ("lora_alpha", "alpha_pattern", "use_rslora")
        )
        module, rank = self.file.modules[name]["module"], (*self.file.shapes[self.file.factors[name][0]], 1)[0]
        table = cast("dict[str, Any]", patterns or {})
        if type(table) is not dict or not all(map(_PATH.fullmatch, table)):
            raise LoraError(f"{self.file.path}: alpha_pattern in its adapter configuration is not a table of modules")
        alpha = next((own for path, own in table.items() if f".{module}".endswith(f".{path}")), alpha)
        return alpha * (rank**0.5 if root else 1.0) if isinstance(alpha, float) else None

    def digest(self) -> str:
        """SHA-256 of everything behind the header: kohya's sshs_model_hash."""
        start = min((span[0] for span in self.file.spans.values()), default=len(self.bytes))
        return hashlib.sha256(self.bytes[start:].data).hexdigest()
