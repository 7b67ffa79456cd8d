"""The SHA-256 of each weight file, in `SHA256SUMS` beside the bases; `sha256sum -c SHA256SUMS` reads it too."""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUMS = "SHA256SUMS"


def recorded(root: Path) -> dict[str, str]:
    """The recorded SHA-256 of each file, by its path below `root`."""
    path = root / SUMS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}


def sha256(path: Path, advance: Callable[[int], object] | None = None) -> str:
    """The SHA-256 of a file in hex; `advance` gets the number of bytes of each step."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            if advance:
                advance(len(chunk))
    return digest.hexdigest()


def sha256_once(path: Path) -> str:
    """As `sha256`, remembered until the file changes."""
    stat = path.stat()
    return _remembered(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@functools.lru_cache(maxsize=256)
def _remembered(path: Path, _changes: tuple[int, ...]) -> str:
    return sha256(path)


def damaged(root: Path, sums: Mapping[str, str], advance: Callable[[int], object] | None = None) -> list[str]:
    """The files below `root` whose SHA-256 differs from `sums`; missing files are skipped."""
    present = [name for name in sums if (root / name).is_file()]
    with ThreadPoolExecutor() as pool:
        found = pool.map(sha256, [root / name for name in present], [advance] * len(present))
        return [name for name, digest in zip(present, found, strict=True) if digest != sums[name]]


def record(root: Path, name: str, digest: str) -> None:
    """Records the SHA-256 of a file; SHA256SUMS is replaced as a whole."""
    sums = recorded(root)
    if sums.get(name) == digest:
        return
    sums[name] = digest
    fresh = root / f"{SUMS}.part"
    with fresh.open("w", encoding="utf-8") as file:
        file.writelines(f"{sums[key]}  {key}\n" for key in sorted(sums))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(root / SUMS)
