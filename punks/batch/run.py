"""Runs jobs into a folder: what is missing, failed or changed is painted or finished anew, the rest is kept."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from punks.batch.folder import WRITERS, Folder, as_painted, json_of, opened
from punks.batch.jobs import Job
from punks.batch.manifest import NAME, Entry, entries
from punks.batch.picks import Rejected
from punks.batch.places.worker import Outcome, Place
from punks.batch.shared_palette import share_palette, twins
from punks.batch.unlike import Others
from punks.errors import BatchError, PunkError
from punks.finish import Finish
from punks.recipe import MAX_SEED, seed_after
from punks.request import FINISH, recorded, upgraded

WAITING = 16  # outcomes that wait for the disk, before the painters do
SEEDS = 20  # that a row tries until its punk is unlike all others
STRIDE = 2_654_435_761  # between them: prime, and far from the seeds of the other rows
_INVERSE = pow(STRIDE, -1, MAX_SEED + 1)


@dataclass(kw_only=True)
class Tally:
    """What became of a run: how many were painted, finished anew or kept, and by number what failed or was alike."""

    done: int = 0
    finished: int = 0
    kept: int = 0
    failed: dict[int, str] = field(default_factory=dict[int, str])
    alike: dict[int, str] = field(default_factory=dict[int, str])


Report = Callable[[Job, str], None]


def require_same(folder: Path, jobs: Iterable[Job]) -> None:
    """Raises BatchError where punks lie in the folder and none of them shows what the job of its number asks for."""
    if not (folder / NAME).exists():
        return
    rows, other = iter(jobs), False
    for entry in entries(folder):
        job = next((one for one in rows if one.number == entry["job"]), None)
        if job is None:
            break
        if job.recipe is None or entry["status"] != "done":
            continue
        asked, painted = json_of(job), upgraded(entry["recipe"])
        if all(asked[key] == painted.get(key) for key in ("prompt", "traits")):
            return
        other = True
    if other:
        raise BatchError(
            f"{folder}: it holds another batch; use another folder, or --overwrite to paint over its punks"
        )


def run(
    jobs: Iterable[Job],
    folder: Path,
    place: Place,
    *,
    unique: bool = False,
    shared_palette: int | None = None,
    verify: bool = False,
    repaint_rejected: bool = False,
    keep: Collection[int] = (),
    unlike: Others | None = None,
    begin: Callable[[], object] = lambda: None,
    report: Report = lambda _job, _status: None,
) -> Tally:
    """Paints every job that is not painted in the folder, at a place, finishes what is, and says what became of all.

    `unique` gives a punk whose 24x24 a row before has other seeds; `shared_palette` is the number of colors that all
    of them share; both iterate `jobs` again. `verify` compares the SHA-256 of every file, and repaints what is damaged;
    `repaint_rejected` paints the punks that picks.json rejects with another seed, which they keep from then on.
    `keep` are numbers of painted punks that no run changes from now on, whatever their jobs ask for; `unlike` gives
    a punk that is too near to one of these others other seeds, too. `begin()` is called when the folder is this run's.
    `report(job, status)` hears of each: done, finished, failed, kept, or again for another seed. Raises BatchError if
    it cannot go on; the same call then does.
    """
    tally = Tally()
    kinds = ("image", "pixels", "painting") if place.paintings else ("image", "pixels")
    changes = (("seed",) if unique or unlike else ()) + (("palette", "background") if shared_palette else ())

    rejected = Rejected(folder) if repaint_rejected else None

    def count(job: Job, status: str, error: str = "") -> None:
        tally.failed.pop(job.number, None)
        tally.failed.update({job.number: error} if status == "failed" else {})
        tally.alike.update({job.number: error} if status == "again" else {})
        if status == "failed":
            tally.alike.pop(job.number, None)
        tally.done += status == "done"
        tally.finished += status == "finished"
        tally.kept += status == "kept"
        if rejected and status == "done":
            rejected.repainted(job.name)
        report(job, status)

    def missing() -> Iterator[Job]:
        for row in jobs:
            entry = at.manifest.last(row.name)
            kept = entry is not None and entry.get("kept")
            again = rejected is not None and row.name in rejected.names and not kept
            job = as_painted(row, entry) if entry and kept else _reseeded(row, entry, again=again)
            todo = at.todo(job, kinds, changes, verify=verify)
            if again or todo == "paint":
                yield job
            elif todo == "keep":
                count(job, "kept")
            else:
                _finish(at, job, count)

    with opened(folder) as at:
        at.keep_for_good(keep)
        begin()
        _paint(at, missing(), place, count)
        while (unique or unlike) and (doubles := list(_doubles(at, jobs, count, unlike, unique=unique))):
            _paint(at, iter(doubles), place, count)
        if shared_palette:
            share_palette(at, jobs, shared_palette)
            for job, first in twins(at, jobs) if unique else ():
                tally.failed[job.number] = f"the same punk as {first} under the shared palette; allow more colors"
    return tally


def finish_folder(folder: Path, change: Callable[[Finish], Finish], advance: Callable[[], object]) -> Tally:
    """Finishes every punk of a folder anew, as `change` says; nothing is painted. `advance()` is called after each.

    Raises BatchError if it cannot go on.
    """
    tally = Tally()

    def count(job: Job, status: str, error: str) -> None:
        tally.finished += status == "finished"
        tally.failed.update({job.number: error} if status == "failed" else {})
        advance()

    with opened(folder) as at:
        for entry in list(entries(folder)):
            if entry["status"] == "done" and not entry.get("kept"):
                recipe, finish = recorded(entry["recipe"])
                asked = entry.get("asked", {})
                _finish(at, Job(number=entry["job"], recipe=recipe, finish=change(finish), asked=asked), count)
    return tally


def _finish(at: Folder, job: Job, count: Callable[[Job, str, str], None]) -> None:
    """Finishes a painted job anew, with the seed that it was painted with; where that fails its files stay."""
    entry = at.manifest.last(job.name)
    if entry is None:
        raise ValueError(job.name)
    job = as_painted(job, entry)
    row = {name: value for name, value in job.asked.items() if name in FINISH}
    try:
        painting = at.punk(entry).painting
        punk = painting.finish(job.finish)
        own = painting.finish(replace(job.finish, **row)).art if row else None
    except PunkError as error:
        count(job, "failed", str(error))
    else:
        at.keep(Outcome(job=replace(job, finish=punk.finish), punk=punk), entry, own)
        count(job, "finished", "")


def _paint(at: Folder, jobs: Iterator[Job], place: Place, count: Callable[[Job, str, str], None]) -> None:
    """Paints jobs and writes what comes back, on threads of its own."""
    refused: deque[Job] = deque()
    waiting: deque[Future[Entry]] = deque()

    def sound() -> Iterator[Job]:
        for job in jobs:
            if job.recipe is None:
                refused.append(job)
            else:
                yield job

    def keep(outcome: Outcome) -> Entry:
        entry = at.keep(outcome)
        count(outcome.job, entry["status"], outcome.error)
        return entry

    with ThreadPoolExecutor(WRITERS) as pool:
        for outcome in place.paint(sound()):
            waiting.append(pool.submit(keep, outcome))
            while len(waiting) > WAITING or (waiting and waiting[0].done()):
                waiting.popleft().result()
            while refused:
                job = refused.popleft()
                keep(Outcome(job=job, error=job.error))
        for future in waiting:
            future.result()
    for job in refused:
        keep(Outcome(job=job, error=job.error))


def _doubles(
    at: Folder, jobs: Iterable[Job], count: Callable[[Job, str, str], None], unlike: Others | None, *, unique: bool
) -> Iterator[Job]:
    """The jobs whose cells those of a job before have, or that are too near to others, with their next seed.

    Cells that were given up for that reason stay with a job before for good, so what every job ends with depends
    neither on the order of painting nor on where a run was cut off: the first of its seeds that no job before has.
    """
    seen = {entry["cells"]: entry["name"] for entry in entries(at.path) if entry.get("kept") and "cells" in entry}
    for job in jobs:
        entry = at.manifest.last(job.name)
        if job.recipe is None or entry is None or entry["status"] != "done" or entry.get("kept"):
            continue
        first = seen.setdefault(entry["cells"], job.name) if unique else job.name
        like = unlike.like(at.path, entry) if unlike else ""
        like = f"the same punk as {first}" if first != job.name else like
        if not like:
            continue
        asked, rejected = job.recipe.seed, tuple(entry.get("rejected", ()))
        seed = _next_seed(asked, [entry["recipe"]["seed"]])
        if _place(asked, seed) >= SEEDS + len(rejected):
            outcome = Outcome(job=job, error=f"{like} with each of {SEEDS} seeds; change its prompt")
            at.keep(outcome)
            count(job, "failed", outcome.error)
            continue
        count(job, "again", like)
        yield replace(job, recipe=job.recipe.replace(seed=seed), asked={"seed": asked}, rejected=rejected)


def _reseeded(job: Job, entry: Entry | None, *, again: bool) -> Job:
    """The job with the next seed where punks of it were rejected; `again` rejects the punk of the entry as well."""
    if job.recipe is None or entry is None or entry["status"] != "done":
        return job
    asked, seed = job.recipe.seed, entry["recipe"]["seed"]
    rejected = (*entry.get("rejected", ()), *((seed,) if again else ()))
    if not rejected or asked != entry.get("asked", {}).get("seed", seed):  # the row has got another seed since
        return job
    recipe = job.recipe.replace(seed=_next_seed(asked, rejected))
    return replace(job, recipe=recipe, asked={"seed": asked}, rejected=rejected)


def _next_seed(asked: int, tried: Iterable[int]) -> int:
    """The first seed of a row's sequence after all that were tried."""
    return seed_after(asked, (max(_place(asked, seed) for seed in tried) + 1) * STRIDE)


def _place(asked: int, seed: int) -> int:
    """The place of a seed in the sequence that starts with the row's own."""
    return (seed - asked) * _INVERSE % (MAX_SEED + 1)
