"""The fast path on CUDA: the models' forwards, with our kernels in them, replayed as CUDA graphs.

A big GPU idles while Python launches the hundreds of kernels of one U-Net call; a graph launches them at once. Weights
may change in place between replays (LoRA), they must not move.
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import functools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.modeling_utils import no_init_weights
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from punks.errors import DeviceError
from punks.painter.cuda import kernels
from punks.painter.cuda.blocks import rewrite
from punks.painter.memory import limit
from punks.painter.model import Model

log = logging.getLogger(__name__)
ENGINES = ("graph", "eager")
Forward = Callable[..., Any]


def choose_engine(device: torch.device) -> str | None:
    """`PUNKS_ENGINE`, by default graph; None where the device is not CUDA. Raises DeviceError."""
    asked = os.environ.get("PUNKS_ENGINE") or "graph"
    if asked not in ENGINES:
        raise DeviceError(f"PUNKS_ENGINE: {asked!r} is no engine; use {' or '.join(ENGINES)}")
    return asked if device.type == "cuda" else None


def join_projections(unet: Any) -> None:
    """Makes few large products of many small ones, on the host and before anything refers to the weights.

    Q, K and V are joined, so are the K and V of all blocks, which read the same words, and the projections of the
    timestep. The weights that were joined become views of the whole, so that a LoRA written into them arrives. On a GPU
    the weights that are joined would leave holes in its memory, 2.3 GB of them in SDXL.
    """
    with no_init_weights():  # random numbers for 2 GB of new weights take the host 9 s
        _join_all(unet)


def _join_all(unet: Any) -> None:
    unet.fuse_qkv_projections()
    modules = list(unet.modules())
    # both places are diffusers' own: what is there is applied once a call to what all blocks are given
    unet.encoder_hid_proj = _join([module.to_kv for module in modules if hasattr(module, "to_kv")])
    unet.register_to_config(encoder_hid_dim_type="text_proj")
    resnets = [module for module in modules if isinstance(module, ResnetBlock2D)]
    unet.time_embed_act = nn.Sequential(nn.SiLU(), _join([resnet.time_emb_proj for resnet in resnets]))
    for resnet in resnets:
        resnet.skip_time_act = True
    for module in modules:
        if hasattr(module, "to_qkv"):
            _share(module.to_qkv, (module.to_q, module.to_k, module.to_v))
        elif hasattr(module, "to_kv"):
            _share(module.to_kv, (module.to_k, module.to_v))


def _join(readers: list[Any]) -> nn.Linear:
    """One Linear before several that are given the same: each then takes its own features out of what that gives."""
    first, sizes = readers[0], [reader.out_features for reader in readers]
    options = {"bias": first.bias is not None, "device": first.weight.device, "dtype": first.weight.dtype}
    joined = nn.Linear(first.in_features, sum(sizes), **options)
    for name in ("weight", "bias") if first.bias is not None else ("weight",):
        getattr(joined, name).data = torch.cat([getattr(reader, name).detach() for reader in readers])
    _share(joined, readers)
    for place, reader in enumerate(readers):
        reader.forward = functools.partial(_features, place, sizes)
    return joined


def _features(place: int, sizes: list[int], joined: Tensor) -> Tensor:
    return joined.split(sizes, -1)[place]


def _share(joined: Any, parts: Sequence[Any]) -> None:
    sizes = [part.out_features for part in parts]
    for name in ("weight", "bias") if joined.bias is not None else ("weight",):
        for part, rows in zip(parts, getattr(joined, name).detach().split(sizes), strict=True):
            getattr(part, name).data = rows


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The one that all captures run on: cuBLAS keeps a workspace, 64 MB on an H100, for every stream it has seen."""
    return torch.cuda.Stream(device)


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    output: Any


class Graphs:
    """Captured forwards of one base, in one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[object, _Graph | None] = {}

    def __len__(self) -> int:
        return sum(graph is not None for graph in self._graphs.values())

    def clear(self) -> None:
        """Gives the memory of all graphs back; they are captured anew when they are needed."""
        self._graphs.clear()
        self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.empty_cache()

    def replayed(self, function: Forward, state: Callable[[], object] = lambda: None) -> Forward:
        """`function` of tensors, captured once for every signature of its arguments and `state`, and replayed after."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves, spec = tree_flatten((args, kwargs))
            tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
            rest = tuple((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves)
            key = (id(function), state(), str(spec), rest)
            if key not in self._graphs:
                self._graphs[key] = self._capture(function, leaves, spec)
            captured = self._graphs[key]
            if captured is None:
                args, kwargs = tree_map_only(Tensor, lambda one: one.to(self._device), (args, kwargs))
                return function(*args, **kwargs)
            for static, given in zip(captured.inputs, tensors, strict=True):
                _put(static, given)
            captured.graph.replay()
            # the next replay writes over the output, and samplers keep what they were given
            return tree_map_only(Tensor, torch.clone, captured.output)

        return call

    def _capture(self, function: Forward, leaves: list[Any], spec: Any) -> _Graph | None:
        """None, which means eager, where the memory for it is not there."""
        static = [_static(leaf, self._device) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        args, kwargs = tree_unflatten(static, spec)
        stream = _side_stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        torch.cuda.empty_cache()
        before, flushes = torch.cuda.memory_reserved(self._device), self._flushes()
        with torch.cuda.stream(stream):
            for _ in range(2):  # libraries choose algorithms and take workspaces on their first calls
                function(*args, **kwargs)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        needed = torch.cuda.memory_reserved(self._device) - before
        # asked first: torch never gives back what a capture that fails has taken (pytorch/pytorch#190348)
        if self._flushes() > flushes or needed > self._room():
            log.warning("no memory is left to capture another shape; it is painted without a graph")
            return None
        graph = torch.cuda.CUDAGraph()
        # other threads may wait for paintings meanwhile
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            output = function(*args, **kwargs)
        return _Graph(graph, [leaf for leaf in static if isinstance(leaf, Tensor)], output)

    def _flushes(self) -> int:
        """How often memory was short so far and what lay unused was given back, which a capture cannot do."""
        return torch.cuda.memory_stats(self._device).get("num_alloc_retries", 0)

    def _room(self) -> int:
        """Bytes that a capture may take: what this program may still have, and what lies unused in its pool."""
        torch.cuda.empty_cache()
        free = torch.cuda.mem_get_info(self._device)[0]
        within = limit(self._device) - torch.cuda.memory_reserved(self._device)
        pool = torch.cuda.memory_snapshot(self._pool, include_traces=False)
        unused = sum(segment["total_size"] - segment["allocated_size"] for segment in pool)
        return int(min(free, within)) + unused


def _static(given: Tensor, device: torch.device) -> Tensor:
    return torch.empty_like(given, device=device).copy_(given)


def _put(static: Tensor, given: Tensor) -> None:
    if given.device == static.device:
        static.copy_(given)
    elif given.ndim == 0:
        static.fill_(given.item())  # a timestep, on the host: as an argument of the kernel it stalls nothing
    else:
        static.copy_(given, non_blocking=True)


def install(model: Model, device: torch.device, engine: str) -> Graphs | None:
    """Puts the engine behind the `forward` of the U-Net and the text encoders. None for eager."""
    kernels.compiled(device)  # now, and not while the first request waits
    rewrite(model.unet, model.vae)
    if engine == "eager":
        return None
    graphs = Graphs(device)
    model.unet.forward = graphs.replayed(model.unet.forward, lambda: model.unet.guided)
    for _, encoder in model.encoders:
        encoder.forward = graphs.replayed(encoder.forward)
    return graphs
