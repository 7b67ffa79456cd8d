"""Warm bases stay within their budget, make room when memory runs out, and leak nothing."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import ImageChops

from punks import Recipe, variants
from punks.errors import DeviceError, WeightsError
from punks.painter.memory import budget
from punks.painter.painter import Painter
from punks.painter.warm import WarmBases


def recipe(**fields: Any) -> Recipe:
    given = {"prompt": "lady, red hair", "variant": "tiny", "seed": 1, "num_inference_steps": 1, "guidance_scale": 1.0}
    return Recipe(**(given | fields))


def painted(bases: WarmBases, *recipes: Recipe) -> list[bytes]:
    return [image.tobytes() for image, _ in bases.paint(recipes)]


def painter(bases: WarmBases, name: str) -> Painter:
    return bases.painter(variants.variant(name))


def test_bases_are_loaded_once():
    bases = WarmBases()
    assert painter(bases, "tiny") is painter(bases, "tiny")


def test_a_punk_is_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PUNKS_WEIGHTS")
    asked = recipe(variant="demo", num_inference_steps=2, guidance_scale=7.5)
    threads, paintings = torch.get_num_threads(), set[bytes]()
    try:
        for count in (1, 2, 3, 4):
            torch.set_num_threads(count)
            paintings.update(painted(WarmBases(), asked))
    finally:
        torch.set_num_threads(threads)
    assert len(paintings) == 1


def test_a_budget_keeps_the_bases_used_last(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_VRAM_GB", "0.001")
    bases = WarmBases()
    small = weakref.ref(painter(bases, "tiny"))
    painter(bases, "tiny-xl")
    assert small() is None, "the base that was dropped is still held"
    monkeypatch.setenv("PUNKS_VRAM_GB", "1")
    both = painter(bases, "tiny"), painter(bases, "tiny-xl")
    assert (painter(bases, "tiny"), painter(bases, "tiny-xl")) == both


def test_a_budget_leaves_room_to_paint(monkeypatch: pytest.MonkeyPatch):
    bases = WarmBases()
    weights = sum(painter(bases, name).nbytes for name in ("tiny", "tiny-xl"))
    side = variants.variant("tiny-xl").base.side
    painting = 4 * (side / 1024) ** 2
    for gigabytes, both in ((weights / 0.8e9 + 0.0001, False), (weights / 0.8e9 + painting, True)):
        monkeypatch.setenv("PUNKS_VRAM_GB", str(gigabytes))
        bases = WarmBases()
        first = weakref.ref(painter(bases, "tiny"))
        painter(bases, "tiny-xl")
        assert (first() is not None) == both


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_a_budget_that_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_VRAM_GB", text)
    with pytest.raises(DeviceError, match=r"PUNKS_VRAM_GB: .* is not a size; use a number of gigabytes such as 16"):
        budget(torch.device("cpu"))


def test_a_failed_load_leaves_the_others_as_they_were():
    bases = WarmBases()
    before = painted(bases, recipe())
    with pytest.raises(WeightsError):
        painter(bases, "sdxl-fixed")
    assert painted(bases, recipe()) == before


def test_switches_of_base_and_lora_leak_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_VRAM_GB", "0.001")
    bases = WarmBases()
    tensors: list[int] = []
    first = None
    for switch in range(20):  # bench/service.py does 50 and reads the memory
        name = ("tiny", "tiny-xl")[switch % 2]
        painter(bases, name).use_lora(recipe(variant=name, epoch=1 + switch % 2))
        if switch % 4 == 3:
            gc.collect()
            tensors.append(sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()))
            picture = painted(bases, recipe())
            first = first or picture
            assert picture == first
    assert max(tensors[1:]) <= tensors[0] * 1.01


def test_progress_counts_the_steps_of_all_batches():
    steps: list[tuple[int, int]] = []
    three = recipe(num_inference_steps=2).outputs(3)
    list(WarmBases().paint(three, lambda *step: steps.append(step)))
    assert steps == [(i + 1, 6) for i in range(6)]


def full_while(condition: Callable[[], bool], module: Any, name: str) -> None:
    """Makes a module of a pipeline run out of memory for as long as the condition holds."""
    own = getattr(module, name)

    def forward(sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        if condition():
            raise torch.OutOfMemoryError("CUDA out of memory.\nAnd more.")
        return own(sample, *args, **options)

    setattr(module, name, forward)


@pytest.mark.parametrize(("part", "name"), [("unet", "forward"), ("vae", "decode")])
def test_out_of_memory_drops_the_other_bases_before_it_fails(part: str, name: str):
    bases = WarmBases()
    undisturbed = painted(bases, recipe(variant="tiny-xl"))
    other = weakref.ref(painter(bases, "tiny"))
    module = getattr(painter(bases, "tiny-xl").model, part)
    full_while(lambda: other() is not None, module, name)
    assert painted(bases, recipe(variant="tiny-xl")) == undisturbed
    assert other() is None
    full_while(lambda: True, module, name)
    with pytest.raises(
        DeviceError, match=r"cpu has no memory left for one picture \(CUDA out of memory\.\); close other programs"
    ):
        painted(bases, recipe(variant="tiny-xl"))


def test_out_of_memory_while_loading_drops_the_other_bases(monkeypatch: pytest.MonkeyPatch):
    bases = WarmBases()
    undisturbed = painted(bases, recipe(variant="tiny-xl"))
    other = weakref.ref(painter(bases, "tiny"))
    bases._drop("tiny-xl")
    to = torch.Tensor.to

    def full(self: torch.Tensor, *args: Any, **options: Any) -> Any:
        if other() is not None:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return to(self, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", full)
    assert painted(bases, recipe(variant="tiny-xl")) == undisturbed
    monkeypatch.setattr(torch.Tensor, "to", lambda *_args, **_options: full_always())
    with pytest.raises(DeviceError, match="cpu has no memory left for tiny "):
        painter(bases, "tiny")


def full_always() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_out_of_memory_halves_the_batch():
    bases = WarmBases()
    recipes = recipe().outputs(5)
    alone = [image for one in recipes for image, _ in bases.paint([one])]
    tiny = painter(bases, "tiny")
    tiny.batch_size = 8
    rows: list[int] = []
    own = tiny.model.unet.forward

    def forward(sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        rows.append(len(sample))
        if len(sample) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return own(sample, *args, **options)

    tiny.model.unet.forward = forward
    steps: list[tuple[int, int]] = []
    found = list(bases.paint(recipes, lambda *step: steps.append(step)))
    pairs = zip(found, alone, strict=True)
    differences = [ImageChops.difference(image, single).getextrema() for (image, _), single in pairs]
    assert max(high for bands in differences for _, high in bands) <= 1
    assert rows == [5, 2, 3, 1, 2]
    assert steps == [(1, 2), (2, 3), (3, 3)]
    assert tiny.batch_size == 1
    assert all(seconds.keys() == {"lora", "encode", "denoise", "decode"} for _, seconds in found)


def test_the_next_batch_is_launched_before_the_last_painting_of_one_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    bases, recipes = WarmBases(), recipe().outputs(5)
    alone = painted(bases, *recipes)
    tiny = painter(bases, "tiny")
    tiny.batch_size = 2
    bases.device = torch.device("cuda")  # a CPU has painted all when it has launched it
    said: list[str] = []
    own = tiny.paint

    def launched(batch: Any, *args: Any) -> Any:
        said.append(f"{len(batch)} launched")
        return own(batch, *args)

    monkeypatch.setattr(tiny, "paint", launched)
    found: list[bytes] = []
    for image, _ in bases.paint(recipes):
        said.append("painted")
        found.append(image.tobytes())
    assert said == ["2 launched", "painted", "2 launched", *["painted"] * 2, "1 launched", *["painted"] * 2]
    pairs = zip(found, alone, strict=True)
    assert all(max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1 for one, other in pairs)
