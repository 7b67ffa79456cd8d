"""U-Net and VAE decoder compiled ahead of time (AOTInductor), carried beside the base as packages without weights.

A package belongs to one GPU, one torch and one model: its folder is named by them, `weights/BASE/engine/KEY/`, so one
that does not fit is never found. `script/warm-engine` builds it. A package is native code, as trusted as this program.
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import functools
import hashlib
import logging
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

log = logging.getLogger(__name__)
Forward = Callable[..., Any]
# raised whenever what is compiled changes: older packages then fit no more
_EDITION = 6
# inductor tries CPU vector instructions out with a C++ compiler, 40 s and nothing to a GPU; so does loading a package
_HOST = {"cpp.vec_isa_ok": False}
_OPTIONS = {
    "aot_inductor.package_constants_in_so": False,
    "conv_1x1_as_mm": True,
    "combo_kernels": True,  # small kernels that do not wait for each other are launched as one
    # kernels are chosen by rule, not by timing them: a package compiled anew paints the same to the last bit
    "deterministic": True,
}


def package_folder(folder: Path, device: torch.device) -> Path:
    """Where the packages of the base in this folder lie for this device and torch, whether or not they are there."""
    told = [str(_EDITION), diffusers.__version__, str(torch.version.cuda)]
    told += [(folder / part / "config.json").read_text() for part in ("unet", "vae")]
    model = hashlib.sha256("\0".join(told).encode()).hexdigest()[:12]
    gpu = re.sub(r"\W+", "-", torch.cuda.get_device_name(device)).lower()
    return folder / "engine" / f"{gpu}-torch{torch.__version__}-{model}"


class Guided(nn.Module):
    """The U-Net's forward with guidance: of N latents and 2N embeddings, negative ones first, the noise of 2N.

    Up to the first attention to words both halves are the same, and computed once. Export and packages want no nested
    arguments: tensors stand in a row.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timestep: Tensor, states: Tensor, *condition: Tensor) -> Tensor:
        added = {"text_embeds": condition[0], "time_ids": condition[1]} if condition else None

        def widen(_reader: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return _of_one_length(given[0], states)[:1]

        reader = next(module for module in self.unet.modules() if getattr(module, "is_cross_attention", False))
        with _Halves(), reader.register_forward_pre_hook(widen):
            return self.unet(latents, timestep, states, added_cond_kwargs=added, return_dict=False)[0]


class _Halves(TorchFunctionMode):
    """Where what was computed for one half meets what differs between the halves, it stands for both."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.cat:
            args = (_of_one_length(*args[0]), *args[1:])
        elif func is torch.Tensor.add and isinstance(args[1], Tensor):
            args = _of_one_length(*args)
        elif func is torch.Tensor.reshape and math.prod(args[1:]) * 2 == args[0].numel():
            args = (args[0], 2 * args[1], *args[2:])  # the length was asked of what came before words
        return func(*args, **(kwargs or {}))


def _of_one_length(*given: Tensor) -> tuple[Tensor, ...]:
    """The shorter ones repeated in their first dimension."""
    longest = max(len(one) for one in given)
    return tuple(one.repeat(longest // len(one), *[1] * (one.ndim - 1)) for one in given)


class _Decode(nn.Module):
    """The decoder, laid out as tensor cores like it. Not compiled it is faster without: its norms would copy all."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae.to(memory_format=torch.channels_last)

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents, return_dict=False)[0]


class _ChannelsLast(TorchFunctionMode):
    """Two functions of pictures, written so that inductor reads and writes channels in the order in which they lie.

    What is concatenated in the second dimension inductor of torch 2.11 lays out channels first, and copies it back
    twice. The statistics of a group, of ten channels and more, it reads in as many steps.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.cat and args[0][0].ndim == 4 and kwargs == {"dim": 1}:
            return torch.cat([one.permute(0, 2, 3, 1) for one in args[0]], -1).permute(0, 3, 1, 2)
        if func is nn.functional.group_norm and args[0].ndim == 4:
            return _group_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _group_norm(given: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """From the statistics of channels to those of groups: of parts of one size, variances and means add up.

    A difference of squares in float32 loses a quarter at most of what values in half precision have lost before, while
    means are no more than a thousand times what varies about them.
    """
    values = given.float()
    means, squares = (one.mean((2, 3)).unflatten(1, (groups, -1)) for one in (values, values.square()))
    variances = (squares - means.square()).clamp(min=0)
    variance, mean = torch.var_mean(means, -1, correction=0, keepdim=True)
    scale = (variance + variances.mean(-1, keepdim=True) + eps).rsqrt() * weight.float().view(groups, -1)
    shift = bias.float().view(groups, -1) - mean * scale
    scale, shift = (one.flatten(1)[:, :, None, None] for one in (scale, shift))
    return (values * scale + shift).to(given.dtype)


def export(module: nn.Module, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """The graph of a module's forward, as inductor compiles it best."""
    with _ChannelsLast():
        return torch.export.export(module, inputs, strict=False)


def load(pipeline: Any, base: Path, device: torch.device, replayed: Callable[[Forward], Forward], wanted: bool) -> None:
    """Puts the packages that are there in the place of the forwards; says so if they were wanted and are not.

    The U-Net's are `replayed`, the decoder's is replayed with all that makes pictures of latents.
    """
    folder = package_folder(base, device)
    found = sorted(folder.glob("*.pt2"))
    if not found:
        say = log.warning if wanted else log.info
        say("no compiled engine of %s for this GPU and torch (%s); script/warm-engine builds it", base.name, folder)
        return
    started = time.perf_counter()
    unets: dict[tuple[int, int], Forward] = {}
    for path in found:
        part, *shape = path.stem.split("-")
        try:
            package = _package(path, (Guided if part == "unet" else _Decode)(getattr(pipeline, part)), device)
        except RuntimeError as error:
            log.warning("%s is ignored (%s); script/warm-engine builds it anew", path, str(error).splitlines()[0])
            continue
        if part == "unet":
            unets[int(shape[0]), int(shape[1])] = replayed(package)
        else:
            _replace_decode(pipeline.vae, package)
    replace_forward(pipeline.unet, unets)
    log.info("compiled engine: %d packages in %.1f s", len(found), time.perf_counter() - started)


def _package(path: Path, module: nn.Module, device: torch.device) -> Forward:
    from torch._inductor import aoti_load_package, config

    with config.patch(_HOST):
        package = aoti_load_package(str(path), run_single_threaded=True, device_index=device.index or 0)
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    mine = {name: state[name].detach() for name in package.get_constant_fqns()}
    package.load_constants(mine, check_full_update=True, user_managed=True)
    return package


def replace_forward(unet: Any, packages: dict[tuple[int, int], Forward]) -> None:
    """Calls the package for so many (pictures, tokens) where `unet.guided` says that rows are halves of guidance."""
    other = unet.forward

    def forward(sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, **options: Any) -> Any:
        pictures = len(sample) // 2
        package = packages.get((pictures, encoder_hidden_states.shape[1])) if getattr(unet, "guided", False) else None
        if package is None or sample.shape[-1] != unet.config.sample_size:
            return other(sample, timestep, encoder_hidden_states, **options)
        added = options.get("added_cond_kwargs") or {}
        condition = [added[name] for name in ("text_embeds", "time_ids") if name in added]
        # samplers count in whole or in broken timesteps; the embedding is computed in float32 either way
        return (package(sample[:pictures], timestep.float(), encoder_hidden_states, *condition),)

    unet.forward = forward


def _replace_decode(vae: Any, package: Forward) -> None:
    def decode(latents: Tensor, return_dict: bool = False) -> Any:  # noqa: ARG001
        return (package(latents),)

    vae.decode = decode


def compile_base(pipeline: Any, base: Path, device: torch.device, shapes: list[tuple[int, int]]) -> Path:
    """Compiles the VAE decoder, and the U-Net with guidance for (pictures, tokens).

    Takes one to two minutes a shape and a C++ compiler. Finished packages are moved into place one by one.
    """
    folder = package_folder(base, device)
    folder.mkdir(parents=True, exist_ok=True)
    side, channels = pipeline.unet.config.sample_size, pipeline.unet.config.in_channels
    zeros = functools.partial(torch.zeros, device=device, dtype=torch.float16)
    _compile(_Decode(pipeline.vae), (zeros(1, channels, side, side),), folder / "vae.pt2")
    for pictures, tokens in shapes:
        rows, width = 2 * pictures, pipeline.unet.config.cross_attention_dim
        inputs = [zeros(pictures, channels, side, side), torch.tensor(1.0, device=device), zeros(rows, tokens, width)]
        if hasattr(pipeline, "text_encoder_2"):
            inputs += [zeros(rows, pipeline.text_encoder_2.config.projection_dim), zeros(rows, 6)]
        _compile(Guided(pipeline.unet), tuple(inputs), folder / f"unet-{pictures}-{tokens}.pt2")
    return folder


def _compile(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    from torch._inductor import aoti_compile_and_package, config

    if path.exists():
        log.info("%s is there already; remove it to compile it anew", path)
        return
    log.info("compiling %s", path.name)
    part = path.with_name(f".{path.stem}.part.pt2")
    with torch.no_grad(), config.patch(_HOST):
        aoti_compile_and_package(export(module, inputs), package_path=str(part), inductor_configs=_OPTIONS)
    shutil.move(part, path)
