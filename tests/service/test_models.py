"""What the service starts from and touches: pictures, files and the network."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from PIL import Image

from punks import Finish, Recipe, generate, paint, variants
from punks.cli import main
from punks.errors import RecipeError
from punks.files.init_image import picture_hash
from punks.prompts import complete
from punks.request import from_json, to_json
from tests.support import ROOT


def recipe(**fields: Any) -> Recipe:
    given = {"prompt": "lady, red hair", "variant": "tiny", "seed": 1, "num_inference_steps": 1, "guidance_scale": 1.0}
    return Recipe(**(given | fields))


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
def test_a_start_from_a_picture_is_what_diffusers_does(tiny_weights: Path, tmp_path: Path, variant: str):
    file = tmp_path / "start.png"
    Image.linear_gradient("L").resize((192, 192)).convert("RGB").save(file)
    asked = recipe(
        variant=variant, lora_scale=0.0, num_inference_steps=4, guidance_scale=7.5, image_sha256=picture_hash(file)
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
    got = paint(asked, lambda *step: steps.append(step), file)
    assert got.image
    assert got.image.tobytes() == want.tobytes()
    assert steps == [(1, 2), (2, 2)]


def test_a_recipe_starts_from_the_very_picture_that_it_names(tmp_path: Path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file, color in zip(files, ("red", "blue"), strict=True):
        Image.new("RGBA", (24, 30), color).save(file)
    asked = recipe(image_sha256=picture_hash(files[0]), prompt_strength=1.0)
    once = painted(asked, files[0])
    again, _ = from_json(to_json(asked, Finish()))
    assert painted(again, files[0]) == once
    punk = generate(asked, image=files[0])
    assert punk.painting.image
    assert punk.painting.image.tobytes() == once
    for wrong in (files[1], None):
        with pytest.raises(RecipeError, match=r"image: .*give the file with the SHA-256"):
            paint(asked, image=wrong)
    with pytest.raises(RecipeError, match="starts from no picture"):
        paint(recipe(), image=files[0])


def painted(asked: Recipe, image: Path) -> bytes:
    found = paint(asked, image=image).image
    assert found
    return found.tobytes()


def test_the_command_line_starts_from_a_picture_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start, once, again = (str(tmp_path / name) for name in ("start.png", "once.png", "again.png"))
    Image.new("RGB", (24, 24), "teal").save(start)
    command = ["generate", "lady", "--variant", "tiny", "--steps", "2", "--seed", "1", "--prompt-strength", "0.5"]
    assert main([*command, "--image", start, "-o", once]) == 0
    assert main(["generate", "--recipe", once, "--image", start, "-o", again]) == 0
    assert Path(once).read_bytes() == Path(again).read_bytes()
    assert main(["generate", "--recipe", once, "-o", again]) == 2
    assert "image: missing; give the file with the SHA-256" in capsys.readouterr().err
    assert main([*command, "--image", str(tmp_path / "absent.png")]) == 1


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
              return_painting=True, image=None, lora=None)
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
