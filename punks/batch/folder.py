"""The folder of a batch: one run at a time writes there; each picture at once and whole, and then its line."""

import dataclasses
import functools
import hashlib
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from punks.batch.jobs import Job
from punks.batch.manifest import AGAIN, Entry, Manifest
from punks.batch.places.worker import Outcome
from punks.errors import BatchError, ImageError, PunkError
from punks.files.checksums import sha256
from punks.generate import Punk, open_punk
from punks.request import FIELDS, FINISH, RECIPE, flat, recorded, upgraded
from punks.snap import PixelArt

WRITERS = 4  # threads
# where each kind of file lies; version 0.1 kept in `unlocked` the 24x24 from before one palette was held over all
KINDS = {"image": "images", "pixels": "pixels", "painting": "paintings"}
UNLOCKED = "unlocked"
Todo = Literal["keep", "finish", "paint"]
_DEFAULTS: dict[str, Any] = {name: field.default for name, field in FIELDS.items()} | {"loras": []}
_FACTS = ("files", "sha256", "bytes")  # of each kind of file


@contextmanager
def opened(path: Path) -> Generator["Folder"]:
    """The folder, made if it is not there, for this run alone, without the partial files of killed ones.

    Raises BatchError if another run has it, or it cannot be written.
    """
    with ExitStack() as stack:
        try:
            for kind in ("image", "pixels"):
                (path / KINDS[kind]).mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path / ".lock", timeout=0))
            for kind in (*KINDS.values(), UNLOCKED):
                for part in (path / kind).glob(".*.part"):
                    part.unlink()
        except Timeout:
            raise BatchError(f"{path}: another run writes there; let it end, or name another folder") from None
        except OSError as error:
            raise BatchError(f"{path}: cannot be written ({error.strerror or error})") from error
        folder = Folder(path)
        stack.callback(folder.manifest.close)
        yield folder


class Folder:
    """An open folder. Its methods may be called from several threads; they raise BatchError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = Manifest(path)
        self._lock = threading.Lock()

    def todo(self, job: Job, kinds: tuple[str, ...], changes: tuple[str, ...], *, verify: bool = False) -> Todo:
        """What is left to do for a job: nothing where its files are there in their full size and show this request.

        `kinds` are the files that it must have, `changes` the fields in place of which a run may use other values;
        `verify` reads the files and compares their SHA-256 as well.
        """
        entry = self.manifest.last(job.name)
        if entry is None or entry["status"] != "done" or job.recipe is None:
            return "paint"
        files = entry["files"].items()
        whole = all(_size(self.path / name) == entry["bytes"][kind] for kind, name in files)
        if verify and whole:
            whole = all(sha256(self.path / name) == entry["sha256"][kind] for kind, name in files)
        if entry.get("kept"):
            return "keep" if whole else "paint"
        asked = entry.get("asked", {})
        have = {**_DEFAULTS, **upgraded(entry["recipe"]), **asked}
        want = {**json_of(job), **job.asked}
        if job.rejected:
            changes = (*changes, "seed")
        # how cells were grouped is no reason to paint: a picture of version 0.1 keeps its rules
        same = all(have[name] == want[name] for name in RECIPE if name != "restoration")
        painted = same and set(asked) <= {*changes, *FINISH}
        if not (painted and whole and set(kinds) <= set(entry["files"])):
            return "paint"
        finished = all(have[name] == want[name] for name in FINISH) and set(asked) <= set(changes)
        return "keep" if finished else "finish"

    def punk(self, entry: Entry) -> Punk:
        """The punk of an entry, to be finished anew: from its painting if that was kept. Raises BatchError."""
        files = entry["files"]
        path = self.path / files.get(UNLOCKED, files["pixels"])
        try:
            punk = open_punk(path, self.path / files["painting"] if "painting" in files else None)
        except PunkError as error:
            raise BatchError(f"{error}; delete the file, and the same command paints it again") from error
        painting = dataclasses.replace(punk.painting, image=None, restored=punk.painting.cells)  # it stays as it is
        return dataclasses.replace(punk, painting=painting)

    def keep(self, outcome: Outcome, before: Entry | None = None, own: PixelArt | None = None) -> Entry:
        """Writes the files of a job that is done, and its line; of one that failed its line alone.

        `before` is the entry of a punk that is only finished anew: its painting stays. `own` is the art under the
        finish of its own row, which decides what are twins. Raises BatchError where a kept punk would become another.
        """
        job, punk = outcome.job, outcome.punk
        last = self.manifest.last(job.name) or {}
        if last.get("kept") and (job.recipe is None or json_of(job) != json_of(as_painted(job, last))):
            raise BatchError(f"{job.name}: it is kept for good, as --keep asked; nothing of it changes")
        entry: Entry = {"name": job.name, "job": job.number, "status": "done" if punk else "failed"}
        if job.recipe is not None:
            entry["recipe"] = json_of(job)
        if job.asked:
            entry["asked"] = job.asked
        if rejected := job.rejected or (before or {}).get("rejected"):
            entry["rejected"] = list(rejected)
        if last.get("kept"):
            entry["kept"] = True
        if punk is None:
            # those of an earlier recipe go; a row that cannot be read asks for nothing else, so what it had stays
            gone = job.recipe is not None and not last.get("kept")
            for folder in (*KINDS.values(), UNLOCKED) if gone else ():
                (self.path / folder / f"{job.name}.png").unlink(missing_ok=True)
            return self._add({**entry, "error": outcome.error})
        entry |= self._files(job.name, punk)
        entry["cells"] = (own or punk.art).digest
        if before is not None:
            for key in (key for key in _FACTS if "painting" in before[key]):
                entry[key]["painting"] = before[key]["painting"]
            entry["seconds"] = before.get("seconds", {})
        self._add(entry)
        (self.path / UNLOCKED / f"{job.name}.png").unlink(missing_ok=True)
        return entry

    def keep_for_good(self, numbers: Iterable[int]) -> None:
        """Marks punks as kept: no run changes them again. Raises BatchError where one is not done."""
        for number in sorted(numbers):
            entry = self.manifest.last(Job(number=number).name)
            if entry is None or entry["status"] != "done":
                raise BatchError(f"{self.path}: punk {number} is not painted, so it cannot be kept; correct --keep")
            if not entry.get("kept"):
                self._add({**entry, "kept": True})

    def _files(self, name: str, punk: Punk) -> Entry:
        """Writes the files of a punk. -> what the manifest says of them."""
        entry: Entry = {"prompt": punk.painting.prompt}
        if punk.warnings:
            entry["warnings"] = "; ".join(punk.warnings)
        entry |= {key: {} for key in _FACTS}
        writers: dict[str, Callable[[Path], None]] = {
            "image": punk.save,
            "pixels": functools.partial(punk.save, size=24),
        }
        if punk.painting.image is not None:
            writers["painting"] = punk.save_painting
        for kind, write in writers.items():
            path = self.path / KINDS[kind] / f"{name}.png"
            try:
                path.parent.mkdir(exist_ok=True)
                write(path)
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
                    content = file.read()
            except ImageError as error:
                raise BatchError(f"{error}; {AGAIN}") from error
            except OSError as error:
                raise BatchError(f"{path}: cannot be written ({error.strerror or error}); {AGAIN}") from error
            entry["files"][kind] = f"{KINDS[kind]}/{name}.png"
            entry["sha256"][kind] = hashlib.sha256(content).hexdigest()
            entry["bytes"][kind] = len(content)
        seconds = {stage: round(taken, 4) for stage, taken in punk.painting.seconds.items()}
        return entry | {"palette": punk.art.hexes, "confidence": round(punk.art.confidence, 4), "seconds": seconds}

    def _add(self, entry: Entry) -> Entry:
        with self._lock:
            self.manifest.append(entry)
        return entry


def as_painted(job: Job, entry: Entry) -> Job:
    """The job as it was painted: with the seed that --unique or --repaint gave it, and the rules of version 0.1.

    One that is kept for good is the one of its entry.
    """
    if entry.get("kept"):
        recipe, finish = recorded(entry["recipe"])
        return dataclasses.replace(job, recipe=recipe, finish=finish, asked=entry.get("asked", {}), error="")
    if job.recipe is None:
        return job
    was = upgraded(entry["recipe"])
    seed, restoration = was["seed"], was.get("restoration", job.recipe.restoration)
    asked = job.asked if seed == job.recipe.seed else {"seed": job.recipe.seed, **job.asked}
    return dataclasses.replace(job, recipe=job.recipe.replace(seed=seed, restoration=restoration), asked=asked)


def json_of(job: Job) -> dict[str, Any]:
    """The request of a job that has one, as the manifest has it."""
    if job.recipe is None:
        raise ValueError(job.error)
    return json.loads(json.dumps(flat(job.recipe, job.finish)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
