"""Color science in float32 numpy: sRGB to CIELAB (D65) and the CIEDE2000 difference."""

import numpy as np

from punks.snap.art import Bytes, Floats, Ints

# sRGB to XYZ divided by the D65 white of the 2 degree observer (IEC 61966-2-1).
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])


def lab(rgb: Bytes | Floats) -> Floats:
    """sRGB 0-255 (..., 3) -> CIELAB D65 (..., 3), L 0-100."""
    v = np.asarray(rgb, np.float32) / 255
    v = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    v = v @ _XYZ.T.astype(np.float32)
    f = np.where(v > (6 / 29) ** 3, np.cbrt(v), v * (841 / 108) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def even(points: Floats) -> Floats:
    """CIELAB (..., 3) with colorful ones drawn together: distances about as CIE94 has them, at a tenth of the time."""
    weight = 1 + 0.03 * np.hypot(points[..., 1], points[..., 2])
    return points / np.stack([np.ones_like(weight), weight, weight], -1)


def ciede2000(one: Floats, two: Floats) -> Floats:
    """CIEDE2000 between CIELAB arrays that broadcast. Sharma, Wu, Dalal, Color Res. Appl. 30 (2005) 21-30."""
    l1, a1, b1 = one[..., 0], one[..., 1], one[..., 2]
    l2, a2, b2 = two[..., 0], two[..., 1], two[..., 2]
    g = 1.5 - 0.5 * _vivid((np.sqrt(a1 * a1 + b1 * b1) + np.sqrt(a2 * a2 + b2 * b2)) / 2)
    a1, a2 = a1 * g, a2 * g
    c1, c2 = np.sqrt(a1 * a1 + b1 * b1), np.sqrt(a2 * a2 + b2 * b2)
    h1, h2 = np.arctan2(b1, a1), np.arctan2(b2, a2)
    turn = (h2 - h1 + np.pi) % (2 * np.pi) - np.pi
    hue = h1 + turn / 2  # of a gray and a color anything: it only weighs dh, which is 0 there
    dh = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)
    dl, dc = l2 - l1, c2 - c1
    lm, cm = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(hue - np.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.radians(6))
        - 0.20 * np.cos(4 * hue - np.radians(63))
    )
    degrees = np.degrees(hue) % 360
    twist = -np.sin(np.radians(60) * np.exp(-(((degrees - 275) / 25) ** 2))) * 2 * _vivid(cm)
    light = (lm - 50) ** 2
    sl = 1 + 0.015 * light / np.sqrt(20 + light)
    dl, dc, dh = dl / sl, dc / (1 + 0.045 * cm), dh / (1 + 0.015 * cm * t)
    return np.sqrt(np.maximum(dl * dl + dc * dc + dh * dh + twist * dc * dh, 0))


def _vivid(chroma: Floats) -> Floats:
    """0 for a gray to 1; products, as powers take ten times as long."""
    cube = chroma * chroma * chroma
    seventh = cube * cube * chroma
    return np.sqrt(seventh / (seventh + 25.0**7))


def nearest(rgb: Bytes | Floats, palette: Bytes) -> Ints:
    """Index of the perceptually nearest palette color (K, 3) for each of rgb (N, 3); exact matches win."""
    gap = ciede2000(lab(rgb)[:, None], lab(palette)[None])
    exact = np.all(np.asarray(rgb)[:, None] == palette[None], axis=-1)
    return np.argmin(np.where(exact, -1, gap), axis=1)
