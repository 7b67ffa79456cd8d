"""Fetches what a variant is made of: its base from its Hugging Face sources, its LoRA from where the user says."""

import errno
import os
import re
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from punks.errors import LoraError, RecipeError, WeightsError
from punks.fast import OFF, Acceleration, accelerations
from punks.files import weights
from punks.files.checksums import damaged, sha256
from punks.files.transfer import AGAIN, SIGN_IN, Item, Say, arrived, bring, hub_token, keep, require_room
from punks.lora.file import check, other_rank, read_header
from punks.lora.modules import module_shapes
from punks.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

_SOURCES = """--lora (or PUNKS_LORA_URL) takes
  https://...                the address of the file
  /some/path                 the file, or a folder with the files as kohya named them
  hf:OWNER/REPO[@REVISION]   a Hugging Face repository (uses HF_TOKEN if set)"""
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


def fetch(
    variants: Sequence[Variant], epoch: int | Literal["all"] | None, lora: str | None, say: Say, *, fast: str = OFF
) -> None:
    """Fetches the base and the LoRA of each variant: one epoch (None: the variant's own), or all that the source has.

    `lora` is a URL, a path or `hf:OWNER/REPO[@REVISION]`; None reads PUNKS_LORA_URL. `fast` names the acceleration
    LoRA of each base that is fetched as well; "on" fetches all. Whole files are kept.
    Raises WeightsError and RecipeError; the next call continues partial files.
    """
    for row in variants:
        if row.embedded:
            raise WeightsError(f"variant {row.name} comes with punks; there is nothing to fetch")
        if isinstance(epoch, int) and not 1 <= epoch <= row.epochs:
            raise RecipeError("epoch", epoch, f"{row.name} has epochs 1 to {row.epochs}")
    quick = [(row, one) for row in variants for one in accelerations(row.base.name, fast)] if fast != OFF else []
    root, source = weights.folder(), lora or os.environ.get("PUNKS_LORA_URL")
    with writing(root, say):
        # the small files first: a mistyped source should not cost the download of a base
        for row in variants:
            numbers = range(1, row.epochs + 1) if epoch == "all" else (epoch or row.epoch,)
            targets = {row.lora_file(number): weights.lora_path(row, number) for number in numbers}
            fault = partial(_lora_fault, row)
            for item in _lora_items(source, targets, several=len(variants) > 1) if source else ():
                bring(root, item, say, fault)
            for name, target in () if source else targets.items():
                if not keep(root, target, say, fault):
                    raise WeightsError(f"{name}: no source given for the LoRA; pass --lora FILE\n{_SOURCES}")
        for row, one in quick:
            _bring_fast(root, weights.fast_path(row, one), one, say)
        for row in {row.base.name: row for row in variants}.values():
            sums = weights.base_sums(row)
            whole = f"{row.base.name}/model_index.json" in sums and all((root / name).is_file() for name in sums)
            if whole and not damaged(root, sums):
                say(f"{row.base.name}: kept")
                continue
            items = _base_items(row)
            coming = [item for item in items if not item.target.is_file()]
            require_room(root, sum((item.size or 0) - arrived(item) for item in coming))
            for item in items:
                bring(root, item, say)


@contextmanager
def writing(root: Path, say: Say) -> Generator[None]:
    """Holds the lock of the folder; a folder that cannot be written is a WeightsError."""
    from filelock import FileLock, Timeout

    lock = FileLock(root / ".lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another fetch into {root}")
            lock.acquire()
        yield
    except KeyboardInterrupt:
        say(f"stopped; {AGAIN}")
        raise
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        way = f"make room or set PUNKS_WEIGHTS to a folder that can be written, then {AGAIN}"
        raise WeightsError(f"{error.filename or root}: {error.strerror}; {way}") from error
    finally:
        lock.release()


def _lora_items(source: str, targets: Mapping[str, Path], *, several: bool) -> list[Item]:
    """The files of a source by the names they get; `several`: other variants are fetched from it as well."""
    if source.startswith("hf:"):
        return _loras_on_hub(source, targets)
    path = None if "://" in source else weights.expanded(source, "lora")
    if path and path.is_dir():
        present = {file.name: file for file in path.glob("*.safetensors")}
        return [_local_item(present[name], targets[name]) for name in _pick(source, targets, present)]
    name, target = next(iter(targets.items()))
    if path and not path.is_file():
        raise WeightsError(f"LoRA {source}: no such file or folder\n{_SOURCES}")
    item = _local_item(path, target) if path else at_url(source, target)
    if len(targets) > 1 or several:
        raise WeightsError(f"{item.shown} is a single file, but several are needed; give a folder or hf:OWNER/REPO")
    given = PurePosixPath(item.shown).name
    for row in VARIANTS.values():
        for number in range(1, row.epochs + 1):
            if given == row.lora_file(number) != name:
                raise WeightsError(f"{item.shown} is epoch {number} of {row.name}; {name} was asked for")
    return [item]


def _bring_fast(root: Path, target: Path, row: Acceleration, say: Say) -> None:
    if keep(root, target, say, digest=row.sha256):
        return
    file = next((file for file in hub_files(row.repo, row.revision) if file.path == row.path), None)
    if file is None:
        raise WeightsError(f"{row.repo} at {row.revision[:12]} has no {row.path}")
    bring(root, replace(hub_item(row.repo, row.revision, file, target), digest=row.sha256), say)


def _local_item(path: Path, target: Path) -> Item:
    try:
        return Item(target=target, shown=str(path), origin=path, digest=sha256(path))
    except OSError as error:
        raise WeightsError(f"LoRA {path}: {error.strerror}") from error


def at_url(source: str, target: Path) -> Item:
    import httpx2

    try:
        url = httpx2.URL(source)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise WeightsError(f"the address of the LoRA must begin with http:// or https://\n{_SOURCES}")
    # the rest of an address may be a secret
    return Item(target=target, shown=str(url.copy_with(userinfo=b"", query=None, fragment=None)), origin=url)


def _loras_on_hub(source: str, targets: Mapping[str, Path]) -> list[Item]:
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@(\S+))?", source)
    if not match:
        raise WeightsError(f"{source!r} is not hf:OWNER/REPO or hf:OWNER/REPO@REVISION")
    repo, revision = match[1], match[2] or "main"
    files = {PurePosixPath(file.path).name: file for file in hub_files(repo, revision)}
    loras = [name for name in files if name.endswith(".safetensors")]
    return [hub_item(repo, revision, files[name], targets[name]) for name in _pick(source, targets, loras)]


def _pick(source: str, wanted: Iterable[str], present: Collection[str]) -> list[str]:
    """The wanted names that are present. Raises WeightsError if none is."""
    if names := [name for name in wanted if name in present]:
        return names
    has = f"it has {', '.join(sorted(present)[:12])}" if present else "it has no .safetensors file"
    raise WeightsError(f"{source} has no {' or '.join(wanted)}; {has}")


def _lora_fault(row: Variant, path: Path) -> str | None:
    """What is wrong with a file as an epoch of the variant, whose base need not be here."""
    if wrong := weights.fault(path):
        return wrong
    file, why = read_header(path), None
    if shapes := module_shapes(row):
        try:
            check(file, shapes)
        except LoraError as error:
            why = f"{row.name}: {str(error).removeprefix(f'{path}: ')}"
    why = other_rank(file, row) or why
    return why and f"not an epoch of {why}; use the file that this training wrote"


def _base_items(variant: Variant) -> list[Item]:
    """Every file of the base; model_index.json comes last, so that a base which has it is whole."""
    items: list[Item] = []
    for source in variant.base.sources:
        files = [file for file in hub_files(source.repo, source.revision) if not file.path.endswith((".bin", ".ckpt"))]
        place = weights.base_folder(variant) / source.folder
        for pattern in source.files:
            found = [file for file in files if fnmatchcase(file.path, pattern)]
            if not found:
                raise WeightsError(f"{source.repo} at {source.revision[:12]} has no {pattern}")
            items += [hub_item(source.repo, source.revision, file, place / file.path) for file in found]
    return sorted(items, key=lambda item: item.target.name == "model_index.json")


def hub_item(repo: str, revision: str, file: "RepoFile", target: Path) -> Item:
    import httpx2
    from huggingface_hub import hf_hub_url

    return Item(
        target=target,
        shown=f"{repo}/{file.path}",
        origin=httpx2.URL(hf_hub_url(repo, file.path, revision=revision)),
        size=file.size,
        digest=file.lfs.sha256 if file.lfs else file.blob_id,
    )


def hub_files(repo: str, revision: str) -> list["RepoFile"]:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.hf_api import RepoFile

    try:
        entries = list(HfApi(token=hub_token() or False).list_repo_tree(repo, recursive=True, revision=revision))
    except OfflineModeIsEnabled:
        why = "HF_HUB_OFFLINE is set; unset it to fetch"
    except HfHubHTTPError as error:
        status = error.response.status_code
        why = f"the hub answers HTTP {status}; {AGAIN}"
        if status in (401, 403, 404):
            why = f"no such repository or revision, or it is private (HTTP {status}); {SIGN_IN}"
    except httpx2.RequestError as error:
        why = f"no connection to the hub ({error}); {AGAIN}"
    else:
        return [entry for entry in entries if isinstance(entry, RepoFile)]
    raise WeightsError(f"{repo} at {revision[:12]}: {why}")
