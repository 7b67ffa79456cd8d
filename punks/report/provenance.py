"""The provenance hash of a collection: which pictures it has, in which order, in one number to publish."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from punks.errors import BatchError
from punks.files.checksums import sha256
from punks.files.png import write_bytes

NAME = "provenance.json"
METHOD = "SHA-256 of the SHA-256 hashes of these files, as lower-case hex, written one after the other in this order"


def provenance(hashes: Iterable[str]) -> str:
    """The provenance of pictures with these SHA-256 hashes, see METHOD.

    Source: https://boredapeyachtclub.com/#/provenance.
    """
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def write_provenance(folder: Path, pictures: Sequence[str], count: int) -> str:
    """Writes the provenance of all `count` pictures of a collection; of a part there is none. -> what to say of it."""
    path = folder / NAME
    if len(pictures) < count:
        path.unlink(missing_ok=True)
        return f"no provenance hash yet: {len(pictures)} of {count} punks are done"
    files = {picture: sha256(folder / picture) for picture in pictures}
    found = provenance(files.values())
    text = json.dumps({"provenance": found, "method": METHOD, "files": files}, indent=1)
    write_bytes(path, text.encode() + b"\n")
    return f"provenance: {found} (over {count} pictures; `punks provenance {folder}` verifies)"


def verify(folder: Path, published: str | None = None) -> tuple[str, list[str]]:
    """The provenance of the pictures as they are now, and what is wrong with them, one line each.

    They are compared with `provenance.json`, and their hash with the published one where that is given. Raises
    BatchError.
    """
    path = folder / NAME
    try:
        values: Any = json.loads(path.read_text("utf-8"))
        files: dict[str, str] = {str(name): str(value) for name, value in values["files"].items()}
        recorded = str(values["provenance"])
    except FileNotFoundError:
        raise BatchError(f"{path}: missing; `punks batch --collection` writes it when all punks are done") from None
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise BatchError(f"{path}: cannot be read ({error}); run the same `punks batch` again") from error
    now, wrong = dict[str, str](), list[str]()
    for name, value in files.items():
        file = folder / name
        now[name] = sha256(file) if file.is_file() else ""
        if now[name] != value:
            wrong.append(f"{file}: {'changed' if now[name] else 'missing'}")
    found = provenance(now.values())
    for where, expected in ((str(path), recorded), ("published", published)):
        if expected is not None and expected.strip().lower().removeprefix("0x") != found:
            wrong.append(f"{where}: provenance {expected.strip()}, where the pictures give {found}")
    return found, wrong
