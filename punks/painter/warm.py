"""The base models that a process keeps warm, and what happens when memory runs out."""

# torch is typed in part only
# pyright: reportUnknownMemberType=false

import functools
import gc
import itertools
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

import torch
from PIL import Image

from punks import variants
from punks.errors import DeviceError, PunkError
from punks.files import weights
from punks.painter.device import choose_device
from punks.painter.memory import GB, budget, limit, trim_host
from punks.painter.painter import OnPreview, OnStep, Painted, Painter
from punks.recipe import Recipe
from punks.variants import Variant

_TO_PAINT = 4 * GB  # for 1024 px: decoding takes 1.9 GB (measured), and its CUDA graph keeps as much
log = logging.getLogger(__name__)


class WarmBases:
    """Painters of one device, the most recently used ones, as many as fit in `budget`. Raises DeviceError.

    Several threads may paint: batches are launched one after the other, and one thread waits for its paintings while
    another launches.
    """

    def __init__(self) -> None:
        self.device = choose_device()
        if self.device.type == "cpu":
            # torch shares a tensor out among threads and rounds the end of a share otherwise than the rest, unless it
            # is a whole number of vectors: a power of two divides evenly, and a punk is the same on any machine
            torch.set_num_threads(1 << (torch.get_num_threads().bit_length() - 1))
        self._painters: OrderedDict[str, Painter] = OrderedDict()
        self._launching = threading.Lock()

    def painter(self, variant: Variant) -> Painter:
        """The painter of a variant's base, loaded on first use. Raises WeightsError, DeviceError."""
        name = variant.base.name
        if name not in self._painters:
            self._make_room(variant)
            self._painters[name] = self._load(variant)
        self._painters.move_to_end(name)
        return self._painters[name]

    def healthy(self) -> bool:
        """Whether the device of every painter still computes."""
        return all(painter.healthy() for painter in list(self._painters.values()))

    def paint(
        self,
        recipes: Sequence[Recipe],
        on_step: OnStep | None = None,
        picture: Image.Image | None = None,
        on_preview: OnPreview | None = None,
    ) -> Iterator[Painted]:
        """One painting a recipe, in their order, in as few batches as memory and the length of prompts allow.

        The recipes differ in PER_PICTURE only. `on_step(step, steps)` counts the denoising steps of all batches;
        `on_preview(cells)` sees the first painting appear, `picture` is the RGB one that the recipes start from. Out
        of memory, other bases and CUDA graphs are dropped first, then batches are halved. Raises PunkError.
        """
        with self._launching:
            painter = self.painter(variants.variant(recipes[0].variant))
            left = deque(_batches(recipes, painter))
        last: Iterator[Painted] = iter(())  # painting of a batch: a GPU decodes it while the next batch is launched
        done, may_drop = 0, True
        while left:
            batch = left.popleft()
            report = on_step and functools.partial(_count, on_step, done, done + 1 + len(left))
            painted, failure = last, None
            try:
                with self._launching:
                    painted = painter.paint(batch, report, picture, None if done else on_preview)
            except torch.OutOfMemoryError as error:
                failure = self._out_of_memory("one picture", error)
            except PunkError:
                yield from last
                raise
            yield from last
            if failure is None:
                yield from itertools.islice(painted, len(batch) - (self.device.type == "cuda"))
                last, done, may_drop = painted, done + 1, True
                continue
            # only here, since the traceback of the error holds the tensors of the attempt
            with self._launching:
                others, graphs = self._drop_others(painter), painter.release()
            if may_drop and (others or graphs):
                log.warning("%s was out of memory; trying again without other bases and CUDA graphs", self.device)
                left.appendleft(batch)
                may_drop = False
            elif (half := len(batch) // 2) > 0:
                log.warning("%s has no memory for %d pictures at once; trying %d", self.device, len(batch), half)
                painter.batch_size = half
                left.extendleft([batch[half:], batch[:half]])
                may_drop = True
            else:
                raise failure
        yield from last

    def _load(self, variant: Variant) -> Painter:
        try:
            return Painter(variant, self.device)
        except torch.OutOfMemoryError as error:
            failure = self._out_of_memory(variant.base.name, error)
        if not self._drop_others(None):
            raise failure
        return self._load(variant)

    def _make_room(self, variant: Variant) -> None:
        """Drops the painters used longest ago until the base fits beside the others and any of them can paint."""
        needed = _size(variant, self.device)
        while self._painters:
            side = max(variant.base.side, *(one.base.side for one in self._painters.values()))
            room = min(budget(self.device), limit(self.device) - _TO_PAINT * (side / 1024) ** 2)
            if sum(one.nbytes for one in self._painters.values()) + needed <= room:
                break
            self._drop(next(iter(self._painters)))

    def _drop_others(self, kept: Painter | None) -> bool:
        """Drops every painter but one; whether there were others."""
        others = [name for name, painter in self._painters.items() if painter is not kept]
        for name in others:
            self._drop(name)
        return bool(others)

    def _drop(self, name: str) -> None:
        del self._painters[name]
        gc.collect()  # a pipeline holds itself in cycles
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        trim_host()

    def _out_of_memory(self, what: str, error: torch.OutOfMemoryError) -> DeviceError:
        return DeviceError(
            f"{self.device} has no memory left for {what} ({str(error).splitlines()[0]}); "
            "close other programs that use it, or raise PUNKS_VRAM_GB"
        )


def _batches(recipes: Sequence[Recipe], painter: Painter) -> Iterator[list[Recipe]]:
    """Neighbors whose prompts encode to one length, as many as the painter takes at once."""
    for _, run in itertools.groupby(recipes, key=painter.embedding_length):
        group = list(run)
        yield from (group[start : start + painter.batch_size] for start in range(0, len(group), painter.batch_size))


def _count(on_step: OnStep, done: int, batches: int, step: int, steps: int) -> None:
    on_step(done * steps + step, batches * steps)


def _size(variant: Variant, device: torch.device) -> int:
    """Bytes of a base once it is loaded; its files are in half precision."""
    files = [path for path in weights.base_folder(variant).glob("*/*.safetensors") if path.parent.name != "lora"]
    return sum(path.stat().st_size for path in files) * (1 if device.type == "cuda" else 2)
