"""A base model from its folder, as diffusers' pipeline of its kind."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import Tensor

from punks.errors import WeightsError
from punks.files import weights

# both print notes about optional parts and bars of their own; this program says what its users need to know
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()


def load_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """The base in this folder, in the host's memory. Raises WeightsError."""
    half = any((folder / "unet").glob("*.fp16.safetensors"))
    unserved = [part for part in weights.components(folder) if part in ("safety_checker", "feature_extractor")]
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(  # pyright: ignore[reportPrivateImportUsage]
            folder,
            dtype=dtype,
            variant="fp16" if half else None,
            use_safetensors=True,
            local_files_only=True,
            **dict.fromkeys(unserved),
        )
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} cannot be loaded: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def from_pictures(pipeline: Any) -> Any:
    """The same parts as the pipeline that starts from a picture."""
    other = diffusers.AutoPipelineForImage2Image.from_pipe(pipeline)  # pyright: ignore[reportPrivateImportUsage]
    other.set_progress_bar_config(disable=True)
    return other


def place(pipeline: Any, device: torch.device) -> None:
    """Moves the pipeline; what is part of another tensor stays part of it. Out of memory it is left where it was.

    The pipeline is told once where it is: diffusers asks each of its thousand modules, several times a picture.
    """
    placed: list[tuple[Tensor, Tensor]] = []
    whole = there = torch.empty(0)
    for tensor in sorted(_tensors(pipeline), key=lambda one: (one.data_ptr(), -one.nbytes)):
        if tensor.data_ptr() + tensor.nbytes > whole.data_ptr() + whole.nbytes:
            whole, there = tensor, tensor.detach().to(device)
        offset = there.storage_offset() + (tensor.data_ptr() - whole.data_ptr()) // tensor.itemsize
        placed.append((tensor, there.as_strided(tensor.size(), tensor.stride(), offset)))
    for tensor, moved in placed:
        tensor.data = moved
    kind, where = type(pipeline), property(lambda _self: device)
    # of the same name, by which diffusers finds the pipeline that starts from a picture
    pipeline.__class__ = type(kind.__name__, (kind,), {"device": where, "_execution_device": where})


def nbytes(pipeline: Any) -> int:
    """Memory that the weights take: what shares memory counts once."""
    storages = [tensor.untyped_storage() for tensor in _tensors(pipeline)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _tensors(pipeline: Any) -> list[Tensor]:
    """Parameters and buffers of all its models."""
    models = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
