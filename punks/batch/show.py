"""What is left to look at when a batch is done: contact sheets, the gallery, and a collection's metadata."""

from collections.abc import Iterable
from pathlib import Path

from punks.batch.collection import CollectionJobs
from punks.batch.gallery import write_gallery
from punks.batch.jobs import Job
from punks.batch.manifest import entries
from punks.batch.metadata import write_metadata
from punks.batch.sheet import write_sheets


def show(folder: Path, jobs: Iterable[Job]) -> str:
    """Writes all of it for the folder as it is now, and says where it lies; of a collection, how rare what is, too.

    `jobs` are those that were painted. Raises BatchError where the disk refuses, ImageError on damaged pixels.
    """
    sheets = write_sheets(folder, entries(folder))
    if not isinstance(jobs, CollectionJobs):
        page = write_gallery(folder, entries(folder))
        return _said(page, sheets)
    page = write_gallery(folder, jobs.described(entries(folder)))
    table = write_metadata(folder, jobs.collection, jobs.described(entries(folder)))
    return f"{_said(page, sheets)}\n\n{table}"


def _said(page: Path, sheets: list[Path]) -> str:
    more = f" to {sheets[-1].name}" if len(sheets) > 1 else ""
    return f"look at it: {page}" + (f", {sheets[0].name}{more}" if sheets else "")
