"""A base model in the diffusers layout: its parts, read from a folder and placed on a device."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from punks.errors import WeightsError

# both print notes about optional parts and bars of their own; this program says what its users need to know
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()


@dataclass(kw_only=True, eq=False)
class Model:
    """The parts of a base by their names in diffusers; only SDXL has a second text encoder."""

    unet: Any
    vae: Any
    scheduler: Any
    tokenizer: Any
    text_encoder: Any
    tokenizer_2: Any = None
    text_encoder_2: Any = None

    @property
    def encoders(self) -> list[tuple[Any, Any]]:
        """Each tokenizer with its text encoder."""
        pairs = [(self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)]
        return [pair for pair in pairs if pair[1] is not None]

    @property
    def nbytes(self) -> int:
        """Memory that the weights take; what shares memory counts once."""
        storages = [tensor.untyped_storage() for tensor in self._tensors()]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    def place(self, device: torch.device) -> None:
        """Moves all weights; tensors that share memory share it there, too. On a CPU it fixes how torch sums."""
        placed: list[tuple[Tensor, Tensor]] = []
        whole = there = torch.empty(0)
        for tensor in sorted(self._tensors(), key=lambda one: (one.data_ptr(), -one.nbytes)):
            if tensor.data_ptr() + tensor.nbytes > whole.data_ptr() + whole.nbytes:
                whole, there = tensor, tensor.detach().to(device)
            offset = there.storage_offset() + (tensor.data_ptr() - whole.data_ptr()) // tensor.itemsize
            placed.append((tensor, there.as_strided(tensor.size(), tensor.stride(), offset)))
        for tensor, moved in placed:
            tensor.data = moved
        for layer in (*self.unet.modules(), *self.vae.modules()) if device.type == "cpu" else ():
            # torch computes 1x1 convolutions with another library on one thread, whose sums round differently
            # (use_mkldnn in ATen/native/Convolution.cpp), but not those with a dilation, which means nothing to them
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
                layer.dilation = (2, 2)

    def _tensors(self) -> list[Tensor]:
        models = [part for part in vars(self).values() if isinstance(part, nn.Module)]
        return [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]


def load_model(folder: Path, dtype: torch.dtype) -> Model:
    """The base in this folder, in the host's memory. Raises WeightsError."""

    def part(name: str, kind: Any) -> Any:
        half = "fp16" if any((folder / name).glob("*.fp16.safetensors")) else None
        return kind.from_pretrained(folder / name, dtype=dtype, variant=half, use_safetensors=True)

    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        encoder, second = CLIPTextModel, index.get("text_encoder_2")
        return Model(
            unet=part("unet", UNet2DConditionModel),
            vae=part("vae", AutoencoderKL),
            scheduler=getattr(diffusers, index["scheduler"][1]).from_pretrained(folder / "scheduler"),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            text_encoder=part("text_encoder", encoder),
            tokenizer_2=second and CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
            text_encoder_2=second and part("text_encoder_2", CLIPTextModelWithProjection),
        )
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} cannot be loaded: {error}") from error
