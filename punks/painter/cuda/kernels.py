"""What stands between the products and convolutions of a U-Net and a VAE decoder, each one pass over memory on a GPU.

torch takes a pass for every addition, and its group norm wants channels first, while tensor cores want them last. The
kernels of `kernels.cu` are compiled at the start, in a second, by the compiler that comes with torch. Where it does not
come, on the CPU, and for channels that are not eights, functions of torch do the same.
"""

# torch is typed in part only, cuda.bindings not at all
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportAttributeAccessIssue=false

import ctypes
import functools
import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

log = logging.getLogger(__name__)
_CTYPES: dict[type, Any] = {int: ctypes.c_int, float: ctypes.c_float}


def binary(architecture: str) -> bytes:
    """The kernels compiled for GPUs of an architecture, "sm_90". Raises ImportError, RuntimeError."""
    from cuda.bindings import nvrtc

    source = Path(__file__).with_name("kernels.cu").read_bytes()
    program = _done(nvrtc.nvrtcCreateProgram(source, b"kernels.cu", 0, [], []))
    options = [f"--gpu-architecture={architecture}".encode()]
    _done(nvrtc.nvrtcCompileProgram(program, len(options), options))
    code = bytes(_done(nvrtc.nvrtcGetCUBINSize(program)))
    _done(nvrtc.nvrtcGetCUBIN(program, code))
    return code


@functools.cache
def compiled(device: torch.device) -> Any:
    """The module of the kernels for this GPU; None, and a line in the log, where they cannot be compiled."""
    try:
        from cuda.bindings import driver

        major, minor = torch.cuda.get_device_capability(device)
        code = binary(f"sm_{major}{minor}")
        with torch.cuda.device(device):
            torch.cuda.synchronize()  # whatever came before, the device has a context now
            return _done(driver.cuModuleLoadData(code))
    except (ImportError, RuntimeError) as error:
        log.warning(
            "%s paints at half the speed, for its kernels cannot be compiled (%s); they need cuda-bindings and "
            "nvidia-cuda-nvrtc, which torch brings on Linux and pip installs elsewhere",
            device,
            error,
        )
        return None


def group_norm(
    x: Tensor, norm: nn.GroupNorm, *, bias: Tensor | None = None, shift: Tensor | None = None, silu: bool
) -> Tensor:
    """`norm` of x + bias + shift, then SiLU. x: (N, C, H, W), bias: (C,), shift: (N or more, C)."""
    n, channels, height, width = x.shape
    of_group = channels // norm.num_groups
    if not _served(x, channels) or not (of_group == 4 or of_group >= 8):
        x = x if bias is None else x + bias[:, None, None]
        x = x if shift is None else x + shift[: len(x), :, None, None]
        x = functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
        return functional.silu(x) if silu else x
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    places, vectors = height * width, channels // 8
    added = (bias, shift, 0 if shift is None else shift.stride(0) // 8)
    scaled = (norm.weight, norm.bias, y)
    of_set = math.lcm(8, of_group) // 8
    if places <= 256 and 8 * of_set <= 4 * of_group:
        lanes = min(512 // of_set, places)
        sizes = (places, vectors, of_set, lanes, of_group, norm.eps, int(silu))
        grid, threads = (vectors // of_set, n, 1), max(128, -(-lanes * of_set // 32) * 32)
        _launch("small_group_norm", grid, threads, x, *added, *scaled, *sizes)
        return y
    lanes = max(1, 512 // vectors)
    threads = -(-vectors * lanes // 32) * 32
    # two blocks to a processor at once, one after the other would take twice the time; four turns of a block at least
    most = max(1, 2 * torch.cuda.get_device_properties(x.device).multi_processor_count // n)
    parts = min(most, -(-places // (4 * lanes)))
    shares, share = _divided(places, min(parts, 128))
    parts, part = _divided(places, parts)
    statistics = torch.empty(n, norm.num_groups, shares, 2, device=x.device, dtype=torch.float32)
    sizes = (places, vectors, lanes, share, norm.num_groups)
    _launch("group_statistics", (shares, n, 1), threads, x, *added, statistics, *sizes, shared=64 * vectors * lanes)
    sizes = (*sizes, shares, part, norm.eps, int(silu))
    _launch("group_norm", (parts, n, 1), threads, x, *added, statistics, *scaled, *sizes, shared=8 * norm.num_groups)
    return y


def _divided(places: int, parts: int) -> tuple[int, int]:
    """So many parts at most, none of them empty, and the places of each."""
    part = -(-places // parts)
    return -(-places // part), part


def add(x: Tensor, bias: Tensor, other: Tensor | None = None) -> Tensor:
    """x + bias of the channels + other, if there is one. x, other: (N, C, H, W), bias: (C,)."""
    channels = x.shape[1]
    if not _served(x, channels):
        x = x + bias[:, None, None]
        return x if other is None else x + other
    x = x.contiguous(memory_format=torch.channels_last)
    other = None if other is None else other.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    _launch_each("add", y, x, other, bias, y, channels // 8)
    return y


def concatenate(x: Tensor, other: Tensor) -> Tensor:
    """The channels of both. (N, C, H, W), (N, D, H, W) -> (N, C + D, H, W)."""
    n, channels, height, width = x.shape
    both = channels + other.shape[1]
    if channels % 8 or not _served(x, both):
        return torch.cat([x, other], dim=1)
    x = x.contiguous(memory_format=torch.channels_last)
    other = other.contiguous(memory_format=torch.channels_last)
    y = x.new_empty(n, height, width, both).permute(0, 3, 1, 2)
    _launch_each("concatenate", y, x, other, y, both // 8, channels // 8)
    return y


def upsample(x: Tensor) -> Tensor:
    """Each place four times. (N, C, H, W) -> (N, C, 2H, 2W)."""
    n, channels, height, width = x.shape
    if not _served(x, channels):
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")
    x = x.contiguous(memory_format=torch.channels_last)
    y = x.new_empty(n, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
    _launch_each("upsample", y, x, y, height, width, channels // 8)
    return y


def layer_norm(x: Tensor, norm: nn.LayerNorm, shift: Tensor) -> Tensor:
    """`norm` of x + shift. x: (N, L, C), shift: (C,)."""
    channels = x.shape[-1]
    if not _served(x, channels) or channels > 8 * 32 * 5:
        return norm(x + shift)
    x = x.contiguous()
    y, rows, vectors = torch.empty_like(x), x.numel() // channels, channels // 8
    lanes = next(lanes for lanes in (1, 2, 4, 8, 16, 32) if vectors <= 5 * lanes)
    given = (x, shift, norm.weight, norm.bias, y, rows, vectors, lanes, norm.eps)
    _launch("layer_norm", (-(-rows * lanes // 128), 1, 1), 128, *given)
    return y


def geglu(x: Tensor) -> Tensor:
    """The first half of the features times GELU of the second half. (N, L, 2C) -> (N, L, C)."""
    channels = x.shape[-1] // 2
    if not _served(x, channels):
        values, gate = x.chunk(2, -1)
        return values * functional.gelu(gate)
    x = x.contiguous()
    y = x.new_empty(*x.shape[:-1], channels)
    _launch_each("geglu", y, x, y, channels // 8)
    return y


def _served(x: Tensor, channels: int) -> bool:
    return x.is_cuda and x.dtype == torch.float16 and channels % 8 == 0 and compiled(x.device) is not None


def _launch_each(name: str, y: Tensor, *given: Tensor | float | None) -> None:
    """A thread for each vector of y; the kernel is told first how many they are."""
    count = y.numel() // 8
    _launch(name, (-(-count // 256), 1, 1), 256, count, *given)


def _launch(
    name: str, grid: tuple[int, int, int], threads: int, *given: Tensor | float | None, shared: int = 0
) -> None:
    """`shared` bytes of shared memory. A tensor is given as its address, None as a null pointer."""
    from cuda.bindings import driver

    device = next(one.device for one in given if isinstance(one, Tensor))
    function = _done(driver.cuModuleGetFunction(compiled(device), name.encode()))
    values = tuple(one.data_ptr() if isinstance(one, Tensor) else one or 0 for one in given)
    types = tuple(_CTYPES.get(type(one), ctypes.c_void_p) for one in given)
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream().cuda_stream
        _done(driver.cuLaunchKernel(function, *grid, threads, 1, 1, shared, stream, (values, types), 0))


def _done(result: tuple[Any, ...]) -> Any:
    error, *rest = result
    if error != 0:
        raise RuntimeError(f"CUDA: {error!r}")
    return rest[0] if rest else None
