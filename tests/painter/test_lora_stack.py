"""Several LoRAs at once are summed exactly and rounded once; the kept ones stay within a budget."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.random_models import kohya_names, write_lora
from punks.errors import LoraError
from punks.lora.file import read_header
from punks.painter.lora import LoraStack
from tests.support.lora_files import ACCELERATED, EPOCH_7, PERFECT, factors, load, paths, weights

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["tiny", "tiny-xl"])
def base(request: pytest.FixtureRequest, tiny_weights: Path) -> tuple[Any, Path]:
    """A pipeline and its LoRA of epoch 1."""
    name = request.param
    return load(tiny_weights, name), tiny_weights / name / "lora" / f"{name.replace('-', '_')}-000001.safetensors"


@pytest.mark.parametrize(
    ("device", "dtype"),
    [("cpu", torch.float32), ("cpu", torch.float16), pytest.param("cuda", torch.float16, marks=needs_cuda)],
)
def test_a_stack_is_the_sum_rounded_once(device: str, dtype: torch.dtype, base: tuple[Any, Path], tmp_path: Path):
    pipeline, path = base[0].to(device, dtype), base[1]
    fast, other = tmp_path / "fast.safetensors", path.with_name(path.name.replace("-000001", ""))
    xl = hasattr(pipeline, "text_encoder_2")
    modules = {name: shape for name, shape in paths(pipeline).items() if ACCELERATED.fullmatch(name)}
    save_file(factors(modules, "PEFT", xl=xl, rank=3, alpha=None), fast)
    stack, before = LoraStack(pipeline), weights(pipeline)
    loras = [(path, 0.8), (fast, 1.0), (other, -0.3), (path, 0.1)]
    stack.fuse(loras)
    want = {name: weight.cpu().double() for name, weight in before.items()}
    for file, scale in loras:
        tensors, header = load_file(file), read_header(file)
        for name, (down, up) in header.factors.items():
            rank, alpha = tensors[down].shape[0], header.modules[name].get("alpha")
            ratio = tensors[alpha].double() / rank if alpha else 1.0
            delta = tensors[up].double().flatten(1) @ tensors[down].double().flatten(1)
            want[name] += (scale * ratio * delta).view_as(want[name])
    # half a step of float16, and what float32 loses in the sum
    error = {torch.float32: 0, torch.float16: 2**-11}[dtype]
    for name, weight in weights(pipeline).items():
        torch.testing.assert_close(weight.cpu().double(), want[name], rtol=error + 1e-6, atol=2e-6)
    fused = weights(pipeline)
    stack.fuse([(other, 1.0)])
    stack.fuse(loras)
    assert all(torch.equal(weight, fused[name]) for name, weight in weights(pipeline).items())
    stack.clear()
    assert all(torch.equal(weight, before[name]) for name, weight in weights(pipeline).items())


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")  # set_adapters needs two
def test_a_stack_agrees_with_set_adapters_and_fuse_lora(base: tuple[Any, Path], tiny_weights: Path, tmp_path: Path):
    pipeline, path = base
    reference, fast = load(tiny_weights, path.parent.parent.name), tmp_path / "fast.safetensors"
    modules = {name: shape for name, shape in paths(pipeline).items() if ACCELERATED.fullmatch(name)}
    save_file(factors(modules, "kohya", xl=hasattr(pipeline, "text_encoder_2"), alpha=8), fast)
    LoraStack(pipeline).fuse([(path, 1.2), (fast, 0.9)])
    reference.load_lora_weights(path, adapter_name="punk")
    reference.load_lora_weights(fast, adapter_name="fast")
    reference.set_adapters(["punk", "fast"], [1.2, 0.9])
    reference.fuse_lora(adapter_names=["punk", "fast"])
    reference.unload_lora_weights()
    theirs = weights(reference)
    for name, weight in weights(pipeline).items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-5, atol=1e-5)


def test_kept_loras_stay_within_the_budget(tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, "tiny")
    files = [tmp_path / f"{i}.safetensors" for i in range(4)]
    for i, file in enumerate(files):
        write_lora(file, pipeline, rank=4, alpha=2, seed=i)
    size = sum(tensor.nbytes for tensor in load_file(files[0]).values())
    stack = LoraStack(pipeline, kept_bytes=int(2.5 * size))
    pristine = sum(weight.nbytes for weight in kohya_names(pipeline).values())
    for file in files:
        stack.fuse([(file, 1.0)])
        assert stack.nbytes <= pristine + 2.5 * size
    want = weights(pipeline)
    files[2].unlink()
    with pytest.raises(LoraError, match=r"2\.safetensors cannot be read: No such file"):
        stack.fuse([(files[2], 1.0)])
    stack.fuse([(file, 0.5) for file in (files[0], files[1], files[3])])  # more than the budget, at once
    assert stack.nbytes <= pristine + 2.5 * size
    stack.fuse([(files[3], 1.0)])
    assert all(torch.equal(weight, want[name]) for name, weight in weights(pipeline).items())
    stack.clear()
    assert stack.nbytes <= 2.5 * size  # pristine copies are kept of changed weights alone
    assert LoraStack(pipeline, kept_bytes=0).nbytes == 0


def test_a_file_that_is_refused_leaves_the_stack_as_it_was(base: tuple[Any, Path], tmp_path: Path):
    pipeline, path = base
    stack = LoraStack(pipeline)
    stack.fuse([(path, 1.0)])
    want = weights(pipeline)
    save_file({"lora_unet_x.lora_down.weight": torch.ones(1, 1)}, tmp_path / "x.safetensors")
    with pytest.raises(LoraError):
        stack.fuse([(path, 0.5), (tmp_path / "x.safetensors", 1.0)])
    assert all(torch.equal(weight, want[name]) for name, weight in weights(pipeline).items())
    stack.fuse([(path, 1.0)])
    assert all(torch.equal(weight, want[name]) for name, weight in weights(pipeline).items())


def test_a_lora_of_another_training_is_noticed_by_its_header(
    tiny_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    pipeline, path = load(tiny_weights, "tiny"), tmp_path / EPOCH_7
    write_lora(path, pipeline)
    tensors = load_file(path)
    for header, said in (
        (PERFECT, []),
        (
            PERFECT | {"ss_output_name": "bespoke_baby_v2"},
            ["output_name 'bespoke_baby_v2', not 'bespoke_punks"],
        ),
        (PERFECT | {"ss_epoch": "3", "ss_network_dim": "64"}, ["epoch 3, not 7", "network_dim 64, not 32"]),
    ):
        caplog.clear()
        save_file(tensors, path, metadata=header)
        LoraStack(pipeline).fuse([(path, 1.0)])
        found = [record.getMessage() for record in caplog.records]
        assert len(found) == len(said)
        assert all(words in message for words, message in zip(said, found, strict=True))
