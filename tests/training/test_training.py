"""The demo's training at toy size: all stages run, an interruption changes nothing, the LoRA is kohya's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from punks.painter.lora import LoraStack, read_header
from punks.snap import snap
from tests.support import ROOT
from training import dataset, kohya, models
from training.captions import NEGATIVE
from training.dataset import make
from training.diffusion import Denoiser
from training.loop import Loop
from training.rendering import crisp
from training.settings import FULL, TINY, Leg
from training.train import begin, train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer_folder() -> Path:
    return ROOT / "weights" / "demo" / "tokenizer"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> tuple[Path, Path]:
    """The folders `out` and `work` of a toy training."""
    root = tmp_path_factory.mktemp("training")
    out, work = root / "out", root / "work"
    (out / "tokenizer").mkdir(parents=True)
    for file in tokenizer_folder.iterdir():
        (out / "tokenizer" / file.name).write_bytes(file.read_bytes())
    train(TINY, out, work, CPU)
    return out, work


def test_training_writes_a_pipeline_and_a_lora_that_fits_it(trained: tuple[Path, Path]) -> None:
    out, _ = trained
    pipeline = StableDiffusionPipeline.from_pretrained(out, variant="fp16", dtype=torch.float32)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    index = json.loads((out / "model_index.json").read_text())
    assert index["safety_checker"] == [None, None]
    assert not index["requires_safety_checker"]
    for epoch in TINY.kept_epochs:
        file = read_header(kohya.epoch_file(out / "lora", TINY, epoch))
        LoraStack(pipeline).check(file)
        assert file.ranks == [TINY.rank]
        assert file.metadata["ss_network_alpha"] == "2.0"
        assert file.metadata["ss_epoch"] == str(epoch)
        assert {name.split("_")[1] for name in file.modules} == {"unet", "te1"}


def test_training_again_reads_what_is_there_and_ends_the_same(trained: tuple[Path, Path]) -> None:
    out, work = trained
    files = sorted(out.rglob("*.safetensors"))
    before = {file: load_file(file) for file in files}
    results = {file: file.stat().st_mtime_ns for file in work.glob("*.safetensors")}
    train(TINY, out, work, CPU)
    for file in files:
        torch.testing.assert_close(load_file(file), before[file], rtol=0, atol=0)
    assert {file: file.stat().st_mtime_ns for file in results} == results


def test_a_pipeline_is_trained_further(trained: tuple[Path, Path], tmp_path: Path) -> None:
    out, work = trained
    begin(TINY, out, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["base-0.safetensors", "vae.safetensors"]
    published = load_file(work / "base-1.safetensors")
    for name, value in load_file(tmp_path / "base-0.safetensors").items():
        assert torch.equal(value, published[name].half().float()), name


def test_the_loss_sees_the_mouth_before_the_rest() -> None:
    model = Denoiser(TINY, CPU, torch.float32)
    latents, noise = torch.zeros(1, 4, 64, 64), torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    ids, steps = torch.zeros(1, 77, dtype=torch.long), torch.tensor([500])
    with torch.no_grad():
        found = model.unet(model._noise[500] * noise, steps, model.encode(ids), return_dict=False)[0]
        off = (found - model._signal[500] * noise).square()
        expected = (off.sum() + (TINY.detail - 1) * off[..., 34:51, 18:44].sum()) / off.numel()
        torch.testing.assert_close(model.loss(latents, ids, steps, noise), expected)


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    def run(checkpoint: Path | None, stops: list[int]) -> torch.Tensor:
        model = nn.Linear(3, 1)
        for stop in stops:
            torch.manual_seed(0)
            nn.init.zeros_(model.weight)
            nn.init.zeros_(model.bias)
            loop = Loop(
                groups=[(list(model.parameters()), 0.1)],
                leg=Leg(steps=6, batch=1, rate=0.1),
                warmup=2,
                ema=0.9,
                checkpoint=checkpoint,
                checkpoint_seconds=0,
            )

            def loss(step: int) -> torch.Tensor:
                drawn = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
                return (model(drawn) - drawn.sum(1, keepdim=True)).square().mean()

            loop.run(loss, until=stop)
        loop.use(averages=True)
        return model.weight.detach().clone()

    assert torch.equal(run(None, [6]), run(tmp_path / "loop.ckpt", [2, 5, 6]))


def test_the_lora_in_the_model_is_the_one_in_the_file(tmp_path: Path) -> None:
    model = Denoiser(TINY, CPU, torch.float32)
    pristine = {name: value.clone() for name, value in model.unet.state_dict().items()}
    modules = kohya.attach(model.unet, model.text, TINY)
    for low in modules.values():
        nn.init.normal_(low.up, std=0.1)
        low.write()
    kohya.write(tmp_path / "lora.safetensors", modules, TINY, 1)
    expected = {name: value.clone() for name, value in model.unet.state_dict().items()}
    model.unet.load_state_dict(pristine)

    class Pipeline:
        unet, text_encoder = model.unet, model.text

    LoraStack(Pipeline()).fuse([(tmp_path / "lora.safetensors", 1.0)])
    changed = [name for name, value in expected.items() if not torch.equal(value, pristine[name])]
    assert changed
    for name, value in model.unet.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-3)


def test_a_lora_by_hand_has_the_gradients_of_autograd() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 4)
    low = kohya.LowRank(layer.weight, rank=2, alpha=1)
    nn.init.normal_(low.up)
    low.write()
    data = torch.randn(3, 5)
    layer(data).square().sum().backward()
    low.differentiate()
    by_hand = low.up.grad.clone(), low.down.grad.clone()
    low.up.grad = low.down.grad = None
    weight = low._base + low.scale * low.up @ low.down
    nn.functional.linear(data, weight, layer.bias).square().sum().backward()
    torch.testing.assert_close((low.up.grad, low.down.grad), by_hand)


def test_long_captions_become_the_three_chunks_that_the_product_encodes(tokenizer_folder: Path) -> None:
    from punks.painter.encoder import encode_texts
    from punks.painter.model import Model

    tokenizer = models.write_tokenizer(tokenizer_folder)
    model = Denoiser(TINY, CPU, torch.float32)
    text = ", ".join(["pixel art", "24x24", *["careful shading with few colors"] * 15, "teal background"])
    ids = dataset.chunks(tokenizer, [text])
    assert ids.shape == (1, 3, 77)

    served = Model(unet=None, vae=None, scheduler=None, tokenizer=tokenizer, text_encoder=model.text)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode(ids), encode_texts(served, [text], 227)[0])
        negative = model.encode(dataset.chunks(tokenizer, [NEGATIVE]))
        torch.testing.assert_close(negative, encode_texts(served, [NEGATIVE], 227)[0])


def test_crisp_pictures_have_the_grid_and_soft_ones_do_not() -> None:
    portraits = [make(1, 1, i) for i in range(6)]
    confidence: dict[str, list[float]] = {}
    for kind in ("punk", "soft"):
        pictures = dataset.render(portraits, kind, torch.Generator().manual_seed(0), CPU)
        pixels = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        found = [snap(Image.fromarray(one)) for one in pixels]
        confidence[kind] = [one.confidence for one in found]
        if kind == "punk":
            assert all(np.array_equal(one.cells, who.cells) for one, who in zip(found, portraits, strict=True))
    assert min(confidence["punk"]) > 0.95
    assert np.median(confidence["soft"]) < 0.5


def test_crisp_cells_keep_their_colors() -> None:
    cells = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), np.uint8)
    pixels = ((crisp(torch.from_numpy(cells)) + 1) * 127.5).round().byte()[0].permute(1, 2, 0).numpy()
    centres = ((np.arange(24) + 0.5) * 512 / 24).astype(int)
    assert np.array_equal(pixels[centres][:, centres], cells[0])


def test_the_settings_add_up() -> None:
    assert FULL.lora.steps % FULL.lora_epochs == 0
    assert FULL.crisp <= FULL.portraits
    assert FULL.kept_epochs[-1] == FULL.lora_epochs
