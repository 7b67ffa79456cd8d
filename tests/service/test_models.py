"""What the service keeps in memory, starts from and touches: bases in a budget, pictures, files and the network."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from PIL import Image, ImageChops

from punks import Recipe, Studio, generate, variants
from punks.cli import main
from punks.errors import DeviceError, RecipeError, WeightsError
from punks.files.init_image import picture_hash
from punks.files.png import read_recipe, write_png, write_webp
from punks.painter.warm import budget
from punks.prompts import complete
from tests.support import ROOT


def recipe(**fields: Any) -> Recipe:
    given = {"prompt": "lady, red hair", "variant": "tiny", "seed": 1, "num_inference_steps": 1, "guidance_scale": 1.0}
    return Recipe(**(given | fields))


def test_a_budget_keeps_the_bases_used_last(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_VRAM_GB", "0.001")
    studio = Studio()
    small = weakref.ref(studio.painter("tiny"))
    studio.painter("tiny-xl")
    assert small() is None, "the base that was dropped is still held"
    monkeypatch.setenv("PUNKS_VRAM_GB", "1")
    both = studio.painter("tiny"), studio.painter("tiny-xl")
    assert (studio.painter("tiny"), studio.painter("tiny-xl")) == both


def test_a_budget_leaves_room_to_paint(monkeypatch: pytest.MonkeyPatch):
    studio = Studio()
    weights = sum(studio.painter(name).nbytes for name in ("tiny", "tiny-xl"))
    side = variants.variant("tiny-xl").base.side
    painting = 4 * (side / 1024) ** 2
    for gigabytes, both in ((weights / 0.8e9 + 0.0001, False), (weights / 0.8e9 + painting, True)):
        monkeypatch.setenv("PUNKS_VRAM_GB", str(gigabytes))
        studio = Studio()
        first = weakref.ref(studio.painter("tiny"))
        studio.painter("tiny-xl")
        assert (first() is not None) == both


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_a_budget_that_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_VRAM_GB", text)
    with pytest.raises(DeviceError, match=r"PUNKS_VRAM_GB: .* is no size; use a number of gigabytes such as 16"):
        budget(torch.device("cpu"))


def test_a_failed_load_leaves_the_studio_as_it_was(monkeypatch: pytest.MonkeyPatch):
    studio = Studio()
    before = studio.generate(recipe()).painting.tobytes()
    with pytest.raises(WeightsError):
        studio.generate(recipe(variant="sdxl-fixed"))
    assert studio.generate(recipe()).painting.tobytes() == before


def test_switches_of_base_and_lora_leak_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_VRAM_GB", "0.001")
    studio = Studio()
    tensors: list[int] = []
    first = None
    for switch in range(20):  # bench/service.py does 50 and reads the memory
        name = ("tiny", "tiny-xl")[switch % 2]
        painter = studio.painter(name)
        painter.use_lora(recipe(variant=name, epoch=1 + switch % 2))
        if switch % 4 == 3:
            gc.collect()
            tensors.append(sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()))
            picture = studio.generate(recipe(variant="tiny")).painting.tobytes()
            first = first or picture
            assert picture == first
    assert max(tensors[1:]) <= tensors[0] * 1.01


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
    studio = Studio()
    undisturbed = studio.generate(recipe(variant="tiny-xl")).painting.tobytes()
    other = weakref.ref(studio.painter("tiny"))
    painter = studio.painter("tiny-xl")
    full_while(lambda: other() is not None, getattr(painter._pipeline, part), name)
    assert studio.generate(recipe(variant="tiny-xl")).painting.tobytes() == undisturbed
    assert other() is None
    full_while(lambda: True, getattr(painter._pipeline, part), name)
    with pytest.raises(
        DeviceError, match=r"cpu has no memory left for one picture \(CUDA out of memory\.\); close what"
    ):
        studio.generate(recipe(variant="tiny-xl"))


def test_out_of_memory_halves_the_batch():
    painter = Studio().painter("tiny")
    recipes = recipe().outputs(5)
    prompts = [one.prompt for one in recipes]
    alone = [next(iter(painter.paint([one], [one.prompt]).images)) for one in recipes]
    rows: list[int] = []
    own = painter._pipeline.unet.forward

    def forward(sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        rows.append(len(sample))
        if len(sample) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return own(sample, *args, **options)

    painter._pipeline.unet.forward = forward
    painted = painter.paint(recipes, prompts)
    differences = [ImageChops.difference(*pair).getextrema() for pair in zip(painted.images, alone, strict=True)]
    assert max(high for bands in differences for _, high in bands) <= 1
    assert rows == [5, 2, 3, 1, 2]
    assert painter.batch_size == 1
    assert {"lora", "encode", "denoise", "decode"} == set(painted.seconds)


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
def test_a_start_from_a_picture_is_what_diffusers_does(tiny_weights: Path, tmp_path: Path, variant: str):
    file = tmp_path / "start.png"
    Image.linear_gradient("L").resize((192, 192)).convert("RGB").save(file)
    asked = recipe(
        variant=variant, lora_scale=0.0, num_inference_steps=4, guidance_scale=7.5, image=picture_hash(file)
    ).replace(prompt_strength=0.6)
    stock = DiffusionPipeline.from_pretrained(tiny_weights / variant, variant="fp16", dtype=torch.float32)
    with Image.open(file) as image:
        want = AutoPipelineForImage2Image.from_pipe(stock)(
            prompt=complete(asked.prompt),
            negative_prompt=asked.negative_prompt,
            image=image,
            strength=0.6,
            generator=torch.Generator().manual_seed(1),
            num_inference_steps=4,
            guidance_scale=7.5,
        ).images[0]
    steps: list[tuple[int, int]] = []
    got = Studio().generate(asked, lambda *step: steps.append(step), file)
    assert got.painting.tobytes() == want.tobytes()
    assert steps == [(1, 2), (2, 2)]


def test_a_recipe_starts_from_the_very_picture_that_it_names(tmp_path: Path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file, color in zip(files, ("red", "blue"), strict=True):
        Image.new("RGBA", (24, 30), color).save(file)
    asked = recipe(image=picture_hash(files[0]), prompt_strength=1.0)
    studio = Studio()
    once = studio.generate(asked, image=files[0]).painting.tobytes()
    assert studio.generate(Recipe.from_json(asked.to_json()), image=files[0]).painting.tobytes() == once
    assert generate(asked, image=files[0]).painting.tobytes() == once
    for wrong in (files[1], None):
        with pytest.raises(RecipeError, match=r"image: .*give the file with the SHA-256"):
            studio.generate(asked, image=wrong)
    with pytest.raises(RecipeError, match="starts from no picture"):
        studio.generate(recipe(), image=files[0])
    with pytest.raises(
        RecipeError, match=r"prompt_strength: 0\.4 is not allowed; of 2 steps none is left; use 0\.5 to 1"
    ):
        recipe(image="0" * 64, num_inference_steps=2, prompt_strength=0.4)
    with pytest.raises(RecipeError, match="none is left; use 1, or more steps"):
        recipe(image="0" * 64, num_inference_steps=1, prompt_strength=0.4)
    with pytest.raises(RecipeError, match=r"image: 'a\.png' is not allowed; a recipe names its picture by the SHA-256"):
        recipe(image="a.png")


def test_the_command_line_starts_from_a_picture_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start, once, again = (str(tmp_path / name) for name in ("start.png", "once.png", "again.png"))
    Image.new("RGB", (24, 24), "teal").save(start)
    paint = ["generate", "lady", "--variant", "tiny", "--steps", "2", "--seed", "1", "--prompt-strength", "0.5"]
    assert main([*paint, "--image", start, "-o", once]) == 0
    assert main(["generate", "--recipe", once, "--image", start, "-o", again]) == 0
    assert Path(once).read_bytes() == Path(again).read_bytes()
    assert main(["generate", "--recipe", once, "-o", again]) == 2
    assert "image: nothing is given; give the file with the SHA-256" in capsys.readouterr().err
    assert main([*paint, "--image", str(tmp_path / "absent.png")]) == 1


def test_png_and_webp_carry_any_recipe(tmp_path: Path):
    asked = recipe(prompt='dåme 漢字 🙂 "quoted" \\ #f00', palette="prompt")
    for name, write in (("x.png", write_png), ("x.webp", write_webp)):
        write(Image.new("RGBA", (24, 24), (1, 2, 3, 0)), tmp_path / name, asked)
        assert read_recipe(tmp_path / name) == asked
        with Image.open(tmp_path / name) as image:
            assert image.convert("RGBA").getpixel((0, 0)) == (1, 2, 3, 0)


WATCHED = """
import os, sys, tempfile
from pathlib import Path
events = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec"):
        events.append((event, str(args)[:200]))
    if event == "open" and not isinstance(args[0], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
        events.append((event, str(args[0])))
from punks.service import Service
import punks.painter.painter
sys.addaudithook(watch)
service = Service()
service.warm_up("sd15-perfect")
inputs = dict(prompt="$(touch x) `touch x` ../../x", seed=1, num_inference_steps=1, num_outputs=1, output_format="webp",
              return_painting=True, image=None)
service.answer(inputs, lambda name, value: None)
home = tempfile.gettempdir()
strangers = [e for e in events if not (e[0] == "open" and e[1].startswith(home))]
print("STRANGERS", strangers)
"""


def test_painting_opens_no_connection_no_program_and_no_file_elsewhere(served_weights: Path, tmp_path: Path):
    command = [sys.executable, "-c", WATCHED]
    root = ROOT
    environment = {"PATH": "", "PUNKS_WEIGHTS": str(served_weights), "PUNKS_DEVICE": "cpu", "TMPDIR": str(tmp_path)}
    environment |= {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "STRANGERS []"
    assert variants.DEFAULT in done.stdout
