"""Small ICC profiles made by hand, and the colors that they mean by the formulas of their standards."""

import struct

import numpy as np
from numpy.typing import NDArray

D50 = (0.9642, 1.0, 0.8249)
# columns: the XYZ of red, green and blue, adapted to D50
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
CURVE = b"para" + struct.pack(">IHH5i", 0, 3, 0, *(round(value * 65536) for value in _CURVE))


def gamma(value: float) -> bytes:
    """A curve tag of that exponent."""
    return b"curv" + struct.pack(">IIH", 0, 1, round(value * 256))


def matrix_profile(columns: NDArray[np.float64], curve: bytes = CURVE) -> bytes:
    """An RGB display profile."""
    xyz = {f"{name}XYZ".encode(): _xyz(column) for name, column in zip("rgb", columns.T, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", xyz | {f"{name}TRC".encode(): curve for name in "rgb"})


def gray_profile(curve: bytes) -> bytes:
    """A grayscale display profile."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def cmyk_profile(corners: NDArray[np.uint8]) -> bytes:
    """A printer profile from the Lab (8 bit) of its corners, (2, 2, 2, 2, 3) by cyan, magenta, yellow, black."""
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1\0\0\0\0\4\3\2\0" + matrix + identity * 4 + corners.tobytes() + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def to_srgb(
    pixels: NDArray[np.uint8], columns: NDArray[np.float64], exponent: float | None = None
) -> NDArray[np.uint8]:
    """What a matrix profile means in sRGB; exponent None is the curve of sRGB."""
    values = pixels / 255
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    linear = linear if exponent is None else values**exponent
    return encode(linear @ columns.T)


def encode(xyz: NDArray[np.float64]) -> NDArray[np.uint8]:
    """XYZ under D50 -> sRGB."""
    linear = np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1)
    return np.rint(255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)).astype(
        np.uint8
    )


def lab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.uint8]:
    """CIE Lab under D50 -> sRGB."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    return encode(np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50)


def _xyz(values: NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"wtpt": _xyz(D50), **tags}
    at, index, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        index += struct.pack(">4sII", name, at + len(body), len(data))
        body += padded
    head = struct.pack(">I4xI4s4s4s12x4s28x", at + len(body), 0x04300000, kind, space, pcs, b"acsp") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body
