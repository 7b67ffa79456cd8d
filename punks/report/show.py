"""What is left to look at when a batch is done: contact sheets, the gallery, and a collection's metadata."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from punks.batch.collection.draw import CollectionJobs
from punks.batch.folder import KINDS
from punks.batch.jobs import Job
from punks.batch.manifest import NAME as MANIFEST
from punks.batch.manifest import Entry, entries, warnings
from punks.report.gallery import write_gallery
from punks.report.metadata import write_metadata
from punks.report.sheet import write_sheets

_LISTED, _NAMED = 20, 5  # warnings, and punks of each


def show(folder: Path, jobs: Iterable[Job]) -> str:
    """Writes all of it for the folder as it is now, and says where it lies; of a collection, how rare what is, too.

    `jobs` are those that were painted. Raises BatchError where the disk refuses, ImageError on damaged pixels.
    """
    if not isinstance(jobs, CollectionJobs):
        return show_folder(folder)
    said = [_shown(folder, lambda: jobs.described(entries(folder)))]
    if others := [entry["name"] for entry in entries(folder) if entry["job"] > len(jobs) and entry["status"] == "done"]:
        many = f"{others[0]} to {others[-1]} are" if len(others) > 1 else f"{others[0]} is"
        said.append(f"{many} of a larger collection that was here before, in {folder / KINDS['image']} too")
    said.append(write_metadata(folder, jobs.collection, jobs.described(entries(folder))))
    return "\n".join(said)


def show_folder(folder: Path) -> str:
    """Writes sheets and gallery of a folder as it is now, and says where they are."""
    return _shown(folder, lambda: entries(folder))


def _shown(folder: Path, punks: Callable[[], Iterable[Entry]]) -> str:
    sheets, page = write_sheets(folder, punks()), write_gallery(folder, punks())
    return "\n".join([*_warned(punks()), _said(page, sheets)])


def _warned(punks: Iterable[Entry]) -> Iterator[str]:
    """Lines on what of the recipes could not be done, each with the punks that it is about."""
    names: dict[str, list[str]] = {}
    for entry in punks:
        if entry["status"] == "done" and (said := warnings(entry)):
            names.setdefault(said, []).append(entry["name"])
    for said, who in list(names.items())[:_LISTED]:
        more = f" and {len(who) - _NAMED} more" if len(who) > _NAMED else ""
        yield f"{', '.join(who[:_NAMED])}{more}: {said}"
    if len(names) > _LISTED:
        yield f"and other warnings, in {MANIFEST}"


def _said(page: Path, sheets: list[Path]) -> str:
    more = f" to {sheets[-1].name}" if len(sheets) > 1 else ""
    return f"look at it: {page}" + (f", {sheets[0].name}{more}" if sheets else "")
