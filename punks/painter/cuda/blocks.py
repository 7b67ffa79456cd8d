"""The forwards of diffusers' blocks, written with our kernels: the same arithmetic in fewer passes over memory.

What a convolution or product gives is read anyway by what follows it, which then adds biases and what else is to be
added. diffusers' own forwards take a pass for each, and go back and forth between two orders of channels.
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import functools
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional

from punks.painter.cuda.kernels import add, concatenate, geglu, group_norm, layer_norm, upsample

_SCORES = 1 << 24  # of an attention that lie in memory at once: 64 MB, as many as a 512 px picture has


def rewrite(unet: Any, vae: Any) -> None:
    """Gives both these forwards; the projections of the U-Net are joined. `unet.guided` says what rows are."""
    forwards = {
        ResnetBlock2D: _resnet,
        Transformer2DModel: _transformer,
        Upsample2D: _upsample,
        CrossAttnUpBlock2D: _up,
        UpBlock2D: _up,
        nn.Conv2d: _convolution,
    }
    for model in (unet, vae.encoder, vae.decoder):
        for module in model.modules():
            if type(module) in forwards:
                module.forward = functools.partial(forwards[type(module)], module)
            if isinstance(module, Transformer2DModel):
                _sum_biases(module)
        model.conv_norm_out.forward = functools.partial(group_norm, norm=model.conv_norm_out, silu=True)
        model.conv_act = nn.Identity()
    wide: list[Any] = [module for module in vae.modules() if type(module) is Attention and module.heads == 1]
    for attention in wide:
        attention.forward = functools.partial(_one_head, attention)
    _share_halves(unet)


def _convolution(self: Any, x: Tensor) -> Tensor:
    return add(self._conv_forward(x, self.weight, None), self.bias)


def _upsample(self: Any, x: Tensor, *_size: Any) -> Tensor:
    return self.conv(upsample(x))


def _resnet(self: Any, x: Tensor, temb: Tensor | None = None) -> Tensor:
    """(N, C, H, W), (N or more, D) -> (N, C', H, W)."""
    hidden = functional.conv2d(group_norm(x, self.norm1, silu=True), self.conv1.weight, padding=1)
    shift = None if temb is None else self.time_emb_proj(temb)
    hidden = group_norm(hidden, self.norm2, bias=self.conv1.bias, shift=shift, silu=True)
    if self.conv_shortcut is not None:
        x = _pictures(_product(self.conv_shortcut, _rows(x), self.conv_shortcut.bias), x)
    return add(functional.conv2d(hidden, self.conv2.weight, padding=1), self.conv2.bias, x)


def _up(
    self: Any,
    hidden_states: Tensor,
    res_hidden_states_tuple: tuple[Tensor, ...],
    temb: Tensor,
    encoder_hidden_states: Tensor | None = None,
    **_options: Any,
) -> Tensor:
    """(N, C, H, W), what was left on the way down -> (N, C', H or 2H, W or 2W)."""
    attentions = getattr(self, "attentions", [None] * len(self.resnets))
    for resnet, attention, left in zip(self.resnets, attentions, reversed(res_hidden_states_tuple), strict=True):
        joined = concatenate(hidden_states, left)
        hidden_states = resnet(joined, temb)
        if attention is not None:
            hidden_states = attention(hidden_states, encoder_hidden_states)[0]
    for upsampler in self.upsamplers or ():
        hidden_states = upsampler(hidden_states)
    return hidden_states


def _transformer(self: Any, x: Tensor, encoder_hidden_states: Tensor, **_options: Any) -> tuple[Tensor]:
    """(N, C, H, W), words (M, L, D) -> (M, C, H, W): the pictures stand for both halves of guidance where M is 2N.

    What attention and feed-forward give is added by their last products themselves to what goes on. Their biases are
    in it from the start (`early`); each norm takes those away again which come later.
    """
    hidden = _product(self.proj_in, _rows(group_norm(x, self.norm, silu=False)), self.early)
    words = encoder_hidden_states
    for block, late in zip(self.transformer_blocks, self.late, strict=True):
        for attention, norm, bias in ((block.attn1, block.norm1, late[0]), (block.attn2, block.norm2, late[1])):
            if attention.is_cross_attention and len(hidden) < len(words):
                hidden, x = torch.cat([hidden] * 2), _pictures(torch.cat([_rows(x)] * 2), x)
            _add_product(hidden, _attention(attention, layer_norm(hidden, norm, bias), words), attention.to_out[0])
        wide = block.ff.net[0].proj(layer_norm(hidden, block.norm3, late[2]))
        _add_product(hidden, geglu(wide), block.ff.net[2])
    return (add(_pictures(_product(self.proj_out, hidden), x), self.proj_out.bias, x),)


def _sum_biases(self: Any) -> None:
    """Of a transformer: `early`, (C,), the bias of `proj_in` and all that follow; `late`, (depth, 3, C), less those."""
    lasts = [(block.attn1.to_out[0], block.attn2.to_out[0], block.ff.net[2]) for block in self.transformer_blocks]
    biases = torch.stack([last.bias.detach().float() for block in lasts for last in block])
    rest = biases.flip(0).cumsum(0).flip(0)
    kind = self.proj_in.bias.dtype
    self.early = (self.proj_in.bias.detach() + rest[0]).to(kind)
    self.late = -rest.to(kind).unflatten(0, (-1, 3))


def _attention(self: Any, rows: Tensor, words: Tensor) -> Tensor:
    if self.is_cross_attention:
        given = (self.to_q(rows), *self.to_kv(words).chunk(2, -1))
    else:
        given = self.to_qkv(rows).chunk(3, -1)
    query, key, value = (one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in given)
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def _one_head(self: Any, x: Tensor, **_options: Any) -> Tensor:
    """(N, C, H, W) -> (N, C, H, W)."""
    rows = _rows(group_norm(x, self.group_norm, silu=False))
    attended = attention_of_one_head(self.to_q(rows), self.to_k(rows), self.to_v(rows))
    return add(_pictures(_product(self.to_out[0], attended), x), self.to_out[0].bias, x)


def attention_of_one_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """As torch computes it, with products of whole matrices: its fast kernels take no head as wide. (N, L, C) each.

    Scores are float32 until they are weights.
    """
    found = torch.empty_like(query)
    most = max(1, _SCORES // key.shape[1])
    for picture in range(len(query)):
        keys = key[picture].t()
        for rows, to in zip(query[picture].split(most), found[picture].split(most), strict=True):
            scores = _scores(rows, keys).mul_(query.shape[-1] ** -0.5)
            torch.mm(scores.softmax(-1).to(value.dtype), value[picture], out=to)
    return found


def _scores(query: Tensor, keys: Tensor) -> Tensor:
    if query.is_cuda and torch.version.cuda and query.dtype == torch.float16:
        return torch.mm(query, keys, out_dtype=torch.float32)  # by tensor cores, which add in float32
    kind = torch.promote_types(query.dtype, torch.float32)
    return query.to(kind) @ keys.to(kind)


def _product(projection: Any, rows: Tensor, bias: Tensor | None = None) -> Tensor:
    """Of a Linear, or of a convolution of single places."""
    return functional.linear(rows, projection.weight.flatten(1), bias)


def _add_product(to: Tensor, rows: Tensor, projection: nn.Linear) -> None:
    to.flatten(0, 1).addmm_(rows.flatten(0, 1), projection.weight.t())


def _rows(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C), a view where channels are last."""
    return pictures.permute(0, 2, 3, 1).flatten(1, 2)


def _pictures(rows: Tensor, like: Tensor) -> Tensor:
    """(N, H * W, C) -> (N, C, H, W), of the height and width of another."""
    return rows.unflatten(1, like.shape[2:]).permute(0, 3, 1, 2)


def _share_halves(unet: Any) -> None:
    """Where `unet.guided`, the second half of the rows repeats the first: they are one until words are read.

    This is worth it where the first block reads them: not in SDXL, where it has them in the timestep's embedding too.
    """
    unet.guided = False
    block = unet.down_blocks[0]
    if not hasattr(block, "attentions") or unet.config.addition_embed_type is not None:
        return
    resnet = block.resnets[0]
    convolution, whole = unet.conv_in.forward, resnet.forward

    def conv_in(x: Tensor) -> Tensor:
        return torch.cat([convolution(x[: len(x) // 2])] * 2) if unet.guided else convolution(x)

    def first(x: Tensor, temb: Tensor) -> Tensor:
        return whole(x[: len(x) // 2] if unet.guided else x, temb)

    unet.conv_in.forward, resnet.forward = conv_in, first
