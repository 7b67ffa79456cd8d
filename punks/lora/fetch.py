"""What a variant is made of, and where each file comes from: the base from its sources, the LoRA from where it is said.

huggingface_hub lists a repository and the hash of each of its files; `transfer` brings them.
"""

import errno
import os
import re
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from punks.errors import LoraError, RecipeError, WeightsError
from punks.files import weights
from punks.files.checksums import recorded, sha256
from punks.files.transfer import AGAIN, SIGN_IN, Item, Say, arrived, bring, hub_token, require_room
from punks.files.weights import fault
from punks.lora.file import check, other_rank, read_header
from punks.lora.modules import module_shapes
from punks.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

_WAYS = """say where it is with --lora or PUNKS_LORA_URL:
  https://...                the address of the file itself
  /some/path                 the file, or a folder that holds the files by the names kohya gave them
  hf:OWNER/REPO[@REVISION]   a Hugging Face repository (HF_TOKEN is used if set)"""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def fetch(variants: Sequence[Variant], epoch: int | Literal["all"] | None, lora: str | None, say: Say) -> None:
    """Fetches the base and the LoRA of each variant: one epoch (None: the variant's own), or all that the source has.

    `lora` is a URL, a path or `hf:OWNER/REPO[@REVISION]`; None reads PUNKS_LORA_URL. Files that are there and whole
    are kept. Raises WeightsError and RecipeError; what had arrived by then is kept for the next call.
    """
    for row in variants:
        if row.embedded:
            raise WeightsError(f"variant {row.name} is part of the repository: there is nothing to fetch")
        if isinstance(epoch, int) and not 1 <= epoch <= row.epochs:
            raise RecipeError("epoch", epoch, f"{row.name} has epochs 1 to {row.epochs}")
    root = weights.folder()
    source = lora or os.environ.get("PUNKS_LORA_URL") or None
    with _writing(root, say):
        # the small files first: a mistyped source should not cost the download of a base
        for row in variants:
            numbers = range(1, row.epochs + 1) if epoch == "all" else (epoch or row.epoch,)
            for item in _lora_items(row, numbers, source, alone=len(variants) == 1):
                bring(root, item, say, partial(_lora_fault, row))
        for row in {row.base.name: row for row in variants}.values():
            if _base_is_good(root, row):
                say(f"{row.base.name}: kept")
                continue
            items = _base_items(row)
            coming = [item for item in items if not item.target.is_file()]
            require_room(root, sum((item.size or 0) - arrived(item) for item in coming))
            for item in items:
                bring(root, item, say)


@contextmanager
def _writing(root: Path, say: Say) -> Generator[None]:
    """Holds the lock of the folder, and says a folder that cannot be written as a WeightsError."""
    from filelock import FileLock, Timeout

    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another fetch is writing to {root}: waiting until it is done")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except KeyboardInterrupt:
        say(f"stopped; {AGAIN}")
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise WeightsError(f"the disk of {root} is full; make room or set PUNKS_WEIGHTS, then {AGAIN}") from error
        if error.errno in _UNWRITABLE:
            place = f"{error.filename or root}: {error.strerror}"
            raise WeightsError(f"{place}; set PUNKS_WEIGHTS to a folder that can be written") from error
        raise


def _lora_items(variant: Variant, epochs: Sequence[int], source: str | None, *, alone: bool) -> list[Item]:
    targets = {variant.lora_file(number): weights.lora_path(variant, number) for number in epochs}
    if source is None:
        return [
            Item(target=target, shown=f"nowhere to fetch the LoRA {name} from; {_WAYS}")
            for name, target in targets.items()
        ]
    if source.startswith("hf:"):
        return _loras_on_hub(source, targets)
    if "://" in source:
        item = _lora_at_url(source, next(iter(targets.values())))
    else:
        path = Path(source).expanduser()
        if path.is_dir():
            present = {file.name: file for file in sorted(path.glob("*.safetensors"))}
            names = _pick(source, targets, present)
            return [_local_item(present[name], targets[name]) for name in names]
        if not path.is_file():
            raise WeightsError(f"LoRA {source}: no such file or folder; {_WAYS}")
        item = _local_item(path, next(iter(targets.values())))
    if len(targets) > 1 or not alone:
        raise WeightsError(f"{item.shown} is one file and several are asked for: give a folder or hf:OWNER/REPO")
    owners = {row.lora_file(number): (row, number) for row in VARIANTS.values() for number in range(1, row.epochs + 1)}
    owner, number = owners.get(PurePosixPath(item.shown).name, (variant, epochs[0]))
    if (owner, number) != (variant, epochs[0]):
        raise WeightsError(f"{item.shown} is epoch {number} of {owner.name}, not epoch {epochs[0]} of {variant.name}")
    return [item]


def _lora_fault(row: Variant, path: Path) -> str | None:
    """What is wrong with a file as an epoch of the variant, whose base need not be here."""
    if wrong := fault(path):
        return wrong
    file, why = read_header(path), None
    if shapes := module_shapes(row):
        try:
            check(file, shapes)
        except LoraError as error:
            why = f"{row.name}: {str(error).removeprefix(f'{path}: ')}"
    why = other_rank(file, row) or why
    return why and f"not an epoch of {why}; give the file that this training wrote"


def _local_item(path: Path, target: Path) -> Item:
    return Item(target=target, shown=str(path), origin=path, digest=sha256(path))


def _lora_at_url(source: str, target: Path) -> Item:
    import httpx2
    from huggingface_hub import constants

    try:
        url = httpx2.URL(source)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise WeightsError(f"the address of the LoRA is not one of http or https; {_WAYS}")
    # what else an address holds may be a secret
    shown = url.copy_with(userinfo=b"", query=None, fragment=None)
    hub = httpx2.URL(constants.ENDPOINT)
    return Item(target=target, shown=str(shown), origin=url, hub=shown.copy_with(path="/") == hub.copy_with(path="/"))


def _loras_on_hub(source: str, targets: dict[str, Path]) -> list[Item]:
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@(\S+))?", source)
    if not match:
        raise WeightsError(f"{source!r} is not hf:OWNER/REPO or hf:OWNER/REPO@REVISION")
    repo, revision = match[1], match[2] or "main"
    files = {
        PurePosixPath(file.path).name: file for file in _tree(repo, revision) if file.path.endswith(".safetensors")
    }
    return [_hub_item(repo, revision, files[name], targets[name]) for name in _pick(source, targets, files)]


def _pick(source: str, targets: Iterable[str], present: Collection[str]) -> list[str]:
    """The names that are present. Raises WeightsError, naming what is, if none are."""
    if names := [name for name in targets if name in present]:
        return names
    has = f"it has {', '.join(sorted(present)[:12])}" if present else "it has no .safetensors file"
    raise WeightsError(f"{source} has no {' or '.join(targets)}; {has}")


def _base_is_good(root: Path, variant: Variant) -> bool:
    """Whether an earlier call brought all of the base, model_index.json last, and every file is as it was recorded."""
    base = weights.base_folder(variant).relative_to(root).as_posix()
    sums = {name: digest for name, digest in recorded(root).items() if name.startswith(f"{base}/")}
    sums = {name: digest for name, digest in sums.items() if not name.startswith(f"{base}/lora/")}
    return f"{base}/model_index.json" in sums and all(
        (root / name).is_file() and sha256(root / name) == digest for name, digest in sums.items()
    )


def _base_items(variant: Variant) -> list[Item]:
    """Every file of the base; model_index.json comes last, so that a base which has it is whole."""
    items: list[Item] = []
    for source in variant.base.sources:
        files = [file for file in _tree(source.repo, source.revision) if not file.path.endswith((".bin", ".ckpt"))]
        for pattern in source.files:
            if not any(fnmatchcase(file.path, pattern) for file in files):
                raise WeightsError(f"{source.repo} at {source.revision[:12]} has no {pattern}")
        place = weights.base_folder(variant) / source.folder
        items += [
            _hub_item(source.repo, source.revision, file, place / file.path)
            for file in files
            if any(fnmatchcase(file.path, pattern) for pattern in source.files)
        ]
    return sorted(items, key=lambda item: item.target.name == "model_index.json")


def _hub_item(repo: str, revision: str, file: "RepoFile", target: Path) -> Item:
    import httpx2
    from huggingface_hub import hf_hub_url

    return Item(
        target=target,
        shown=f"{repo}/{file.path}",
        origin=httpx2.URL(hf_hub_url(repo, file.path, revision=revision)),
        hub=True,
        size=file.size,
        digest=file.lfs.sha256 if file.lfs else file.blob_id,
    )


def _tree(repo: str, revision: str) -> list["RepoFile"]:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.hf_api import RepoFile

    try:
        entries = list(HfApi(token=hub_token() or False).list_repo_tree(repo, recursive=True, revision=revision))
    except OfflineModeIsEnabled:
        reason = "HF_HUB_OFFLINE is set, so nothing can be fetched"
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            reason = f"no such repository or revision, or it is private (HTTP {status}); {SIGN_IN}"
        else:
            reason = f"the hub answers HTTP {status}; {AGAIN}"
    except httpx2.RequestError as error:
        reason = f"no connection to the hub ({error}); {AGAIN}"
    else:
        return [entry for entry in entries if isinstance(entry, RepoFile)]
    raise WeightsError(f"{repo} at {revision[:12]}: {reason}")
